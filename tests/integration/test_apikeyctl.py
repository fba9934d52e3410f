"""apikeyctl: every command with its exit status, its answers, and what it refuses."""
import hashlib
import json
import os
import pty
import re
import signal
import subprocess
import time

import pytest

from stack import BUILD, SANITIZE

CTL = BUILD / "apikeyctl"
VALGRIND = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite"]
DONE, REFUSED, USAGE, UNREACHABLE = 0, 1, 2, 3


class Ctl:
    """apikeyctl with a configuration and an SQLite file of its own."""

    def __init__(self, folder):
        self.dir = folder
        self.conf = folder / "apikey.conf"
        self.db = folder / "keys.db"
        self.events = folder / "events"
        self.events.mkdir()
        (folder / "pepper").write_text("0123456789abcdef0123456789abcdef\n")
        self.write_conf(f"database sqlite3 {self.db}\npepper_file {folder}/pepper\nevents_dir {self.events}\n")

    def write_conf(self, text):
        self.conf.write_text(text)

    def raw(self, *arguments, stdin="", conf=True, env=None, before=()):
        command = [*before, str(CTL), *(["-c", str(self.conf)] if conf else []), *map(str, arguments)]
        return subprocess.run(command, input=stdin, text=True, capture_output=True, timeout=120,
                              env={**os.environ, **(env or {})})

    def json(self, *arguments, stdin="", status=DONE):
        done = self.raw("--json", *arguments, stdin=stdin)
        assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout if done.stdout else done.stderr)

    def fails(self, status, *arguments, stdin="", says=""):
        """It fails with this status and says so, on standard error alone."""
        done = self.raw(*arguments, stdin=stdin)
        assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
        assert done.stdout == ""
        assert done.stderr.startswith("apikeyctl: ")
        assert says in done.stderr, done.stderr
        return done.stderr

    def sql(self, text):
        done = subprocess.run(["sqlite3", self.db, text], text=True, capture_output=True, check=True)
        return done.stdout.strip()

    def key(self, *options):
        return self.json("key", "create", "--name", "K", "--permissions", "tasks:read", *options)


@pytest.fixture
def ctl(tmp_path):
    ctl = Ctl(tmp_path)
    assert ctl.json("db", "init")["changed"] is True
    return ctl


@pytest.fixture
def bare(tmp_path):
    return Ctl(tmp_path)


# --- the line itself ---

def commands():
    listing = subprocess.run([CTL, "--help"], text=True, capture_output=True, check=True).stdout
    found = re.findall(r"^  ([a-z][a-z-]*(?: [a-z][a-z-]*)?)  +\S", listing, re.M)
    assert len(found) >= 20, listing
    return found


@pytest.mark.parametrize("command", commands())
def test_help_and_unknown_option_of_each_command(bare, command):
    done = bare.raw(*command.split(), "--help")
    assert done.returncode == DONE and done.stdout.startswith(f"usage: apikeyctl {command}"), done
    for option in re.findall(r"^  (--[a-z-]+)", done.stdout, re.M):
        assert option not in ("--json", "--help")
    assert "invalid option" in bare.fails(USAGE, *command.split(), "--frobnicate")


@pytest.mark.parametrize("line, says", [
    ([], "no command is given"),
    (["frob"], 'no command "frob"'),
    (["key"], "needs a second word"),
    (["key", "frob"], 'no command "key frob"'),
    (["key", "show"], "needs ID"),
    (["key", "show", "key_a", "key_b"], "takes ID"),
    (["version", "x"], "takes no operand"),
    (["key", "create"], "--name is needed"),
    (["key", "create", "--name", "x"], "--permissions is needed"),
    (["key", "create", "--name"], "missing argument"),
    (["key", "create", "--name", "a", "--name", "b"], "given twice"),
    (["key", "list", "--status", "asleep"], "must be one of: active, expired, revoked, all"),
    (["key", "list", "--limit", "0"], "whole number from 1"),
    (["key", "create", "--name", "x", "--permissions", "tasks:read", "--expires", "tomorrow"], "2026-10-14T00:00:00Z"),
    (["key", "create", "--name", "x", "--permissions", "tasks:read", "--per-hour", "1e3"], "whole number"),
    (["key", "create", "--name", "x", "--permissions", "tasks:read", "--environment", "prod"], "one of: live, test"),
    (["key", "create", "--name", "x", "--permissions", "tasks:read", "--allowed-ips", ","], "names no network"),
    (["key", "rotate", "key_a", "--grace", "1w"], "span of time"),
    (["key", "rotate", "key_a", "--grace", "31d"], "at most 30d"),
    (["account", "create", "--name", "x", "--plan", "gold"], "no plan of that name"),
    (["account", "set-plan", "acct_default", "gold"], "no plan of that name"),
    (["events", "prune", "--older-than", "soon"], "span of time"),
    (["usage", "--by", "minute"], "one of: hour, day"),
    (["usage", "--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z"], "--from must be before --to"),
])
def test_wrong_usage(ctl, line, says):
    ctl.fails(USAGE, *line, says=says)


def test_a_key_among_the_arguments_is_refused_and_not_repeated(ctl):
    secret = ctl.key()["key"]
    for line in (["key", "verify", secret], ["key", "revoke", secret], ["key", "create", "--name", secret],
                 ["key", "create", f"--name={secret}"], [secret], ["key", "list", f"--search=x{secret}y"]):
        said = ctl.fails(USAGE, *line, says="looks like a key")
        assert secret[8:] not in said
    assert ctl.json("key", "list", "--search", "sk_live_abc")["data"] == []  # a prefix is no key


def test_json_may_stand_anywhere_and_errors_are_json_too(ctl):
    for line in (["--json", "version"], ["version", "--json"]):
        assert json.loads(ctl.raw(*line).stdout)["version"]
    done = ctl.raw("key", "show", "key_none", "--json")
    assert done.returncode == REFUSED and done.stdout == ""
    assert json.loads(done.stderr) == {"error": "there is no key key_none", "exit": REFUSED}


# --- configuration ---

def test_the_configuration_is_found_or_refused(ctl, tmp_path):
    assert ctl.raw("db", "check", conf=False, env={"APIKEYCTL_CONFIG": str(ctl.conf)}).returncode == DONE
    done = ctl.raw("db", "check", conf=False, env={"APIKEYCTL_CONFIG": str(tmp_path / "none")})
    assert done.returncode == USAGE and "cannot be read" in done.stderr
    ctl.write_conf(f"databse sqlite3 {ctl.db}\n")
    ctl.fails(USAGE, "db", "check", says="apikey.conf:1: \"databse\" is no setting: did you mean database?")
    ctl.write_conf("key_prefix ab\n")
    ctl.fails(USAGE, "db", "check", says="database is not set")
    ctl.write_conf(f"database sqlite3 {ctl.db}\npepper_file {tmp_path}/none\n")
    ctl.fails(REFUSED, "key", "create", "--name", "x", "--permissions", "tasks:read", says="none")


# --- db ---

def test_db_init_may_be_repeated(bare):
    assert bare.json("db", "init") == {"from": 0, "to": 1, "changed": True}
    secret = bare.key()
    assert bare.json("db", "init") == {"from": 1, "to": 1, "changed": False}
    assert bare.json("key", "show", secret["id"])["name"] == "K"
    account = bare.json("account", "show", "acct_default")
    assert (account["name"], account["plan"]) == ("Default", "professional")
    assert bare.json("db", "check") == {"database": "sqlite3", "schema": 1, "ok": True}
    assert bare.json("db", "migrate")["changed"] is False


def test_db_of_others_and_of_none(bare):
    for command in (["db", "check"], ["db", "migrate"], ["key", "list"], ["status"], ["account", "show", "acct_a"]):
        bare.fails(UNREACHABLE, *command, says="does not exist: create it with apikeyctl db init")
    assert not bare.db.exists()
    bare.db.write_text("")
    bare.fails(REFUSED, "db", "check", says="is no mod_apikey database")
    assert bare.db.read_text() == ""
    bare.sql("CREATE TABLE recipes (name TEXT)")
    bare.fails(REFUSED, "db", "check", says="is no mod_apikey database")
    bare.fails(REFUSED, "db", "init", says="is no mod_apikey database")
    assert bare.sql("SELECT name FROM sqlite_master") == "recipes"
    bare.db.write_text("a letter, and no database, long enough to be looked at twice by whoever reads it")
    bare.fails(UNREACHABLE, "key", "list", says="is no mod_apikey database")
    bare.write_conf(f"database sqlite3 {bare.dir}/no/such/keys.db\n")
    bare.fails(UNREACHABLE, "db", "init", says="cannot be made")
    bare.write_conf(f"database pgsql host={bare.dir} dbname=x password=Sesame\n")
    assert "Sesame" not in bare.fails(UNREACHABLE, "db", "check", says="PostgreSQL")


def test_a_newer_schema_is_left_alone(ctl):
    ctl.sql("INSERT INTO schema_version VALUES (99, 0)")
    for command in ("check", "migrate", "init"):
        ctl.fails(REFUSED, "db", command, says="newer")


# --- accounts ---

def test_accounts(ctl):
    made = ctl.json("account", "create", "--name", "Ümlaut GmbH", "--plan", "professional", "--contact", "ops@example.com",
                    "--per-minute", "77", "--quota", "5000")
    assert re.fullmatch(r"acct_[a-z0-9]{20}", made["id"])
    assert made["rate_limit"] == {"per_hour": None, "per_minute": 77} and made["quota_month"] == 5000
    assert [a["id"] for a in ctl.json("account", "list")["data"]] == [made["id"], "acct_default"]
    changed = ctl.json("account", "set-plan", made["id"], "free", "--per-minute", "plan")
    assert changed["plan"] == "free" and changed["rate_limit"] is None and changed["quota_month"] == 5000
    named = ctl.json("account", "create", "--name", "Named", "--id", "acct_named")
    assert named["id"] == "acct_named" and named["plan"] == "free"
    ctl.fails(REFUSED, "account", "create", "--name", "Again", "--id", "acct_named", says="exists already")
    ctl.fails(REFUSED, "account", "create", "--name", "x", "--id", "named", says="--id must be acct_")
    ctl.fails(REFUSED, "account", "create", "--name", " ", says="--name")
    ctl.fails(REFUSED, "account", "show", "acct_none", says="there is no account acct_none")
    ctl.fails(REFUSED, "account", "set-plan", "acct_none", "free", says="there is no account acct_none")
    table = ctl.raw("account", "list").stdout.splitlines()
    assert table[0].split()[:3] == ["ID", "NAME", "PLAN"] and len(table) == 4
    assert re.search(r"^quota_month +5000$", ctl.raw("account", "show", made["id"]).stdout, re.M)


def test_accounts_over_pages(ctl):
    rows = ",".join(f"('acct_n{i}', 'n', 'free', 1)" for i in range(250))
    ctl.sql(f"INSERT INTO accounts (id, name, plan, created_at) VALUES {rows}")
    listed = [a["id"] for a in ctl.json("account", "list")["data"]]
    assert len(listed) == 251 and len(set(listed)) == 251


# --- keys ---

def test_a_key_is_made_and_its_secret_told_once(ctl):
    ctl.json("account", "set-plan", "acct_default", "enterprise")
    done = ctl.raw("--json", "key", "create", "--account", "acct_default", "--name", "Integration",
                   "--permissions", "tasks:read,tasks:write", "--environment", "test", "--expires",
                   "2036-10-14T00:00:00+02:00", "--per-hour", "50", "--per-minute", "5", "--allowed-ips",
                   "192.0.2.0/24, 2001:db8::/32", "--description", "for tests", "--auto-renew")
    assert done.returncode == DONE and done.stderr == ""
    made = json.loads(done.stdout)
    secret = made.pop("key")
    assert re.fullmatch(r"sk_test_[0-9A-Za-z]{38}", secret)
    assert made["prefix"] == secret[:11] + "..." and made["last_four"] == secret[-4:]
    assert made["permissions"] == ["tasks:read", "tasks:write"] and made["environment"] == "test"
    assert made["expires_at"] == "2036-10-13T22:00:00Z" and made["auto_renew"] is True
    assert made["allowed_ips"] == ["192.0.2.0/24", "2001:db8::/32"]
    assert made["rate_limit"] == {"per_hour": 50, "per_minute": 5} and made["created_by"] == "apikeyctl"
    shown = ctl.json("key", "show", made["id"])
    assert shown.pop("usage") == {"requests_today": 0, "requests_this_month": 0}
    assert shown == made
    for name in ctl.dir.iterdir():
        if name.is_file():
            assert secret.encode() not in name.read_bytes()
            assert hashlib.sha256(secret.encode()).hexdigest().encode() not in name.read_bytes()


@pytest.mark.parametrize("options, field", [
    (["--name", ""], "name"),
    (["--name", "x" * 101], "name"),
    (["--name", "two\nlines"], "name"),
    (["--permissions", "tasks:fly"], "permissions: tasks:fly"),
    (["--permissions", "tasks:read,nothing"], "permissions: nothing"),
    (["--permissions", ","], "permissions"),
    (["--allowed-ips", "192.0.2.1/24"], "allowed_ips: 192.0.2.1/24"),
    (["--allowed-ips", " ".join(f"192.0.2.{i}" for i in range(65))], "allowed_ips"),
    (["--description", "x" * 1001], "description"),
    (["--account", "nobody"], "account_id"),
])
def test_a_wrong_key_is_refused_by_field(ctl, options, field):
    given = {"--name": "x", "--permissions": "tasks:read", options[0]: options[1]}
    line = [word for pair in given.items() for word in pair]
    ctl.fails(REFUSED, "key", "create", *line, says=f"  {field}: ")
    errors = ctl.json("key", "create", *line, status=REFUSED)["errors"]
    assert [error["field"] for error in errors] == [field]
    assert ctl.sql("SELECT COUNT(*) FROM api_keys") == "0"


def test_what_only_some_accounts_may(ctl):
    ctl.json("account", "create", "--name", "Small", "--id", "acct_small")
    ctl.fails(REFUSED, "key", "create", "--account", "acct_small", "--name", "x", "--permissions", "tasks:read",
              "--auto-renew", says="enterprise")
    ctl.fails(REFUSED, "key", "create", "--account", "acct_none", "--name", "x", "--permissions", "tasks:read",
              says="there is no account acct_none")


def test_an_expiry_that_has_passed_is_remarked(ctl):
    done = ctl.raw("key", "create", "--name", "x", "--permissions", "tasks:read", "--expires", "2020-01-01T00:00:00Z")
    assert done.returncode == DONE and "passed already" in done.stderr
    assert ctl.json("key", "list", "--status", "expired")["data"][0]["status"] == "expired"


def test_a_secret_that_nobody_could_read_is_told_as_lost(ctl):
    with open("/dev/full", "w") as full:
        done = subprocess.run([CTL, "-c", ctl.conf, "key", "create", "--name", "x", "--permissions", "tasks:read"],
                              stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == REFUSED
    made = ctl.sql("SELECT id FROM api_keys")
    assert f"revoke {made}" in done.stderr


def test_lists_and_filters(ctl):
    first, second = ctl.key(), ctl.key("--environment", "test")
    ctl.json("account", "create", "--name", "Other", "--id", "acct_other")
    third = ctl.key("--account", "acct_other")
    listed = lambda *options: [key["id"] for key in ctl.json("key", "list", *options)["data"]]
    assert listed() == [third["id"], second["id"], first["id"]]
    assert listed("--environment", "test") == [second["id"]]
    assert listed("--account", "acct_other") == [third["id"]]
    assert listed("--limit", "2") == [third["id"], second["id"]]
    assert listed("--search", first["id"]) == [first["id"]]
    ctl.json("key", "revoke", first["id"])
    assert listed() == [third["id"], second["id"]]
    assert listed("--status", "revoked") == [first["id"]]
    assert listed("--status", "all", "--account", "acct_default") == [second["id"], first["id"]]
    assert "key" not in ctl.json("key", "list")["data"][0]
    table = ctl.raw("key", "list").stdout.splitlines()
    assert table[0].split()[:2] == ["ID", "NAME"] and len(table) == 3


def test_a_thousand_keys_are_listed_once_each(ctl):
    rows = ",".join(f"('key_n{i}', 'd{i}', 'acct_default', 'live', 'n', 'p', 'l', 'tasks:read', 1, 'x')" for i in range(1000))
    ctl.sql("INSERT INTO api_keys (id, digest, account_id, environment, name, prefix, last_four, permissions, created_at,"
            f" created_by) VALUES {rows}")
    listed = [key["id"] for key in ctl.json("key", "list")["data"]]
    assert len(listed) == 1000 and len(set(listed)) == 1000
    assert len(ctl.json("key", "list", "--limit", "250")["data"]) == 250


def test_revoking(ctl):
    made = ctl.key()
    assert ctl.json("key", "revoke", made["id"])["status"] == "revoked"
    assert ctl.json("key", "revoke", made["id"])["status"] == "revoked"
    ctl.fails(REFUSED, "key", "revoke", "key_none", says="there is no key key_none")
    assert ctl.sql("SELECT actor, action FROM audit_log WHERE action = 'key.revoke'") == "apikeyctl|key.revoke"


def test_revoking_waits_for_the_nodes(ctl):
    made = ctl.key()
    now = int(time.time())
    ctl.sql(f"INSERT INTO nodes VALUES ('n1', 700, 0, {now}), ('dead', 3600000, 0, {now - 1000})")
    began = time.monotonic()
    ctl.json("key", "revoke", made["id"])
    assert time.monotonic() - began >= 0.7
    node = ctl.json("status")["nodes"][1]
    assert (node["id"], node["applied"]) == ("n1", 0) and node["behind"] > 0


def test_rotating(ctl):
    old = ctl.key("--description", "d", "--expires", "2036-01-01T00:00:00Z")
    new = ctl.json("key", "rotate", old["id"], "--grace", "90s")
    assert new["rotated_from"] == old["id"] and new["key"] != old["key"]
    for name in ("name", "description", "permissions", "expires_at", "environment", "account_id"):
        assert new[name] == old[name]
    shown = ctl.json("key", "show", old["id"])
    assert shown["rotated_to"] == new["id"] and shown["expires_at"] < "2036"
    for secret in (old["key"], new["key"]):
        assert ctl.json("key", "verify", stdin=secret)["status"] == "active"
    ctl.fails(REFUSED, "key", "rotate", old["id"], says=f"rotate its successor {new['id']}")
    ctl.json("key", "revoke", new["id"])
    ctl.fails(REFUSED, "key", "rotate", new["id"], says="is revoked")
    gone = ctl.key("--expires", "2020-01-01T00:00:00Z")
    ctl.fails(REFUSED, "key", "rotate", gone["id"], says="has expired")
    ctl.fails(REFUSED, "key", "rotate", "key_none", says="there is no key key_none")


# --- verify ---

def test_verifying(ctl):
    made = ctl.key()
    secret = made["key"]
    for stdin in (secret, secret + "\n", secret + "\r\n", secret + "\nmore\n"):
        done = ctl.raw("--json", "key", "verify", stdin=stdin)
        assert done.returncode == DONE and secret not in done.stdout + done.stderr
        answer = json.loads(done.stdout)
        assert (answer["form"], answer["status"], answer["id"]) == ("valid", "active", made["id"])
    assert ctl.json("key", "verify", "--offline", stdin=secret) == {"form": "valid", "environment": "live"}
    wrong = secret[:-1] + ("0" if secret[-1] != "0" else "1")
    assert ctl.json("key", "verify", stdin=wrong, status=REFUSED) == {"form": "wrong checksum", "status": "unknown"}
    assert ctl.json("key", "verify", "--offline", stdin=wrong, status=REFUSED) == {"form": "wrong checksum"}
    for stdin in ("x", "sk_live_", "y" * 5000, "sk_prod_" + secret[8:], "\x01\x02"):
        assert ctl.json("key", "verify", stdin=stdin, status=REFUSED)["form"] == "wrong form"
    ctl.fails(USAGE, "key", "verify", says="standard input")
    ctl.json("key", "revoke", made["id"])
    assert ctl.json("key", "verify", stdin=secret, status=REFUSED)["status"] == "revoked"
    gone = ctl.key("--expires", "2020-01-01T00:00:00Z")
    assert ctl.json("key", "verify", stdin=gone["key"], status=REFUSED)["status"] == "expired"
    (ctl.dir / "pepper").write_text("another pepper of sixteen bytes\n")
    assert ctl.json("key", "verify", stdin=gone["key"], status=REFUSED)["status"] == "unknown"


def test_offline_needs_no_database(bare):
    bare.write_conf("key_prefix ab\n")
    assert bare.json("key", "verify", "--offline", stdin="sk_live_x", status=REFUSED) == {"form": "wrong form"}


def test_a_key_typed_at_a_terminal_is_not_shown(ctl):
    secret = ctl.key()["key"]
    master, slave = pty.openpty()
    running = subprocess.Popen([CTL, "-c", ctl.conf, "key", "verify"], stdin=slave, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    prompt = os.read(running.stderr.fileno(), 5)
    assert prompt == b"key: "
    os.write(master, secret.encode() + b"\n")
    out, _ = running.communicate(timeout=60)
    os.close(slave)
    os.set_blocking(master, False)
    try:
        echoed = os.read(master, 4096)
    except (BlockingIOError, OSError):
        echoed = b""
    os.close(master)
    assert running.returncode == DONE and "active" in out
    assert secret.encode() not in echoed


# --- import ---

def line(secret="old-key-of-mine", **members):
    return json.dumps({"sha256": hashlib.sha256(secret.encode()).hexdigest(), "name": "Old", "permissions": ["tasks:read"],
                       **members}) + "\n"


def test_importing(ctl):
    text = line() + "\n" + line("other-old-key", expires_at="2036-01-01T00:00:00Z", environment="test",
                                description="d", allowed_ips=["192.0.2.1"])
    answer = ctl.json("key", "import", stdin=text)
    assert len(answer["data"]) == 2 and answer["existing"] == 0
    shown = ctl.json("key", "show", answer["data"][1]["id"])
    assert shown["imported"] is True and shown["environment"] == "test" and shown["prefix"] == "imported"
    assert shown["expires_at"] == "2036-01-01T00:00:00Z" and shown["allowed_ips"] == ["192.0.2.1/32"]
    found = ctl.json("key", "verify", stdin="old-key-of-mine")
    assert (found["form"], found["status"], found["id"]) == ("wrong form", "active", answer["data"][0]["id"])
    again = ctl.json("key", "import", stdin=text)
    assert again == {"data": [], "existing": 2}
    assert ctl.sql("SELECT COUNT(*) FROM api_keys") == "2"
    ctl.fails(REFUSED, "key", "rotate", shown["id"], says="brought over")


@pytest.mark.parametrize("wrong, says", [
    ("not json\n", "line 2: This is no JSON object"),
    ("[1]\n", "line 2: This is no JSON object"),
    (line(sha256="abc"), "line 2, sha256"),
    (line(sha256=5), "line 2, sha256"),
    (line(name=""), "line 2, name"),
    (line(name=None), "line 2, name"),
    (line(permissions=["tasks:fly"]), "line 2, permissions[0]"),
    (line(permissions="tasks:read"), "line 2, permissions"),
    (line(permissions=[5]), "line 2, permissions"),
    (line(expires_at="later"), "line 2, expires_at"),
    (line(environment="prod"), "line 2, environment"),
    (line(colour="blue"), "line 2, colour"),
    (line(allowed_ips=["x"]), "line 2, allowed_ips[0]"),
    ('{"name": "a", "name": "b"}\n', "line 2: This is no JSON object"),
])
def test_one_wrong_line_imports_nothing(ctl, wrong, says):
    done = ctl.raw("key", "import", stdin=line("good-old-key") + wrong)
    assert done.returncode == REFUSED and says in done.stderr, done.stderr
    assert ctl.sql("SELECT COUNT(*) FROM api_keys") == "0"


def test_importing_nothing_or_to_nobody(ctl):
    ctl.fails(USAGE, "key", "import", stdin="\n", says="holds no key")
    ctl.fails(REFUSED, "key", "import", "--account", "acct_none", stdin=line(), says="there is no account acct_none")


# --- alerts and usage ---

def add_alert(ctl, number, kind="new_ip", severity="warning", account="acct_default"):
    ctl.sql("INSERT INTO alerts (id, kind, severity, account_id, key_id, subject, message, details, first_seen, last_seen)"
            f" VALUES ('alert_{number}', '{kind}', '{severity}', '{account}', 'key_a', 's{number}', 'message {number}',"
            f" '{{\"n\": {number}}}', 1760000000, 1760000001)")


def test_alerts(ctl):
    for number in range(3):
        add_alert(ctl, number, kind="new_ip" if number else "key_expiring")
    listed = ctl.json("alerts")["data"]
    assert [alert["id"] for alert in listed] == ["alert_2", "alert_1", "alert_0"]
    assert listed[0]["details"] == {"n": 2} and listed[0]["last_seen"] == "2025-10-09T08:53:21Z"
    assert [a["id"] for a in ctl.json("alerts", "--kind", "key_expiring")["data"]] == ["alert_0"]
    assert len(ctl.json("alerts", "--limit", "1")["data"]) == 1
    assert ctl.json("alerts", "--status", "resolved")["data"] == []
    assert ctl.json("alerts", "--account", "acct_other")["data"] == []
    assert len(ctl.json("alerts", "--key", "key_a", "--severity", "warning")["data"]) == 3
    assert "message 2" in ctl.raw("alerts").stdout


def test_alerts_are_followed(ctl):
    add_alert(ctl, 0)
    running = subprocess.Popen([CTL, "-c", ctl.conf, "--json", "alerts", "--follow"], stdout=subprocess.PIPE, text=True)
    try:
        assert json.loads(running.stdout.readline())["id"] == "alert_0"
        for number in (1, 2):
            add_alert(ctl, number)
        assert [json.loads(running.stdout.readline())["id"] for _ in range(2)] == ["alert_1", "alert_2"]
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == DONE
        assert running.stdout.read() == ""
    finally:
        running.kill()
        running.wait()


def test_usage(ctl):
    made = ctl.key()
    day = 1760400000 - 1760400000 % 86400
    for table in ("usage_hour", "usage_day"):
        ctl.sql(f"INSERT INTO {table} VALUES ('{made['id']}', {day}, 'ok', 'acct_default', 'live', 12),"
                f" ('{made['id']}', {day}, 'rate_limit_exceeded', 'acct_default', 'live', 3),"
                f" ('key_t', {day}, 'ok', 'acct_default', 'test', 100)")
    span = ["--from", "2025-10-01T12:00:00Z", "--to", "2025-11-01T00:00:00Z"]
    for by in ("hour", "day"):
        for subject in ([], ["--account", "acct_default"], ["--key", made["id"]]):
            answer = ctl.json("usage", "--by", by, *span, *subject)
            assert answer["granularity"] == by
            assert [(row["requests"], row["refused"]) for row in answer["data"]] == [(12, 3)]
            assert answer["data"][0]["decisions"] == {"ok": 12, "rate_limit_exceeded": 3}
    assert ctl.json("usage", *span, "--environment", "test")["data"][0]["requests"] == 100
    assert ctl.json("usage")["data"] == []
    ctl.fails(REFUSED, "usage", "--key", "key_none", says="there is no key key_none")
    ctl.fails(REFUSED, "usage", "--account", "acct_none", says="there is no account acct_none")


# --- events ---

def event(producer, seq):
    return (f'{{"v":1,"producer":"{producer}","seq":{seq},"time":1760437800123456,"class":"api","key":"key_a",'
            '"account":"acct_default","environment":"live","address":"192.0.2.7","method":"GET","scope":"tasks:read",'
            '"decision":"ok","status":200}\n')


def dead_pid():
    done = subprocess.Popen(["true"])
    done.wait()
    return done.pid


@pytest.fixture
def segments(ctl):
    """Files of a dead process, of a live one, and of one that nobody has counted."""
    dead, live, fresh = f"n1.{dead_pid()}.aaa", f"n1.{os.getpid()}.bbb", f"n1.{dead_pid()}.ccc"
    write = lambda name, text: (ctl.events / f"{name}.events").write_text(text)
    write(f"{dead}.1", "".join(event(dead, n) for n in (1, 2, 3)))
    write(f"{dead}.2", event(dead, 5) + "torn{\n\n" + event(dead, 7))
    write(f"{live}.1", event(live, 1))
    write(f"{live}.2", event(live, 2))
    write(f"{fresh}.1", event(fresh, 1) + event(fresh, 2))
    (ctl.events / "notes.txt").write_text("not a segment")
    ctl.sql(f"INSERT INTO producers (producer, contiguous, beyond, first_seen, last_seen) VALUES"
            f" ('{dead}', 3, '1+1@1760437800 1+3', 1, 1), ('{live}', 2, '', 1, 1)")
    old = time.time() - 10 * 86400
    for name in ctl.events.iterdir():
        os.utime(name, (old, old))
    return dead, live, fresh


def test_events_that_are_not_counted_are_found(ctl, segments):
    dead, live, fresh = segments
    done = ctl.raw("--json", "events", "check")
    assert done.returncode == REFUSED and "2 events" in done.stderr
    answer = json.loads(done.stdout)
    assert (answer["files"], answer["events"], answer["not_counted"], answer["unreadable"]) == (5, 10, 2, 1)
    by_file = {row["file"]: row for row in answer["data"]}
    assert by_file[f"{fresh}.1.events"]["not_counted"] == 2
    assert by_file[f"{dead}.2.events"]["not_counted"] == 0
    ctl.sql(f"INSERT INTO producers (producer, contiguous, beyond, first_seen, last_seen) VALUES ('{fresh}', 2, '', 1, 1)")
    assert ctl.json("events", "check")["not_counted"] == 0


def test_only_files_that_are_done_are_removed(ctl, segments):
    dead, live, fresh = segments
    answer = ctl.json("events", "prune", "--older-than", "11d")
    assert (answer["removed"], answer["kept"]) == (0, 5)
    answer = ctl.json("events", "prune")
    assert sorted(row["file"] for row in answer["data"]) == sorted([f"{dead}.1.events", f"{dead}.2.events", f"{live}.1.events"])
    assert sorted(path.name for path in ctl.events.iterdir()) == sorted([f"{live}.2.events", f"{fresh}.1.events", "notes.txt"])


def test_events_need_their_folder(ctl):
    ctl.write_conf(f"database sqlite3 {ctl.db}\n")
    ctl.fails(USAGE, "events", "check", says="events_dir is not set")
    ctl.write_conf(f"database sqlite3 {ctl.db}\nevents_dir {ctl.dir}/none\n")
    ctl.fails(REFUSED, "events", "prune", says="cannot be read")
    assert ctl.events.exists()


def test_pruning_forgets_old_changes(ctl):
    ctl.sql("INSERT INTO change_log (key_id, at) VALUES ('key_a', 1), ('key_b', 2)")
    ctl.sql("INSERT INTO nodes VALUES ('gone', 250, 1, 1)")
    ctl.json("events", "prune")
    assert ctl.sql("SELECT COUNT(*) FROM change_log") == "1"
    assert ctl.sql("SELECT COUNT(*) FROM nodes") == "0"


# --- status and version ---

def test_status_and_version(ctl, segments):
    add_alert(ctl, 1)
    answer = ctl.json("status")
    assert answer["database"] == "sqlite3" and answer["open_alerts"] == 1 and answer["nodes"] == []
    assert answer["events"]["producers"] == 2 and answer["events"]["counted"] == 5
    assert ctl.json("version")["schema"] == answer["schema"]
    assert "open_alerts" in ctl.raw("status").stdout


# --- a database in use, and memory ---

def test_a_locked_database_is_told_and_heals(ctl):
    holder = subprocess.Popen(["sqlite3", ctl.db], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        holder.stdin.write("BEGIN IMMEDIATE;\nSELECT 'held';\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "held\n"
        assert len(ctl.json("key", "list")["data"]) == 0  # readers go on
        ctl.fails(UNREACHABLE, "key", "create", "--name", "x", "--permissions", "tasks:read", says="the database failed")
    finally:
        holder.communicate("ROLLBACK;\n", timeout=60)
    ctl.key()


def test_valgrind_finds_nothing(ctl, segments):
    made = ctl.key()
    lines = [(["db", "init"], ""), (["key", "create", "--name", "x", "--permissions", "tasks:read"], ""),
             (["key", "list"], ""), (["key", "verify"], made["key"]), (["key", "import"], line()),
             (["key", "rotate", made["id"]], ""), (["key", "revoke", made["id"]], ""), (["status"], ""), (["usage"], ""),
             (["alerts"], ""), (["account", "list"], ""), (["account", "set-plan", "acct_default", "free"], ""),
             (["events", "check"], ""), (["events", "prune"], ""), (["key", "show", "key_none"], ""),
             (["--json", "key", "create", "--name", "", "--permissions", "x"], ""), (["frob"], "")]
    for words, stdin in lines:  # a sanitized build needs no valgrind, and bears none
        done = ctl.raw(*words, stdin=stdin, before=() if SANITIZE else VALGRIND)
        assert done.returncode in (DONE, REFUSED, USAGE), (words, done.stderr)
        assert "==" not in done.stderr, (words, done.stderr)
