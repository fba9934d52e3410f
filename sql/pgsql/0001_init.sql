-- The schema, version 1, for PostgreSQL: the same as sqlite3/0001_init.sql but for the
-- types of numbered rows.  Times are whole seconds since 1970 UTC.
-- Order of making is "seq", so that pages by it can neither skip nor repeat a row.

CREATE TABLE schema_version (
    version     INTEGER NOT NULL PRIMARY KEY,
    applied_at  BIGINT  NOT NULL
);

CREATE TABLE plans (
    name        TEXT    NOT NULL PRIMARY KEY,
    per_hour    BIGINT  NOT NULL,
    per_minute  BIGINT  NOT NULL,
    quota_month BIGINT              -- NULL: no monthly quota
);

CREATE TABLE accounts (
    seq         BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE,
    name        TEXT    NOT NULL,
    contact     TEXT,
    plan        TEXT    NOT NULL REFERENCES plans (name),
    per_hour    BIGINT,             -- NULL: the plan's
    per_minute  BIGINT,
    quota_month BIGINT,
    quota_used_month BIGINT NOT NULL DEFAULT 0, -- number of the month whose quota is used up
    created_at  BIGINT  NOT NULL,
    version     BIGINT  NOT NULL DEFAULT 1
);

-- A bit once given to a scope is never given to another: rows are not deleted.
CREATE TABLE scopes (
    name        TEXT    NOT NULL PRIMARY KEY,
    bit         INTEGER NOT NULL UNIQUE CHECK (bit BETWEEN 0 AND 127),
    description TEXT    NOT NULL
);

CREATE TABLE api_keys (
    seq         BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE,
    digest      TEXT    NOT NULL UNIQUE,
    imported    INTEGER NOT NULL DEFAULT 0,
    account_id  TEXT    NOT NULL REFERENCES accounts (id),
    environment TEXT    NOT NULL CHECK (environment IN ('live', 'test')),
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL DEFAULT '',
    prefix      TEXT    NOT NULL,
    last_four   TEXT    NOT NULL,
    permissions TEXT    NOT NULL,
    allowed_ips TEXT,
    per_hour    BIGINT,
    per_minute  BIGINT,
    auto_renew  INTEGER NOT NULL DEFAULT 0,
    status      TEXT    NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'revoked')),
    created_at  BIGINT  NOT NULL,
    created_by  TEXT    NOT NULL,
    expires_at  BIGINT,             -- NULL: never
    revoked_at  BIGINT,
    rotated_from TEXT,
    rotated_to  TEXT,
    version     BIGINT  NOT NULL DEFAULT 1
);
CREATE INDEX api_keys_by_account ON api_keys (account_id, seq);
CREATE INDEX api_keys_by_expiry ON api_keys (expires_at);

-- What auditd has seen of a key: apart from api_keys, so that traffic never locks a key's row.
CREATE TABLE key_activity (
    key_id      TEXT    NOT NULL PRIMARY KEY,
    first_used  BIGINT  NOT NULL,
    last_used   BIGINT  NOT NULL,
    last_address TEXT   NOT NULL DEFAULT ''
);

-- A key as it is listed and shown.
CREATE VIEW key_records AS
    SELECT k.seq, k.id, k.account_id, k.name, k.description, k.prefix, k.last_four, k.permissions,
           k.allowed_ips, k.environment, k.status, k.imported, k.auto_renew, k.per_hour, k.per_minute,
           k.created_at, k.expires_at, k.revoked_at, a.last_used, k.created_by, k.rotated_from,
           k.rotated_to, k.version
    FROM api_keys k LEFT JOIN key_activity a ON a.key_id = k.id;

CREATE TABLE usage_hour (
    key_id      TEXT    NOT NULL,
    start       BIGINT  NOT NULL,
    decision    TEXT    NOT NULL,
    account_id  TEXT    NOT NULL,
    environment TEXT    NOT NULL,
    requests    BIGINT  NOT NULL,
    PRIMARY KEY (key_id, start, decision)
);
CREATE INDEX usage_hour_by_account ON usage_hour (account_id, start);
CREATE INDEX usage_hour_by_start ON usage_hour (start);

CREATE TABLE usage_day (
    key_id      TEXT    NOT NULL,
    start       BIGINT  NOT NULL,
    decision    TEXT    NOT NULL,
    account_id  TEXT    NOT NULL,
    environment TEXT    NOT NULL,
    requests    BIGINT  NOT NULL,
    PRIMARY KEY (key_id, start, decision)
);
CREATE INDEX usage_day_by_account ON usage_day (account_id, start);
CREATE INDEX usage_day_by_start ON usage_day (start);

-- Admitted requests of an account's live keys: what a monthly quota counts.
CREATE TABLE usage_month (
    account_id  TEXT    NOT NULL,
    month       BIGINT  NOT NULL,   -- year * 12 + month - 1
    requests    BIGINT  NOT NULL,
    PRIMARY KEY (account_id, month)
);

CREATE TABLE known_networks (
    key_id      TEXT    NOT NULL,
    network     TEXT    NOT NULL,
    first_seen  BIGINT  NOT NULL,
    last_seen   BIGINT  NOT NULL,
    requests    BIGINT  NOT NULL,
    PRIMARY KEY (key_id, network)
);

-- Which events have been counted: all up to "contiguous", and the runs "beyond" it (core/ak_runs.h).
CREATE TABLE producers (
    producer    TEXT    NOT NULL PRIMARY KEY,
    contiguous  BIGINT  NOT NULL,
    beyond      TEXT    NOT NULL DEFAULT '',
    lost        BIGINT  NOT NULL DEFAULT 0, -- told as lost and not come since
    gap_since   BIGINT,             -- since when the oldest gap not told is known; NULL: none
    first_seen  BIGINT  NOT NULL,
    last_seen   BIGINT  NOT NULL
);
CREATE INDEX producers_by_last_seen ON producers (last_seen);
CREATE INDEX producers_by_gap ON producers (gap_since);

CREATE TABLE detector_state (
    detector    TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    expires_at  BIGINT  NOT NULL,   -- from then on it means nothing and may be removed
    PRIMARY KEY (detector, subject)
);
CREATE INDEX detector_state_by_expiry ON detector_state (expires_at);

CREATE TABLE alerts (
    seq         BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE,
    kind        TEXT    NOT NULL,
    severity    TEXT    NOT NULL,
    status      TEXT    NOT NULL DEFAULT 'open',
    account_id  TEXT,
    key_id      TEXT,
    subject     TEXT    NOT NULL,   -- what it is about: with kind, at most one that is not resolved
    message     TEXT    NOT NULL,
    details     TEXT    NOT NULL DEFAULT '{}',
    count       BIGINT  NOT NULL DEFAULT 1,
    first_seen  BIGINT  NOT NULL,
    last_seen   BIGINT  NOT NULL,
    acknowledged_by TEXT
);
CREATE INDEX alerts_by_account ON alerts (account_id, seq);
CREATE INDEX alerts_by_key ON alerts (key_id, seq);
CREATE UNIQUE INDEX alerts_open ON alerts (kind, subject) WHERE status <> 'resolved';

-- What is still to be told to whom; a row goes when its receiver has it.
CREATE TABLE outbox (
    seq         BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sink        TEXT    NOT NULL,
    target      TEXT    NOT NULL DEFAULT '', -- a webhook's or an account's id; '': the configuration's
    alert_id    TEXT    NOT NULL,
    body        TEXT    NOT NULL,
    attempts    BIGINT  NOT NULL DEFAULT 0,
    next_at     BIGINT  NOT NULL,
    created_at  BIGINT  NOT NULL
);
CREATE INDEX outbox_due ON outbox (next_at, seq);
CREATE INDEX outbox_by_target ON outbox (sink, target, next_at);

-- Receivers of an account's alerts.  Secrets stand here whole: they sign what is sent.
CREATE TABLE webhooks (
    seq         BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE,
    account_id  TEXT    NOT NULL REFERENCES accounts (id),
    url         TEXT    NOT NULL,
    description TEXT    NOT NULL DEFAULT '',
    secret      TEXT    NOT NULL,
    old_secret  TEXT,               -- signs too, until then
    old_secret_until BIGINT,
    status      TEXT    NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
    created_at  BIGINT  NOT NULL,
    created_by  TEXT    NOT NULL
);
CREATE INDEX webhooks_by_account ON webhooks (account_id, seq);

-- Each attempt to deliver to one of them.
CREATE TABLE webhook_deliveries (
    seq         BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id  TEXT    NOT NULL,
    alert_id    TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    at          BIGINT  NOT NULL,
    attempt     BIGINT  NOT NULL,
    outcome     TEXT    NOT NULL CHECK (outcome IN ('delivered', 'failed', 'given_up', 'disabled')),
    http_status BIGINT,             -- NULL: no answer came
    error       TEXT,
    duration_ms BIGINT  NOT NULL,
    next_at     BIGINT              -- NULL: there will be no other attempt
);
CREATE INDEX webhook_deliveries_by_webhook ON webhook_deliveries (webhook_id, seq);
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (at);

CREATE TABLE audit_log (
    seq         BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          BIGINT  NOT NULL,
    actor       TEXT    NOT NULL,
    account_id  TEXT,               -- whose thing was changed
    action      TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    address     TEXT,
    details     TEXT
);
CREATE INDEX audit_log_by_account ON audit_log (account_id, seq);
CREATE INDEX audit_log_by_target ON audit_log (target, seq);

-- What every node must drop from its cache; key_id NULL: everything.
CREATE TABLE change_log (
    seq         BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key_id      TEXT,
    at          BIGINT  NOT NULL
);
CREATE INDEX change_log_by_age ON change_log (at);

CREATE TABLE nodes (
    id          TEXT    NOT NULL PRIMARY KEY,
    bound_ms    BIGINT  NOT NULL,
    applied     BIGINT  NOT NULL,
    seen_at     BIGINT  NOT NULL
);

CREATE TABLE idempotency (
    account_id  TEXT    NOT NULL,
    idempotency_key TEXT NOT NULL,
    key_id      TEXT    NOT NULL,
    created_at  BIGINT  NOT NULL,
    PRIMARY KEY (account_id, idempotency_key)
);
CREATE INDEX idempotency_by_age ON idempotency (created_at);

INSERT INTO plans (name, per_hour, per_minute, quota_month) VALUES
    ('free', 1000, 100, NULL), ('professional', 10000, 500, NULL), ('enterprise', 100000, 5000, NULL);

INSERT INTO scopes (name, bit, description) VALUES
    ('admin:*', 0, 'Full access (dangerous!)'),
    ('tasks:read', 1, 'View tasks'),
    ('projects:read', 2, 'View projects'),
    ('users:read', 3, 'View users'),
    ('tasks:write', 4, 'Create/update tasks'),
    ('projects:write', 5, 'Create/update projects'),
    ('users:write', 6, 'Create/update users'),
    ('tasks:delete', 7, 'Delete tasks'),
    ('projects:delete', 8, 'Delete projects'),
    ('api-keys:read', 9, 'View API keys and their usage'),
    ('api-keys:write', 10, 'Create, update and rotate API keys'),
    ('api-keys:delete', 11, 'Revoke API keys'),
    ('alerts:read', 12, 'View alerts'),
    ('alerts:write', 13, 'Acknowledge and resolve alerts'),
    ('audit:read', 14, 'View the audit log');
