-- Every SQL statement of mod_apikey, by name.  Both databases run the same text.
-- "-- name: NAME" begins a statement; it ends at the next name.  %s is an
-- argument, bound as text: a number is CAST where it is compared or stored, and an
-- argument that may be NULL is CAST where it stands alone.  A percent sign is %%.
-- "-- driver: NAME": only that database has the statement.  "-- scan: WHY": it reads
-- a whole table on purpose; every other statement must be served by an index.

-- name: ping
SELECT 1

-- --- the schema --------------------------------------------------------------

-- name: schema_tables_sqlite3
-- driver: sqlite3
-- scan: the database's own list of tables
SELECT COUNT(*), SUM(CASE WHEN name IN ('schema_version', 'api_keys', 'change_log') THEN 1 ELSE 0 END)
FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%%' ESCAPE '!'

-- name: schema_tables_pgsql
-- driver: pgsql
-- scan: the database's own list of tables
SELECT COUNT(*), SUM(CASE WHEN table_name IN ('schema_version', 'api_keys', 'change_log') THEN 1 ELSE 0 END)
FROM information_schema.tables WHERE table_schema = current_schema()

-- name: schema_version
SELECT COALESCE(MAX(version), 0) FROM schema_version

-- name: schema_version_add
INSERT INTO schema_version (version, applied_at) VALUES (CAST(%s AS BIGINT), CAST(%s AS BIGINT))

-- --- a key on its way in -------------------------------------------------------

-- name: key_lookup
SELECT k.id, k.account_id, k.permissions, k.allowed_ips, k.environment, k.status, k.expires_at,
       COALESCE(k.per_hour, a.per_hour, p.per_hour), COALESCE(k.per_minute, a.per_minute, p.per_minute),
       a.plan, a.quota_used_month
FROM api_keys k
JOIN accounts a ON a.id = k.account_id
JOIN plans p ON p.name = a.plan
WHERE k.digest = %s

-- name: key_allowed_ips
SELECT allowed_ips FROM api_keys WHERE id = %s

-- name: scopes
-- scan: the whole registry is wanted, at most 128 rows
SELECT name, description, bit FROM scopes ORDER BY bit

-- name: plans
-- scan: all plans are wanted, a handful of rows
SELECT name, per_hour, per_minute, quota_month FROM plans

-- --- the change log, and the nodes that follow it ------------------------------

-- The rows of the change log must become visible in the order of their numbers, or a
-- node would pass over one: on PostgreSQL whoever adds one holds this lock until it
-- commits.  SQLite has one writer at a time anyway.
-- name: change_lock
-- driver: pgsql
SELECT pg_advisory_xact_lock(1634428281)

-- name: change_add
INSERT INTO change_log (key_id, at) VALUES (%s, CAST(%s AS BIGINT)) RETURNING seq

-- name: change_add_account
INSERT INTO change_log (key_id, at)
SELECT id, CAST(%s AS BIGINT) FROM api_keys WHERE account_id = %s AND status = 'active'

-- name: change_last
SELECT COALESCE(MAX(seq), 0) FROM change_log

-- name: change_bounds
SELECT (SELECT MIN(seq) FROM change_log), (SELECT MAX(seq) FROM change_log)

-- From the last applied row on, that one included: where it is missing, the log may
-- have been pruned past it.
-- name: changes
SELECT c.seq, c.key_id, k.digest FROM change_log c LEFT JOIN api_keys k ON k.id = c.key_id
WHERE c.seq >= CAST(%s AS BIGINT) ORDER BY c.seq LIMIT CAST(%s AS BIGINT)

-- The newest row stays, so that the log always tells where it stands.
-- name: changes_prune
DELETE FROM change_log WHERE at < CAST(%s AS BIGINT) AND seq < (SELECT MAX(seq) FROM change_log)

-- name: node_report
INSERT INTO nodes (id, bound_ms, applied, seen_at)
VALUES (%s, CAST(%s AS BIGINT), CAST(%s AS BIGINT), CAST(%s AS BIGINT))
ON CONFLICT (id) DO UPDATE
SET bound_ms = excluded.bound_ms, applied = excluded.applied, seen_at = excluded.seen_at

-- name: node_remove
DELETE FROM nodes WHERE id = %s

-- name: nodes_behind
-- scan: one row for each running node
SELECT COUNT(*), COALESCE(MAX(bound_ms), 0) FROM nodes
WHERE applied < CAST(%s AS BIGINT) AND seen_at >= CAST(%s AS BIGINT) AND id <> %s

-- name: nodes
-- scan: one row for each running node
SELECT id, bound_ms, applied, seen_at FROM nodes ORDER BY id

-- name: nodes_prune
-- scan: one row for each running node
DELETE FROM nodes WHERE seen_at < CAST(%s AS BIGINT)

-- --- keys ------------------------------------------------------------------------

-- name: idempotency_add
INSERT INTO idempotency (account_id, idempotency_key, key_id, created_at)
VALUES (%s, %s, %s, CAST(%s AS BIGINT)) ON CONFLICT DO NOTHING

-- name: idempotency_get
SELECT key_id FROM idempotency WHERE account_id = %s AND idempotency_key = %s

-- name: idempotency_prune
DELETE FROM idempotency WHERE created_at < CAST(%s AS BIGINT)

-- name: key_add
INSERT INTO api_keys (id, digest, imported, account_id, environment, name, description, prefix, last_four,
                      permissions, allowed_ips, per_hour, per_minute, auto_renew, created_at, created_by,
                      expires_at, rotated_from)
VALUES (%s, %s, CAST(%s AS BIGINT), %s, %s, %s, %s, %s, %s, %s, %s, CAST(%s AS BIGINT), CAST(%s AS BIGINT),
        CAST(%s AS BIGINT), CAST(%s AS BIGINT), %s, CAST(%s AS BIGINT), %s)
ON CONFLICT DO NOTHING

-- name: key_get
SELECT * FROM key_records WHERE id = %s AND (CAST(%s AS TEXT) IS NULL OR account_id = %s)

-- name: key_digest
SELECT digest FROM api_keys WHERE id = %s

-- name: key_seq
SELECT seq FROM api_keys WHERE id = %s AND (CAST(%s AS TEXT) IS NULL OR account_id = %s)

-- name: key_list_all
SELECT * FROM key_records
WHERE seq < CAST(%s AS BIGINT)
  AND (CAST(%s AS TEXT) IS NULL OR status = %s)
  AND COALESCE(expires_at, 9223372036854775807) > CAST(%s AS BIGINT)
  AND COALESCE(expires_at, 9223372036854775807) <= CAST(%s AS BIGINT)
  AND (CAST(%s AS TEXT) IS NULL OR environment = %s)
  AND (CAST(%s AS TEXT) IS NULL OR lower(name) LIKE lower(%s) ESCAPE '!'
       OR lower(prefix) LIKE lower(%s) ESCAPE '!' OR id LIKE lower(%s) ESCAPE '!')
ORDER BY seq DESC LIMIT CAST(%s AS BIGINT)

-- name: key_list_account
SELECT * FROM key_records
WHERE seq < CAST(%s AS BIGINT)
  AND (CAST(%s AS TEXT) IS NULL OR status = %s)
  AND COALESCE(expires_at, 9223372036854775807) > CAST(%s AS BIGINT)
  AND COALESCE(expires_at, 9223372036854775807) <= CAST(%s AS BIGINT)
  AND (CAST(%s AS TEXT) IS NULL OR environment = %s)
  AND (CAST(%s AS TEXT) IS NULL OR lower(name) LIKE lower(%s) ESCAPE '!'
       OR lower(prefix) LIKE lower(%s) ESCAPE '!' OR id LIKE lower(%s) ESCAPE '!')
  AND account_id = %s
ORDER BY seq DESC LIMIT CAST(%s AS BIGINT)

-- name: key_update
UPDATE api_keys
SET name = %s, description = %s, permissions = %s, allowed_ips = %s, per_hour = CAST(%s AS BIGINT),
    per_minute = CAST(%s AS BIGINT), expires_at = CAST(%s AS BIGINT), auto_renew = CAST(%s AS BIGINT),
    version = version + 1
WHERE id = %s AND version = CAST(%s AS BIGINT)

-- name: key_revoke
UPDATE api_keys SET status = 'revoked', revoked_at = CAST(%s AS BIGINT), version = version + 1
WHERE id = %s AND status = 'active'

-- The old key of a rotation lives on for the grace period, never longer than it would have.
-- name: key_supersede
UPDATE api_keys
SET expires_at = CASE WHEN expires_at IS NULL OR expires_at > CAST(%s AS BIGINT)
                      THEN CAST(%s AS BIGINT) ELSE expires_at END,
    rotated_to = %s, version = version + 1
WHERE id = %s AND version = CAST(%s AS BIGINT) AND status = 'active'

-- --- accounts ----------------------------------------------------------------------

-- name: account_add
INSERT INTO accounts (id, name, contact, plan, per_hour, per_minute, quota_month, created_at)
VALUES (%s, %s, %s, %s, CAST(%s AS BIGINT), CAST(%s AS BIGINT), CAST(%s AS BIGINT), CAST(%s AS BIGINT))
ON CONFLICT DO NOTHING

-- name: account_seq
SELECT seq FROM accounts WHERE id = %s

-- name: account_get
SELECT a.seq, a.id, a.name, a.contact, a.plan, a.per_hour, a.per_minute, a.quota_month,
       a.quota_used_month, a.created_at, a.version, COALESCE(u.requests, 0)
FROM accounts a LEFT JOIN usage_month u ON u.account_id = a.id AND u.month = CAST(%s AS BIGINT)
WHERE a.id = %s

-- name: account_list
SELECT a.seq, a.id, a.name, a.contact, a.plan, a.per_hour, a.per_minute, a.quota_month,
       a.quota_used_month, a.created_at, a.version, COALESCE(u.requests, 0)
FROM accounts a LEFT JOIN usage_month u ON u.account_id = a.id AND u.month = CAST(%s AS BIGINT)
WHERE a.seq < CAST(%s AS BIGINT) ORDER BY a.seq DESC LIMIT CAST(%s AS BIGINT)

-- name: account_update
UPDATE accounts
SET name = %s, contact = %s, plan = %s, per_hour = CAST(%s AS BIGINT), per_minute = CAST(%s AS BIGINT),
    quota_month = CAST(%s AS BIGINT), version = version + 1
WHERE id = %s AND version = CAST(%s AS BIGINT)

-- Another plan or quota may open the month again, or close it.
-- name: account_quota_mark
UPDATE accounts
SET quota_used_month =
    CASE WHEN COALESCE((SELECT u.requests FROM usage_month u
                        WHERE u.account_id = accounts.id AND u.month = CAST(%s AS BIGINT)), 0)
              >= COALESCE(quota_month, (SELECT p.quota_month FROM plans p WHERE p.name = accounts.plan),
                          9223372036854775807)
         THEN CAST(%s AS BIGINT) ELSE 0 END
WHERE id = %s

-- --- figures -------------------------------------------------------------------------

-- name: key_usage
SELECT COALESCE(SUM(CASE WHEN start >= CAST(%s AS BIGINT) THEN requests ELSE 0 END), 0),
       COALESCE(SUM(requests), 0)
FROM usage_day WHERE key_id = %s AND start >= CAST(%s AS BIGINT) AND decision = 'ok'

-- name: usage_hour_of_key
SELECT start, decision, SUM(requests) FROM usage_hour
WHERE key_id = %s AND start >= CAST(%s AS BIGINT) AND start < CAST(%s AS BIGINT)
  AND (CAST(%s AS TEXT) IS NULL OR environment = %s) AND (CAST(%s AS TEXT) IS NULL OR account_id = %s)
GROUP BY start, decision ORDER BY start, decision

-- name: usage_day_of_key
SELECT start, decision, SUM(requests) FROM usage_day
WHERE key_id = %s AND start >= CAST(%s AS BIGINT) AND start < CAST(%s AS BIGINT)
  AND (CAST(%s AS TEXT) IS NULL OR environment = %s) AND (CAST(%s AS TEXT) IS NULL OR account_id = %s)
GROUP BY start, decision ORDER BY start, decision

-- name: usage_hour_of_account
SELECT start, decision, SUM(requests) FROM usage_hour
WHERE account_id = %s AND start >= CAST(%s AS BIGINT) AND start < CAST(%s AS BIGINT)
  AND (CAST(%s AS TEXT) IS NULL OR environment = %s)
GROUP BY start, decision ORDER BY start, decision

-- name: usage_day_of_account
SELECT start, decision, SUM(requests) FROM usage_day
WHERE account_id = %s AND start >= CAST(%s AS BIGINT) AND start < CAST(%s AS BIGINT)
  AND (CAST(%s AS TEXT) IS NULL OR environment = %s)
GROUP BY start, decision ORDER BY start, decision

-- name: usage_hour_of_all
SELECT start, decision, SUM(requests) FROM usage_hour
WHERE start >= CAST(%s AS BIGINT) AND start < CAST(%s AS BIGINT)
  AND (CAST(%s AS TEXT) IS NULL OR environment = %s)
GROUP BY start, decision ORDER BY start, decision

-- name: usage_day_of_all
SELECT start, decision, SUM(requests) FROM usage_day
WHERE start >= CAST(%s AS BIGINT) AND start < CAST(%s AS BIGINT)
  AND (CAST(%s AS TEXT) IS NULL OR environment = %s)
GROUP BY start, decision ORDER BY start, decision

-- name: producers
-- scan: all are wanted, one row for each process that wrote events and is not forgotten
SELECT producer, contiguous, beyond, lost, first_seen, last_seen FROM producers ORDER BY last_seen DESC

-- name: networks_of_key
SELECT network, first_seen, last_seen, requests FROM known_networks WHERE key_id = %s
ORDER BY last_seen DESC, network

-- --- alerts --------------------------------------------------------------------------

-- name: alert_get
SELECT seq, id, kind, severity, status, account_id, key_id, subject, message, details, count, first_seen,
       last_seen, acknowledged_by
FROM alerts WHERE id = %s AND (CAST(%s AS TEXT) IS NULL OR account_id = %s)

-- name: alert_list_all
SELECT seq, id, kind, severity, status, account_id, key_id, subject, message, details, count, first_seen,
       last_seen, acknowledged_by
FROM alerts
WHERE seq < CAST(%s AS BIGINT)
  AND (CAST(%s AS TEXT) IS NULL OR kind = %s)
  AND (CAST(%s AS TEXT) IS NULL OR status = %s)
  AND (CAST(%s AS TEXT) IS NULL OR severity = %s)
ORDER BY seq DESC LIMIT CAST(%s AS BIGINT)

-- name: alert_list_account
SELECT seq, id, kind, severity, status, account_id, key_id, subject, message, details, count, first_seen,
       last_seen, acknowledged_by
FROM alerts
WHERE seq < CAST(%s AS BIGINT)
  AND (CAST(%s AS TEXT) IS NULL OR kind = %s)
  AND (CAST(%s AS TEXT) IS NULL OR status = %s)
  AND (CAST(%s AS TEXT) IS NULL OR severity = %s)
  AND account_id = %s
ORDER BY seq DESC LIMIT CAST(%s AS BIGINT)

-- name: alert_list_key
SELECT seq, id, kind, severity, status, account_id, key_id, subject, message, details, count, first_seen,
       last_seen, acknowledged_by
FROM alerts
WHERE seq < CAST(%s AS BIGINT)
  AND (CAST(%s AS TEXT) IS NULL OR kind = %s)
  AND (CAST(%s AS TEXT) IS NULL OR status = %s)
  AND (CAST(%s AS TEXT) IS NULL OR severity = %s)
  AND key_id = %s AND (CAST(%s AS TEXT) IS NULL OR account_id = %s)
ORDER BY seq DESC LIMIT CAST(%s AS BIGINT)

-- An alert is not opened again beside another one of the same kind and subject.
-- name: alert_set_status
UPDATE alerts
SET status = %s, acknowledged_by = %s
WHERE id = %s
  AND NOT EXISTS (SELECT 1 FROM alerts o
                  WHERE o.kind = alerts.kind AND o.subject = alerts.subject AND o.status <> 'resolved'
                    AND o.id <> alerts.id)

-- --- webhooks --------------------------------------------------------------------------

-- name: webhook_add
INSERT INTO webhooks (id, account_id, url, description, secret, created_at, created_by)
VALUES (%s, %s, %s, %s, %s, CAST(%s AS BIGINT), %s)

-- name: webhook_count
SELECT COUNT(*) FROM webhooks WHERE account_id = %s

-- name: webhook_get
SELECT seq, id, account_id, url, description, status, old_secret_until, created_at, created_by
FROM webhooks WHERE id = %s AND (CAST(%s AS TEXT) IS NULL OR account_id = %s)

-- name: webhook_list_all
SELECT seq, id, account_id, url, description, status, old_secret_until, created_at, created_by
FROM webhooks WHERE seq < CAST(%s AS BIGINT) ORDER BY seq DESC LIMIT CAST(%s AS BIGINT)

-- name: webhook_list_account
SELECT seq, id, account_id, url, description, status, old_secret_until, created_at, created_by
FROM webhooks WHERE seq < CAST(%s AS BIGINT) AND account_id = %s ORDER BY seq DESC LIMIT CAST(%s AS BIGINT)

-- The secret of before goes on signing beside the new one for a while.
-- name: webhook_rotate
UPDATE webhooks SET old_secret = secret, old_secret_until = CAST(%s AS BIGINT), secret = %s WHERE id = %s

-- name: webhook_remove
DELETE FROM webhooks WHERE id = %s

-- name: webhook_outbox_remove
DELETE FROM outbox WHERE sink = 'webhook' AND target = %s

-- name: webhook_deliveries_remove
DELETE FROM webhook_deliveries WHERE webhook_id = %s

-- name: webhook_test
INSERT INTO outbox (sink, target, alert_id, body, next_at, created_at)
VALUES ('webhook', %s, %s, %s, CAST(%s AS BIGINT), CAST(%s AS BIGINT))

-- name: webhook_deliveries
SELECT seq, alert_id, kind, at, attempt, outcome, http_status, error, duration_ms, next_at
FROM webhook_deliveries
WHERE webhook_id = %s AND seq < CAST(%s AS BIGINT) ORDER BY seq DESC LIMIT CAST(%s AS BIGINT)

-- --- the audit log -------------------------------------------------------------------

-- name: audit_add
INSERT INTO audit_log (at, actor, account_id, action, target, address, details)
VALUES (CAST(%s AS BIGINT), %s, %s, %s, %s, %s, %s)

-- name: audit_list_all
SELECT seq, at, actor, account_id, action, target, address, details FROM audit_log
WHERE seq < CAST(%s AS BIGINT) AND (CAST(%s AS TEXT) IS NULL OR action = %s)
ORDER BY seq DESC LIMIT CAST(%s AS BIGINT)

-- name: audit_list_account
SELECT seq, at, actor, account_id, action, target, address, details FROM audit_log
WHERE seq < CAST(%s AS BIGINT) AND (CAST(%s AS TEXT) IS NULL OR action = %s) AND account_id = %s
ORDER BY seq DESC LIMIT CAST(%s AS BIGINT)

-- name: audit_list_target
SELECT seq, at, actor, account_id, action, target, address, details FROM audit_log
WHERE seq < CAST(%s AS BIGINT) AND (CAST(%s AS TEXT) IS NULL OR action = %s)
  AND target = %s AND (CAST(%s AS TEXT) IS NULL OR account_id = %s)
ORDER BY seq DESC LIMIT CAST(%s AS BIGINT)

-- --- auditd -----------------------------------------------------------------------------

-- One auditd's transaction waits for another's.
-- name: aud_serialise
-- driver: pgsql
SELECT pg_advisory_xact_lock(1634428282)

-- The right to be the only auditd belongs to the session that holds this lock.
-- name: aud_single_try
-- driver: pgsql
SELECT CASE WHEN pg_try_advisory_lock(1634428283) THEN 1 ELSE 0 END

-- name: aud_single_held
-- driver: pgsql
-- scan: the server's own list of locks
SELECT COUNT(*) FROM pg_locks
WHERE locktype = 'advisory' AND classid = 0 AND objid = 1634428283 AND objsubid = 1 AND granted
  AND pid = pg_backend_pid()

-- name: aud_producer_get
SELECT contiguous, beyond, lost, first_seen FROM producers WHERE producer = %s

-- name: aud_producer_put
INSERT INTO producers (producer, contiguous, beyond, lost, gap_since, first_seen, last_seen)
VALUES (%s, CAST(%s AS BIGINT), %s, CAST(%s AS BIGINT), CAST(%s AS BIGINT), CAST(%s AS BIGINT),
        CAST(%s AS BIGINT))
ON CONFLICT (producer) DO UPDATE
SET contiguous = excluded.contiguous, beyond = excluded.beyond, lost = excluded.lost,
    gap_since = excluded.gap_since, last_seen = excluded.last_seen

-- name: aud_producers_with_gaps
SELECT producer FROM producers WHERE gap_since <= CAST(%s AS BIGINT)
ORDER BY gap_since LIMIT CAST(%s AS BIGINT)

-- name: aud_producers_prune
DELETE FROM producers WHERE last_seen < CAST(%s AS BIGINT)

-- name: aud_usage_hour_add
INSERT INTO usage_hour (key_id, start, decision, account_id, environment, requests)
VALUES (%s, CAST(%s AS BIGINT), %s, %s, %s, CAST(%s AS BIGINT))
ON CONFLICT (key_id, start, decision) DO UPDATE SET requests = usage_hour.requests + excluded.requests

-- name: aud_usage_day_add
INSERT INTO usage_day (key_id, start, decision, account_id, environment, requests)
VALUES (%s, CAST(%s AS BIGINT), %s, %s, %s, CAST(%s AS BIGINT))
ON CONFLICT (key_id, start, decision) DO UPDATE SET requests = usage_day.requests + excluded.requests

-- name: aud_usage_month_add
INSERT INTO usage_month (account_id, month, requests)
VALUES (%s, CAST(%s AS BIGINT), CAST(%s AS BIGINT))
ON CONFLICT (account_id, month) DO UPDATE SET requests = usage_month.requests + excluded.requests

-- name: aud_activity_get
SELECT first_used FROM key_activity WHERE key_id = %s

-- Events of a key may come late: the first use, the last one and its address are by their own time.
-- name: aud_activity_put
INSERT INTO key_activity (key_id, first_used, last_used, last_address)
VALUES (%s, CAST(%s AS BIGINT), CAST(%s AS BIGINT), %s)
ON CONFLICT (key_id) DO UPDATE
SET first_used = CASE WHEN excluded.first_used < key_activity.first_used
                      THEN excluded.first_used ELSE key_activity.first_used END,
    last_address = CASE WHEN excluded.last_used >= key_activity.last_used
                        THEN excluded.last_address ELSE key_activity.last_address END,
    last_used = CASE WHEN excluded.last_used > key_activity.last_used
                     THEN excluded.last_used ELSE key_activity.last_used END

-- name: aud_network_touch
UPDATE known_networks
SET first_seen = CASE WHEN CAST(%s AS BIGINT) < first_seen THEN CAST(%s AS BIGINT) ELSE first_seen END,
    last_seen = CASE WHEN CAST(%s AS BIGINT) > last_seen THEN CAST(%s AS BIGINT) ELSE last_seen END,
    requests = requests + CAST(%s AS BIGINT)
WHERE key_id = %s AND network = %s

-- name: aud_network_add
INSERT INTO known_networks (key_id, network, first_seen, last_seen, requests)
VALUES (%s, %s, CAST(%s AS BIGINT), CAST(%s AS BIGINT), CAST(%s AS BIGINT))

-- name: aud_network_count
SELECT COUNT(*) FROM known_networks WHERE key_id = %s AND network <> %s

-- name: aud_key_name
SELECT prefix, name FROM api_keys WHERE id = %s

-- name: aud_keys_expiring
SELECT k.id, k.account_id, k.prefix, k.name, k.created_at, k.expires_at, k.seq, s.state,
       CASE WHEN k.auto_renew = 1 AND a.plan = 'enterprise' THEN 1 ELSE 0 END
FROM api_keys k JOIN accounts a ON a.id = k.account_id
LEFT JOIN detector_state s ON s.detector = %s AND s.subject = k.id
WHERE k.expires_at >= CAST(%s AS BIGINT) AND (k.expires_at > CAST(%s AS BIGINT) OR k.seq > CAST(%s AS BIGINT))
  AND k.expires_at <= CAST(%s AS BIGINT) AND k.status = 'active' AND k.rotated_to IS NULL
ORDER BY k.expires_at, k.seq LIMIT CAST(%s AS BIGINT)

-- name: aud_keys_expired
SELECT k.id, k.account_id, k.prefix, k.name, k.expires_at, a.last_used
FROM api_keys k LEFT JOIN detector_state s ON s.detector = %s AND s.subject = k.id
LEFT JOIN key_activity a ON a.key_id = k.id
WHERE k.expires_at > CAST(%s AS BIGINT) AND k.expires_at <= CAST(%s AS BIGINT)
  AND k.status = 'active' AND k.rotated_to IS NULL
  AND (s.state IS NULL OR s.state <> CAST(k.expires_at AS TEXT))
ORDER BY k.expires_at LIMIT CAST(%s AS BIGINT)

-- The state is the time of the next reminder.
-- name: aud_keys_to_rotate
SELECT k.id, k.account_id, k.prefix, k.name, k.environment, k.created_at
FROM api_keys k LEFT JOIN detector_state s ON s.detector = %s AND s.subject = k.id
WHERE k.seq > 0 AND k.status = 'active' AND k.rotated_to IS NULL
  AND (k.expires_at IS NULL OR k.expires_at > CAST(%s AS BIGINT))
  AND k.created_at <= CASE k.environment WHEN 'live' THEN CAST(%s AS BIGINT) ELSE CAST(%s AS BIGINT) END
  AND (s.state IS NULL OR CAST(s.state AS BIGINT) <= CAST(%s AS BIGINT))
ORDER BY k.seq LIMIT CAST(%s AS BIGINT)

-- The state is the last use, or else the time of making, that was told.
-- name: aud_keys_unused
SELECT k.id, k.account_id, k.prefix, k.name, k.created_at, a.last_used
FROM api_keys k LEFT JOIN key_activity a ON a.key_id = k.id
LEFT JOIN detector_state s ON s.detector = %s AND s.subject = k.id
WHERE k.seq > 0 AND k.status = 'active' AND k.rotated_to IS NULL
  AND (k.expires_at IS NULL OR k.expires_at > CAST(%s AS BIGINT))
  AND k.created_at <= CAST(%s AS BIGINT) AND (a.last_used IS NULL OR a.last_used <= CAST(%s AS BIGINT))
  AND (s.state IS NULL OR s.state <> CAST(COALESCE(a.last_used, k.created_at) AS TEXT))
ORDER BY k.seq LIMIT CAST(%s AS BIGINT)

-- name: aud_keys_used_again
SELECT s.subject FROM detector_state s JOIN key_activity a ON a.key_id = s.subject
WHERE s.detector = %s AND a.last_used > CAST(s.state AS BIGINT)

-- name: aud_keys_to_renew
SELECT k.id, k.expires_at, k.created_at, s.state
FROM api_keys k JOIN accounts a ON a.id = k.account_id
LEFT JOIN detector_state s ON s.detector = %s AND s.subject = k.id
WHERE k.expires_at > CAST(%s AS BIGINT) AND k.expires_at <= CAST(%s AS BIGINT)
  AND k.auto_renew = 1 AND k.status = 'active' AND k.rotated_to IS NULL AND a.plan = 'enterprise'
ORDER BY k.expires_at

-- When somebody last set a key's expiry.
-- name: aud_expiry_set_at
SELECT at FROM audit_log
WHERE target = %s AND action = 'key.update' AND details LIKE '%%"expires_at"%%'
ORDER BY seq DESC LIMIT 1

-- name: aud_states_of
SELECT subject, state FROM detector_state WHERE detector = %s ORDER BY subject

-- name: aud_key_expiry
SELECT account_id, prefix, name, expires_at FROM api_keys WHERE id = %s

-- name: aud_quota_get
SELECT a.quota_used_month, COALESCE(a.quota_month, p.quota_month), COALESCE(u.requests, 0), a.name
FROM accounts a
JOIN plans p ON p.name = a.plan
LEFT JOIN usage_month u ON u.account_id = a.id AND u.month = CAST(%s AS BIGINT)
WHERE a.id = %s

-- name: aud_quota_mark
UPDATE accounts SET quota_used_month = CAST(%s AS BIGINT)
WHERE id = %s AND quota_used_month < CAST(%s AS BIGINT)

-- name: aud_state_get
SELECT state FROM detector_state WHERE detector = %s AND subject = %s

-- name: aud_state_put
INSERT INTO detector_state (detector, subject, state, expires_at) VALUES (%s, %s, %s, CAST(%s AS BIGINT))
ON CONFLICT (detector, subject) DO UPDATE SET state = excluded.state, expires_at = excluded.expires_at

-- name: aud_state_drop
DELETE FROM detector_state WHERE detector = %s AND subject = %s

-- name: aud_state_prune
DELETE FROM detector_state WHERE expires_at < CAST(%s AS BIGINT)

-- name: aud_alert_repeat
UPDATE alerts
SET count = count + CAST(%s AS BIGINT), message = %s, details = %s,
    last_seen = CASE WHEN CAST(%s AS BIGINT) > last_seen THEN CAST(%s AS BIGINT) ELSE last_seen END
WHERE kind = %s AND subject = %s AND status <> 'resolved'

-- name: aud_alert_add
INSERT INTO alerts (id, kind, severity, account_id, key_id, subject, message, details, count, first_seen,
                    last_seen)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, CAST(%s AS BIGINT), CAST(%s AS BIGINT), CAST(%s AS BIGINT))

-- name: aud_alert_resolve
UPDATE alerts SET status = 'resolved' WHERE kind = %s AND subject = %s AND status <> 'resolved'

-- Of notices whose subject is a key: it is revoked or has a successor by now.
-- name: aud_alerts_settle
UPDATE alerts SET status = 'resolved'
WHERE kind = %s AND status <> 'resolved'
  AND EXISTS (SELECT 1 FROM api_keys k
              WHERE k.id = alerts.subject AND (k.status = 'revoked' OR k.rotated_to IS NOT NULL))

-- name: aud_alerts_all
-- scan: the alerts of a replay, on its own scratch database
SELECT kind, severity, status, account_id, key_id, subject, message, details, count, first_seen, last_seen
FROM alerts ORDER BY seq

-- name: aud_outbox_add
INSERT INTO outbox (sink, alert_id, body, next_at, created_at)
VALUES (%s, %s, %s, CAST(%s AS BIGINT), CAST(%s AS BIGINT))

-- name: aud_outbox_add_webhooks
INSERT INTO outbox (sink, target, alert_id, body, next_at, created_at)
SELECT 'webhook', id, CAST(%s AS TEXT), CAST(%s AS TEXT), CAST(%s AS BIGINT), CAST(%s AS BIGINT)
FROM webhooks WHERE account_id = %s AND status = 'active'

-- name: aud_outbox_add_contact
INSERT INTO outbox (sink, target, alert_id, body, next_at, created_at)
SELECT 'email', id, CAST(%s AS TEXT), CAST(%s AS TEXT), CAST(%s AS BIGINT), CAST(%s AS BIGINT)
FROM accounts WHERE id = %s AND contact IS NOT NULL

-- The oldest that is due for each receiver, and what is known of it.
-- name: aud_outbox_due
SELECT o.seq, o.sink, o.target, o.alert_id, o.body, o.attempts, o.created_at, w.url, w.secret,
       CASE WHEN w.old_secret_until > CAST(%s AS BIGINT) THEN w.old_secret END, w.status, a.contact,
       (SELECT MAX(x.attempts) FROM outbox x WHERE x.sink = o.sink AND x.target = o.target)
FROM outbox o
LEFT JOIN webhooks w ON w.id = o.target
LEFT JOIN accounts a ON a.id = o.target
WHERE o.seq IN (SELECT MIN(seq) FROM outbox WHERE next_at <= CAST(%s AS BIGINT) GROUP BY sink || ' ' || target)
ORDER BY o.seq LIMIT CAST(%s AS BIGINT)

-- name: aud_outbox_done
DELETE FROM outbox WHERE seq = CAST(%s AS BIGINT)

-- name: aud_outbox_later
UPDATE outbox SET attempts = CAST(%s AS BIGINT), next_at = CAST(%s AS BIGINT) WHERE seq = CAST(%s AS BIGINT)

-- A receiver that fails is not tried for the rest of what waits for it ...
-- name: aud_outbox_hold
UPDATE outbox SET next_at = CAST(%s AS BIGINT) WHERE sink = %s AND target = %s AND next_at < CAST(%s AS BIGINT)

-- ... and gets all of it as soon as it takes something.
-- name: aud_outbox_release
UPDATE outbox SET next_at = CAST(%s AS BIGINT) WHERE sink = %s AND target = %s AND next_at > CAST(%s AS BIGINT)

-- name: aud_outbox_drop
DELETE FROM outbox WHERE sink = %s AND target = %s

-- name: aud_webhook_disable
UPDATE webhooks SET status = 'disabled' WHERE id = %s AND status = 'active'

-- name: aud_webhook_account
SELECT account_id FROM webhooks WHERE id = %s

-- A webhook that was removed meanwhile has no log.
-- name: aud_delivery_add
INSERT INTO webhook_deliveries (webhook_id, alert_id, kind, at, attempt, outcome, http_status, error, duration_ms,
                                next_at)
SELECT id, CAST(%s AS TEXT), CAST(%s AS TEXT), CAST(%s AS BIGINT), CAST(%s AS BIGINT), CAST(%s AS TEXT),
       CAST(%s AS BIGINT), CAST(%s AS TEXT), CAST(%s AS BIGINT), CAST(%s AS BIGINT)
FROM webhooks WHERE id = %s

-- name: aud_deliveries_prune
DELETE FROM webhook_deliveries WHERE at < CAST(%s AS BIGINT)
