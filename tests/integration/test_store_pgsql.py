"""The store on PostgreSQL: apikeyctl's own tests again, the plans of all statements, and outages."""
import getpass
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

import test_apikeyctl
from stack import ROOT
from test_apikeyctl import DONE, REFUSED, UNREACHABLE, Ctl, add_alert, segments  # noqa: F401 (a fixture)

# The same promises on the other database: these tests take the fixture ctl of this file.
from test_apikeyctl import (  # noqa: F401
    test_a_key_is_made_and_its_secret_told_once, test_a_newer_schema_is_left_alone,
    test_a_thousand_keys_are_listed_once_each, test_accounts, test_accounts_over_pages, test_alerts,
    test_alerts_are_followed, test_events_that_are_not_counted_are_found, test_importing, test_lists_and_filters,
    test_one_wrong_line_imports_nothing, test_only_files_that_are_done_are_removed, test_pruning_forgets_old_changes,
    test_revoking, test_revoking_waits_for_the_nodes, test_rotating, test_usage, test_verifying,
    test_what_only_some_accounts_may)


SERVERS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
__test__ = bool(SERVERS)  # no server on this machine: this file is then no test at all


def programs():
    return SERVERS[-1].parent


class Server:
    """A PostgreSQL server on a socket in a folder of its own."""

    def __init__(self, folder):
        self.dir = folder
        self.user = "postgres" if os.geteuid() == 0 else getpass.getuser()
        if os.geteuid() == 0:
            subprocess.run(["chown", "postgres", folder], check=True)
        self.run(programs() / "initdb", "-D", folder / "data", "-A", "trust", "-U", "apikey", "-E", "UTF8", "--no-sync",
                 "--locale=C.UTF-8")
        self.start()

    def run(self, *command):
        become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        subprocess.run([*become, *map(str, command)], check=True, stdout=subprocess.DEVNULL, cwd="/",
                       env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"})

    def start(self):
        self.run(programs() / "pg_ctl", "-D", self.dir / "data", "-w", "-l", self.dir / "log", "-o",
                 f"-k {self.dir} -c listen_addresses='' -c fsync=off", "start")

    def stop(self):
        self.run(programs() / "pg_ctl", "-D", self.dir / "data", "-w", "-m", "immediate", "stop")

    def psql(self, database, text, *options):
        done = subprocess.run(["psql", "-h", self.dir, "-U", "apikey", "-d", database, "-XAtq", "-v", "ON_ERROR_STOP=1",
                               *options], input=text, text=True, capture_output=True)
        assert done.returncode == 0, (text, done.stderr)
        return done.stdout.strip()


@pytest.fixture(scope="module")
def server():
    with tempfile.TemporaryDirectory(prefix="ak-pg-", dir="/tmp") as folder:
        made = Server(Path(folder))
        yield made
        made.stop()


class PgCtl(Ctl):
    def __init__(self, folder, server, database):
        super().__init__(folder)
        self.server, self.database = server, database
        server.psql("postgres", f"CREATE DATABASE {database}")
        self.conninfo = f"host={server.dir} dbname={database} user=apikey"
        self.write_conf(f"database pgsql {self.conninfo}\npepper_file {folder}/pepper\nevents_dir {self.events}\n")

    def sql(self, text):
        return self.server.psql(self.database, text)


count = iter(range(1000000))


@pytest.fixture
def bare(tmp_path, server):
    return PgCtl(tmp_path, server, f"keys{next(count)}")


@pytest.fixture
def ctl(bare):
    assert bare.json("db", "init")["changed"] is True
    return bare


# --- the schema ---

def test_init_may_be_repeated_and_by_two_at_once(bare):
    running = [subprocess.Popen([test_apikeyctl.CTL, "-c", bare.conf, "--json", "db", "init"], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    ended = [(process.communicate(timeout=60), process.returncode) for process in running]
    assert [status for _, status in ended] == [DONE] * 3, ended
    assert bare.sql("SELECT COUNT(*) FROM accounts") == "1"
    assert bare.json("db", "check") == {"database": "pgsql", "schema": 1, "ok": True}


def test_databases_of_others_and_of_none(bare):
    bare.fails(REFUSED, "db", "check", says="is no mod_apikey database: create it with apikeyctl db init")
    bare.sql("CREATE TABLE recipes (name TEXT)")
    bare.fails(REFUSED, "db", "init", says="is no mod_apikey database")
    assert bare.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == "recipes"
    bare.write_conf("database pgsql dbname=none host=/nonexistent password=Sesame\n")
    assert "Sesame" not in bare.fails(UNREACHABLE, "key", "list", says="the PostgreSQL database cannot be reached")


def test_both_schemas_have_the_same_tables(ctl, tmp_path):
    """Table, column and whether it may be NULL: what differs between the two is only types."""
    other = Ctl(tmp_path / "lite") if (tmp_path / "lite").mkdir() is None else None
    other.json("db", "init")
    lite = other.sql("SELECT m.name || '.' || c.name || ' ' || (c.\"notnull\" OR c.pk) FROM sqlite_master m,"
                     " pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'")
    full = ctl.sql("SELECT c.table_name || '.' || c.column_name || ' ' || CASE is_nullable WHEN 'NO' THEN 1 ELSE 0 END"
                   " FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)"
                   " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'")
    assert len(full.splitlines()) > 80
    assert sorted(lite.splitlines()) == sorted(full.splitlines())
    indexes = r"SELECT name FROM sqlite_master WHERE type = 'index' AND name NOT LIKE 'sqlite%' ORDER BY name"
    named = set(other.sql(indexes).splitlines())
    assert named and named <= set(ctl.sql("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'").splitlines())


def statements():
    """(name, text, marks) of each statement that PostgreSQL runs."""
    name, text, marks, found = None, [], {}, []
    for line in (ROOT / "sql/queries.sql").read_text().splitlines() + ["-- name: END"]:
        mark = re.match(r"-- (name|driver|scan): *(.*)", line)
        if mark and mark[1] == "name":
            if name:
                found.append((name, " ".join(text), marks))
            name, text, marks = mark[2], [], {}
        elif mark:
            marks[mark[1]] = mark[2]
        elif name and not line.startswith("--"):
            text.append(line)
    assert len(found) > 60
    return [each for each in found if each[2].get("driver") != "sqlite3"]


def test_each_statement_is_served_by_an_index(ctl):
    wrong, scans = [], 0
    for name, text, marks in statements():
        arguments = text.count("%s")
        for number in range(arguments):
            text = text.replace("%s", f"${number + 1}", 1)
        types = "(" + ", ".join(["varchar"] * arguments) + ")" if arguments else ""
        nulls = "(" + ", ".join(["NULL"] * arguments) + ")" if arguments else ""
        plan = ctl.sql("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan;"
                       f"PREPARE it {types} AS {text.replace('%%', '%')}; EXPLAIN EXECUTE it{nulls}")
        scans += "Seq Scan" in plan
        if "Seq Scan" in plan and "scan" not in marks:
            wrong.append(f"{name}: {plan}")
    assert not wrong, "\n".join(wrong)
    assert scans >= 1  # the eye that looks for scans sees those that are there


# --- what only a server can do ---

def test_changes_become_visible_in_the_order_of_their_numbers(ctl):
    """Whoever adds to the change log waits for an earlier one's commit."""
    first = subprocess.Popen(["psql", "-h", ctl.server.dir, "-U", "apikey", "-d", ctl.database, "-XAtq"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    first.stdin.write("BEGIN; SELECT 'locked' || pg_advisory_xact_lock(1634428281)::text;"
                      " INSERT INTO change_log (key_id, at) VALUES ('key_first', 1); SELECT 'ready';\n")
    first.stdin.flush()
    while first.stdout.readline() != "ready\n":
        pass
    second = subprocess.Popen([test_apikeyctl.CTL, "-c", ctl.conf, "--json", "key", "create", "--name", "second",
                               "--permissions", "tasks:read"], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while ctl.sql("SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") != "1":
        assert second.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    assert ctl.sql("SELECT COUNT(*) FROM change_log") == "0"
    first.communicate("COMMIT;\n", timeout=60)
    assert second.wait(60) == DONE
    second.stdout.close()
    rows = ctl.sql("SELECT key_id FROM change_log ORDER BY seq").splitlines()
    assert rows[0] == "key_first" and len(rows) == 2


def test_words_of_the_server_that_hold_a_value_are_left_out(ctl):
    ctl.sql("ALTER TABLE api_keys ADD CONSTRAINT unwanted CHECK (name <> 'Sesame')")
    said = ctl.fails(UNREACHABLE, "key", "create", "--name", "Sesame", "--permissions", "tasks:read", says="unwanted")
    assert "Sesame" not in said and not re.search(r"[0-9a-f]{32}", said)
    assert said.count("\n") == 1
    assert ctl.sql("SELECT COUNT(*) FROM change_log") == "0"


def test_a_restart_of_the_server_is_survived(ctl):
    add_alert(ctl, 0)
    running = subprocess.Popen([test_apikeyctl.CTL, "-c", ctl.conf, "--json", "alerts", "--follow"], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert '"alert_0"' in running.stdout.readline()
        ctl.server.stop()
        try:
            ctl.fails(UNREACHABLE, "status", says="cannot be reached")
        finally:
            ctl.server.start()
        add_alert(ctl, 1)
        assert '"alert_1"' in running.stdout.readline()
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == DONE
    finally:
        running.kill()
        running.communicate()


def test_a_stale_connection_costs_no_failure(ctl):
    """The server cuts every connection; the next select finds out and connects anew."""
    add_alert(ctl, 0)
    running = subprocess.Popen([test_apikeyctl.CTL, "-c", ctl.conf, "--json", "alerts", "--follow"], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert '"alert_0"' in running.stdout.readline()
        cut = ctl.sql("SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity"
                      f" WHERE datname = '{ctl.database}' AND pid <> pg_backend_pid()")
        assert int(cut) >= 1
        add_alert(ctl, 1)
        assert '"alert_1"' in running.stdout.readline()
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == DONE
        assert running.stderr.read() == ""
    finally:
        running.kill()
        running.communicate()


def test_the_connection_may_stand_in_a_file(ctl):
    (ctl.dir / "connection").write_text(ctl.conninfo + "\n")
    ctl.write_conf(f"database pgsql @{ctl.dir}/connection\npepper_file {ctl.dir}/pepper\n")
    assert ctl.json("db", "check")["ok"] is True
    ctl.write_conf(f"database pgsql postgresql:///{ctl.database}?host={ctl.server.dir}&user=apikey\n")
    assert ctl.json("db", "check")["ok"] is True
    ctl.write_conf(f"database pgsql @{ctl.dir}/none\n")
    ctl.fails(UNREACHABLE, "db", "check", says="cannot be read")
