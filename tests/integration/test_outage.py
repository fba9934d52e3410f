"""Our own outage is 503 with Retry-After, never 401, and heals by itself."""
import os
import signal
import subprocess
import time

import pytest

from keys import well_formed
from stack import wait

STALE = 'APIKeyOnStoreFailure stale=60\n'


@pytest.fixture
def site(start_stack):
    return start_stack()


def expect_503(answer):
    assert (answer.status, answer.code) == (503, "store_unavailable"), answer
    assert int(answer.header("Retry-After")) >= 1
    assert answer.header("WWW-Authenticate") is None


def make_warm_key(stack):
    """A key that the table holds, and that no change which is still to be followed will drop."""
    key = stack.make_key()
    assert stack.get("/v1/tasks", key["key"]).status == 200
    time.sleep(0.5)
    assert stack.get("/v1/tasks", key["key"]).status == 200
    return key


def hide_tables(stack):
    """A database without its tables: what a wrong or half restored file looks like."""
    stack.sql("BEGIN IMMEDIATE; ALTER TABLE api_keys RENAME TO hidden_keys;"
              " ALTER TABLE change_log RENAME TO hidden_log; COMMIT")


def show_tables(stack):
    stack.sql("BEGIN IMMEDIATE; ALTER TABLE hidden_keys RENAME TO api_keys;"
              " ALTER TABLE hidden_log RENAME TO change_log; COMMIT")


def hold_lock(stack):
    """A process that holds the database's write lock until its standard input is closed."""
    command = [stack.conf("as-service"), "sqlite3", "-cmd", ".timeout 10000", str(stack.dir / "apikey.db")]
    holder = subprocess.Popen(command, env=stack.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    holder.stdin.write("BEGIN IMMEDIATE;\nSELECT 'held';\n")
    holder.stdin.flush()
    assert holder.stdout.readline().strip() == "held"
    return holder


def release(holder):
    holder.stdin.write("ROLLBACK;\n")
    holder.stdin.close()
    holder.wait()


def test_locked(site):
    key = site.make_key()
    holder = hold_lock(site)
    try:
        assert site.get("/v1/tasks", key["key"]).status == 200      # reading goes on
        expect_503(site.manage("POST", "/v1/api-keys", {"name": "x", "permissions": ["tasks:read"]}))
    finally:
        release(holder)
    made = wait(lambda: (answer := site.manage("POST", "/v1/api-keys", {"name": "x", "permissions": ["tasks:read"]}))
                .status == 201 and answer, what="the database to be writable")
    assert site.get("/v1/tasks", made.json()["key"]).status == 200


def test_without_tables(site):
    cold, warm = site.make_key(), make_warm_key(site)
    hide_tables(site)
    try:
        expect_503(site.get("/v1/tasks", cold["key"]))
        expect_503(site.get("/v1/tasks", well_formed(), address="192.0.2.71"))
        wait(lambda: site.get("/v1/tasks", warm["key"]).status == 503, what="the bound to pass")
        expect_503(site.get("/v1/tasks", warm["key"]))
        expect_503(site.manage("GET", "/v1/api-keys"))
        expect_503(site.manage("GET", "/v1/permissions"))
        assert site.get("/v1/tasks", "sk_live_abc", address="192.0.2.71").status == 401   # needs no look-up
        assert site.get("/v1/tasks", address="192.0.2.71").status == 401
        assert site.get("/open").status == 200
        assert site.get("/healthz").status == 200
        wait(lambda: site.get("/readyz").status == 503, what="not being ready")
    finally:
        show_tables(site)
    for key in (warm, cold):
        wait(lambda: site.get("/v1/tasks", key["key"]).status == 200, what="the service to heal")
    wait(lambda: site.get("/v1/tasks", well_formed(), address="192.0.2.71").code == "unknown_key",
         what="every process to heal")


def test_known_keys_may_go_on(start_stack):
    site = start_stack(STALE)
    cold, warm = site.make_key(), make_warm_key(site)
    hide_tables(site)
    try:
        for _ in range(30):
            assert site.get("/v1/tasks", warm["key"]).status == 200
        expect_503(site.get("/v1/tasks", cold["key"]))
    finally:
        show_tables(site)
    wait(lambda: site.get("/v1/tasks", cold["key"]).status == 200, what="the service to heal")


@pytest.mark.parametrize("damage", ["missing", "garbage"])
def test_the_file_is_replaced(site, damage):
    """New processes find no database, or a file that is none; then the right one is put back."""
    key = site.make_key()
    database = site.dir / "apikey.db"
    site.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    aside = site.dir / "apikey.db.aside"
    os.rename(database, aside)
    if damage == "garbage":
        database.write_bytes(os.urandom(65536))
    try:
        for child in site.children():
            site.kill_child(child)
        answer = wait(lambda: attempt(site, key), what="new children")
        expect_503(answer)
        for _ in range(5):
            assert site.get("/v1/tasks", key["key"]).status == 503
    finally:
        os.rename(aside, database)
    wait(lambda: site.get("/v1/tasks", key["key"]).status == 200, what="the service to heal")
    wait(lambda: site.get("/v1/tasks", well_formed(), address="192.0.2.72").code == "unknown_key",
         what="every process to heal")


def attempt(site, key):
    try:
        return site.get("/v1/tasks", key["key"])
    except OSError:
        return None


def test_the_log_tells_once_a_minute(site):
    key = site.make_key()
    hide_tables(site)
    try:
        before = len(site.log("error.log").splitlines())
        for _ in range(100):
            expect_503(site.get("/v1/tasks", key["key"]))
        told = site.log("error.log").splitlines()[before:]
    finally:
        show_tables(site)
    told = [line for line in told if "apikey:error" in line]
    assert 1 <= len(told) <= 2 * len(site.children()), told     # once a minute and process
    assert all("database" in line for line in told)


def test_counters_out_of_reach(start_stack):
    """No more than the limit is admitted while memcached is away; it comes back by itself."""
    site = start_stack(rate_store="memcached")
    key = site.make_key(account_id=site.make_account("enterprise"), rate_limit={"per_minute": 5, "per_hour": 1000})
    assert site.get("/v1/tasks", key["key"]).status == 200
    site.kill("memcached", signal.SIGKILL)
    site.wait_gone("memcached")
    answers = [site.get("/v1/tasks", key["key"]) for _ in range(10)]
    assert set(answer.status for answer in answers) <= {200, 429, 503}
    assert sum(answer.status == 200 for answer in answers) <= 4
    assert not [answer for answer in answers if answer.status == 503 and not answer.header("Retry-After")]
    site.start()
    other = site.make_key()
    wait(lambda: site.get("/v1/tasks", other["key"]).status == 200, what="the counters to come back")


def test_auditd_away(site):
    """Requests go on without auditd, and are counted when it is back."""
    key = site.make_key()
    site.kill("auditd", signal.SIGKILL)
    site.wait_gone("auditd")
    for _ in range(5):
        assert site.get("/v1/tasks", key["key"]).status == 200
    site.start()

    def usage():
        return site.manage("GET", f"/v1/api-keys/{key['id']}").json()["usage"]["requests_today"]

    wait(lambda: usage() == 5, seconds=30, what="the figures")
