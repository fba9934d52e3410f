"""auditd on PostgreSQL: the same figures, one at a time, and restarts of the server survived"""
import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from auditd import NOW, Auditd, event, events
from stack import ROOT, wait

PROGRAMS = max(Path("/usr/lib/postgresql").glob("*/bin"))


class Postgres:
    """A server of our own on a socket in its folder; root's rights are given up for it."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="apikey-pg-", dir="/tmp"))
        self.demote = []
        if os.getuid() == 0:
            user = pwd.getpwnam("www-data")
            os.chown(self.dir, user.pw_uid, user.pw_gid)
            self.demote = ["setpriv", "--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
        self.dir.chmod(0o755)
        subprocess.run([*self.demote, PROGRAMS / "initdb", "-D", self.dir / "data", "-A", "trust", "-U", "apikey",
                        "-E", "UTF8", "--no-sync"], check=True, capture_output=True, cwd="/tmp")
        self.start()

    def start(self):
        with open("/dev/null", "w") as nowhere:
            self.process = subprocess.Popen(
                [*self.demote, str(PROGRAMS / "postgres"), "-D", str(self.dir / "data"), "-k", str(self.dir),
                 "-c", "listen_addresses=", "-c", "fsync=off"],
                stdin=nowhere, stdout=nowhere, stderr=nowhere, cwd="/tmp")
        wait(lambda: self.run("postgres", "SELECT 1").returncode == 0, 30, "PostgreSQL to serve")

    def stop(self):
        self.process.send_signal(signal.SIGINT)   # ends sessions at once
        self.process.wait(timeout=60)

    def run(self, database, sql):
        return subprocess.run(["psql", "-h", str(self.dir), "-U", "apikey", "-d", database, "-v", "ON_ERROR_STOP=1",
                               "-XqAt", "-F", "\t", "-f", "-"], input=sql, capture_output=True, text=True)


@pytest.fixture(scope="module")
def server():
    made = Postgres()
    yield made
    made.stop()
    shutil.rmtree(made.dir)


class PgAuditd(Auditd):
    def __init__(self, server, name=None, **settings):
        self.server = server
        self.name = name or f"test_{secrets.token_hex(6)}"
        super().__init__(with_database=name is None,
                         **{"database": f"pgsql host={server.dir} user=apikey dbname={self.name}", **settings})

    def make_database(self):
        assert self.server.run("postgres", f"CREATE DATABASE {self.name}").returncode == 0
        self.sql((ROOT / "sql" / "pgsql" / "0001_init.sql").read_text())
        self.sql("INSERT INTO schema_version VALUES (1, 0)")
        self.sql("INSERT INTO accounts (id, name, plan, created_at) VALUES ('acct_default', 'Default', 'free', 0)"
                 " ON CONFLICT DO NOTHING")

    def sql(self, query, *arguments):
        """Rows of texts."""
        assert not arguments
        done = self.server.run(self.name, query)
        assert done.returncode == 0, done.stderr
        return [tuple(line.split("\t")) for line in done.stdout.splitlines()]

    def requests(self, key="key_one", table="usage_hour"):
        rows = self.sql(f"SELECT decision, SUM(requests) FROM {table} WHERE key_id = '{key}' GROUP BY decision")
        return {decision: int(count) for decision, count in rows}

    def kinds(self):
        return [row[0] for row in self.sql("SELECT kind FROM alerts ORDER BY seq")]


@pytest.fixture
def make(server):
    mine = []

    def made(**settings):
        mine.append(PgAuditd(server, **settings))
        return mine[-1]

    yield made
    for one in mine:
        one.remove()


def test_figures_and_repeats(make):
    auditd = make().start()
    assert auditd.post(events(100))["counted"] == 100
    assert auditd.post(events(100) + events(5, first=101))["counted"] == 5
    assert auditd.requests() == auditd.requests(table="usage_day") == {"ok": 105}
    assert auditd.sql("SELECT requests FROM usage_month") == [("105",)]
    assert auditd.sql("SELECT last_used, last_address FROM key_activity") == [(str(int(NOW)), "192.0.2.7")]
    assert auditd.sql("SELECT contiguous, beyond FROM producers") == [("105", "")]


def test_every_alert_and_the_outbox(make, tmp_path):
    auditd = make(new_ip_learning_seconds=0, events_lost_grace_seconds=1, alerts_file=tmp_path / "alerts")
    auditd.sql("UPDATE accounts SET quota_month = 3, plan = 'enterprise'")
    for name, days, expires, renews in (("one", 45, 3600, 0), ("idle", 100, None, 0), ("past", 45, -3600, 0),
                                        ("renewing", 45, 3600, 1)):
        auditd.sql("INSERT INTO api_keys (id, digest, account_id, environment, name, prefix, last_four, permissions,"
                   " created_at, created_by, expires_at, auto_renew) VALUES"
                   f" ('key_{name}', '{name}', 'acct_default', 'live', 'One', 'sk_live_abc...', 'wxyz', 'tasks:read',"
                   f" {int(NOW) - days * 86400}, 'test', {int(NOW) + expires if expires else 'NULL'}, {renews})")
    auditd.start()
    auditd.post(events(3) + [event(4, address="203.0.113.9", time=NOW + 1)]
                + events(20, first=5, decision="revoked_key", status=401)
                + events(2, first=25, decision="expired_key", status=401)
                + events(10, first=27, decision="rate_limit_exceeded", status=429) + events(1, first=40))
    wanted = ["auth_failures", "auth_failures", "events_lost", "expired_key_used", "key_expired", "key_expiring",
              "key_renewed", "new_ip", "quota_exceeded", "rate_limit_hits", "revoked_key_used", "rotation_due",
              "unused_key"]
    wait(lambda: sorted(auditd.kinds()) == wanted, 30, "every kind of alert")
    wait(lambda: auditd.sql("SELECT * FROM outbox") == [], what="the outbox to be empty")
    told = [json.loads(line)["kind"] for line in (tmp_path / "alerts").read_text().splitlines()]
    assert sorted(told) == wanted
    assert sorted(auditd.sql("SELECT DISTINCT key_id FROM change_log")) == [
        ("key_idle",), ("key_one",), ("key_past",), ("key_renewing",)]
    assert auditd.sql(f"SELECT expires_at > {int(NOW) + 45 * 86400} FROM api_keys WHERE id = 'key_renewing'") == [("t",)]
    auditd.post(events(1, first=41, decision="revoked_key", status=401))
    assert auditd.sql("SELECT count FROM alerts WHERE kind = 'revoked_key_used'") == [("21",)]


def test_a_restart_of_the_server_heals(make, server):
    auditd = make().start()
    auditd.post(events(10))
    server.stop()
    assert auditd.post_raw(event(11))[0] == 503
    server.start()
    wait(lambda: auditd.post_raw(event(11))[0] == 200, 30, "auditd to heal")
    server.stop()   # once more, with nothing asked in between
    server.start()
    wait(lambda: auditd.post_raw(event(12))[0] == 200, 30, "auditd to heal")
    assert auditd.requests() == {"ok": 12}


def test_the_server_is_away_at_the_start(make, server):
    auditd = make()
    server.stop()
    auditd.start()
    assert auditd.post_raw(event(1))[0] == 503
    server.start()
    wait(lambda: auditd.post_raw(event(1))[0] == 200, 30, "auditd to heal")


def test_the_second_waits(make, server):
    first = make().start()
    second = PgAuditd(server, name=first.name)
    try:
        second.launch()
        wait(lambda: "another apikey-auditd works on this database" in second.log(), what="the second to say so")
        assert not second.listens()
        first.post(events(1))
        first.stop(signal.SIGKILL)
        wait(second.listens, 30, "the second to take over")
        assert second.post(events(2)) == {"counted": 1, "repeated": 1, "quarantined": 0}
    finally:
        second.remove()


def test_a_lost_session_is_noticed(make, server):
    """The session that holds the lock is cut: auditd takes the lock anew before it goes on."""
    auditd = make().start()
    auditd.post(events(1))
    auditd.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 1634428283")
    wait(lambda: auditd.sql("SELECT COUNT(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
                            f" WHERE locktype = 'advisory' AND objid = 1634428283 AND d.datname = '{auditd.name}'")
         == [("1",)], 30, "the lock to be taken again")
    wait(lambda: auditd.post_raw(event(2))[0] == 200, 30, "auditd to go on")
    assert auditd.requests() == {"ok": 2}


def test_a_failure_in_the_middle_changes_nothing(make):
    auditd = make().start()
    auditd.post(events(2))
    auditd.sql("CREATE FUNCTION no() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'no'; END $$ LANGUAGE plpgsql;"
               "CREATE TRIGGER refuse BEFORE UPDATE ON producers FOR EACH ROW EXECUTE FUNCTION no()")
    assert auditd.post_raw("\n".join(events(5, first=3)))[0] == 503
    assert auditd.requests() == {"ok": 2}
    auditd.sql("DROP TRIGGER refuse ON producers")
    wait(lambda: auditd.post_raw("\n".join(events(5, first=3)))[0] == 200, 30, "auditd to heal")
    assert auditd.requests() == {"ok": 7}


def test_a_password_is_told_nowhere(make, server, tmp_path):
    secret = "pass" + secrets.token_hex(8)
    auditd = make(database=f"pgsql host={server.dir} user=apikey dbname=missing password={secret} nonsense=1")
    auditd.start()
    assert auditd.post_raw(event(1))[0] == 503
    assert secret not in auditd.log()
