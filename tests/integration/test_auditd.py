"""auditd on its own: batches over HTTP, figures in SQL, each once whatever happens in between"""
import json
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import pytest

from auditd import NOW, TOKEN, Auditd, event, events
from stack import ROOT, wait


@pytest.fixture
def auditd():
    made = Auditd()
    yield made.start()
    made.remove()


@pytest.fixture
def make():
    """make(**settings): an auditd that is not started yet."""
    mine = []

    def made(**settings):
        mine.append(Auditd(**settings))
        return mine[-1]

    yield made
    for one in mine:
        one.remove()


def day(moment):
    return int(moment) // 86400 * 86400


# --- figures -------------------------------------------------------------------------------


def test_figures(auditd):
    auditd.post(events(5) + [event(6, decision="rate_limit_exceeded", status=429)])
    assert auditd.requests() == {"ok": 5, "rate_limit_exceeded": 1}
    assert auditd.requests(table="usage_day") == {"ok": 5, "rate_limit_exceeded": 1}
    assert auditd.sql("SELECT DISTINCT start, account_id, environment FROM usage_day") == \
        [(day(NOW), "acct_default", "live")]
    assert auditd.sql("SELECT start FROM usage_hour LIMIT 1") == [(int(NOW) // 3600 * 3600,)]
    month = time.gmtime(NOW).tm_year * 12 + time.gmtime(NOW).tm_mon - 1
    assert auditd.sql("SELECT account_id, month, requests FROM usage_month") == [("acct_default", month, 5)]
    assert auditd.sql("SELECT key_id, first_used, last_used, last_address FROM key_activity") == \
        [("key_one", int(NOW), int(NOW), "192.0.2.7")]
    assert auditd.sql("SELECT network, requests FROM known_networks") == [("192.0.2.0/24", 6)]


def test_figures_add_up_over_batches(auditd):
    auditd.post(events(3))
    auditd.post(events(4, first=4, time=NOW + 5, address="192.0.2.99"))
    assert auditd.requests() == {"ok": 7}
    assert auditd.sql("SELECT first_used, last_used, last_address FROM key_activity") == \
        [(int(NOW), int(NOW + 5), "192.0.2.99")]


def test_a_late_event_moves_no_last_use_back(auditd):
    auditd.post([event(2)])
    auditd.post([event(1, time=NOW - 100, address="198.51.100.1")])
    assert auditd.sql("SELECT first_used, last_used, last_address FROM key_activity") == \
        [(int(NOW - 100), int(NOW), "192.0.2.7")]


def test_hours_days_and_months_are_those_of_the_event(auditd):
    new_year = 1767225600   # 2026-01-01T00:00:00Z
    auditd.post([event(1, time=new_year - 0.000001), event(2, time=new_year)])
    assert auditd.sql("SELECT start FROM usage_hour ORDER BY start") == [(new_year - 3600,), (new_year,)]
    assert auditd.sql("SELECT start FROM usage_day ORDER BY start") == [(new_year - 86400,), (new_year,)]
    assert auditd.sql("SELECT month, requests FROM usage_month ORDER BY month") == \
        [(2025 * 12 + 11, 1), (2026 * 12, 1)]


def test_management_calls_count_in_no_figure(auditd):
    auditd.post(events(3, kind="manage", status=201))
    assert auditd.requests() == {} and auditd.sql("SELECT * FROM usage_month") == []
    assert auditd.sql("SELECT last_used FROM key_activity") == [(int(NOW),)]
    assert auditd.sql("SELECT network FROM known_networks") == [("192.0.2.0/24",)]


def test_test_keys_use_up_no_month(auditd):
    auditd.post(events(3, environment="test"))
    assert auditd.sql("SELECT environment, requests FROM usage_day") == [("test", 3)]
    assert auditd.sql("SELECT * FROM usage_month") == []


def test_refusals_are_no_use_of_a_key(auditd):
    codes = ("expired_key", "revoked_key", "ip_not_allowed", "too_many_failures", "store_unavailable")
    auditd.post([event(seq, decision=code, status=401) for seq, code in enumerate(codes, 1)])
    assert auditd.requests() == dict.fromkeys(codes, 1)
    assert auditd.sql("SELECT * FROM key_activity") == [] and auditd.sql("SELECT * FROM known_networks") == []


def test_unknown_keys_leave_no_figures(auditd):
    answer = auditd.post(events(3, key="", decision="unknown_key", status=401))
    assert answer == {"counted": 3, "repeated": 0, "quarantined": 0}
    assert auditd.sql("SELECT * FROM usage_hour") == []


def test_ipv6_networks(auditd):
    auditd.post([event(1, address="2001:db8:1:2::7"), event(2, address="2001:db8:1:3::8"), event(3, address="")])
    assert auditd.sql("SELECT network, requests FROM known_networks") == [("2001:db8:1::/48", 2)]


# --- each event once -------------------------------------------------------------------------


def test_a_repeated_batch_is_counted_once(auditd):
    assert auditd.post(events(100)) == {"counted": 100, "repeated": 0, "quarantined": 0}
    assert auditd.post(events(100)) == {"counted": 0, "repeated": 100, "quarantined": 0}
    assert auditd.post(events(60, first=90)) == {"counted": 49, "repeated": 11, "quarantined": 0}
    assert auditd.requests() == {"ok": 149}
    assert auditd.sql("SELECT producer, contiguous, beyond FROM producers") == [("n1.10.abc", 149, "")]


def test_repeats_within_one_batch(auditd):
    assert auditd.post(events(10) + events(10))["counted"] == 10
    assert auditd.requests() == {"ok": 10}


def test_any_order_of_batches(auditd):
    chunks = [events(10, first=first) for first in range(1, 500, 10)]
    dice = random.Random(5)
    dice.shuffle(chunks)
    for chunk in chunks + chunks[:20]:
        dice.shuffle(chunk)
        auditd.post(chunk)
    assert auditd.requests() == {"ok": 500}
    assert auditd.sql("SELECT contiguous, beyond FROM producers") == [(500, "")]
    assert not auditd.alerts("events_lost")


def test_producers_are_apart(auditd):
    auditd.post(events(5) + events(5, producer="n2.1.x"))
    assert auditd.requests() == {"ok": 10}


def test_kill_9_and_repeat(auditd):
    """A batch whose answer was lost comes again: whatever was killed, each event counts once."""
    dice = random.Random(9)
    sent = 0
    for _ in range(6):
        batch = events(3000, first=sent + 1)
        post = threading.Thread(target=lambda body="\n".join(batch): ignore_errors(auditd.post_raw, body))
        post.start()
        time.sleep(dice.random() * 0.06)
        auditd.stop(signal.SIGKILL)
        post.join()
        auditd.start()
        auditd.post(batch)
        sent += 3000
        assert auditd.requests() == {"ok": sent}
        assert auditd.sql("SELECT SUM(requests) FROM usage_day") == [(sent,)]
        assert auditd.sql("SELECT SUM(requests) FROM usage_month") == [(sent,)]


def ignore_errors(call, *arguments):
    try:
        call(*arguments)
    except (OSError, EOFError, Exception):   # the connection was cut, as it was meant to be
        pass


def test_two_posts_at_a_time(auditd):
    bodies = ["\n".join(events(2000, first=first)) for first in (1, 2001, 1001, 3001)]
    threads = [threading.Thread(target=auditd.post_raw, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert auditd.requests() == {"ok": 5000}


# --- lines that are no events -------------------------------------------------------------------


def test_broken_lines_are_quarantined(auditd):
    bad = ["nonsense", event(7)[:-5], event(8).replace('"v":1', '"v":2'), "\x00\x01\x02", "{}", "x" * 5000]
    answer = auditd.post([event(1), bad[0], bad[1], event(2), *bad[2:], "", event(3)])
    assert answer == {"counted": 3, "repeated": 0, "quarantined": 6}
    assert auditd.requests() == {"ok": 3}
    assert (auditd.dir / "quarantine").read_text() == "\n".join(bad) + "\n"
    assert (auditd.dir / "quarantine").stat().st_mode & 0o777 == 0o600
    assert auditd.metric("quarantined_total") == 6
    log = auditd.log()
    assert "6 lines that are no events" in log and "nonsense" not in log


def test_the_log_of_broken_lines_is_bounded(auditd):
    for _ in range(50):
        auditd.post(["broken"])
    assert auditd.log().count("no events were put in") == 1
    assert auditd.metric("quarantined_total") == 50


def test_an_event_behind_a_torn_line_is_counted(auditd):
    torn = event(1)[:57]
    answer = auditd.post([torn + event(2), event(3)])
    assert answer == {"counted": 2, "repeated": 0, "quarantined": 1}
    assert (auditd.dir / "quarantine").read_text() == torn + "\n"


def test_a_quarantine_that_cannot_be_written_holds_nothing_up(make):
    auditd = make(quarantine_file="/proc/nowhere/quarantine").start()
    assert auditd.post([event(1), "broken"])["counted"] == 1
    assert "could not be kept" in auditd.log()


def test_random_bytes_do_no_harm(auditd):
    dice = random.Random(3)
    for size in (1, 10, 1000, 100_000):
        assert auditd.post_raw(dice.randbytes(size))[0] == 200
    assert auditd.post(events(1))["counted"] == 1


# --- HTTP -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "0", TOKEN.upper()])
def test_without_the_token_nothing_is_taken(auditd, token):
    status, body, headers = auditd.post_raw(event(1), token)
    assert status == 401 and headers["WWW-Authenticate"].startswith("Bearer")
    assert auditd.sql("SELECT * FROM producers") == []
    assert auditd.metric("refused_token_total") == 1
    assert TOKEN not in auditd.log() + body


def test_another_scheme_is_refused(auditd):
    assert auditd.request("POST", "/v1/events", event(1), {"Authorization": f"Basic {TOKEN}"})[0] == 401


@pytest.mark.parametrize("method, path, status, allow", [
    ("GET", "/v1/events", 405, "POST"), ("PUT", "/v1/events", 405, "POST"), ("POST", "/healthz", 405, "GET, HEAD"),
    ("DELETE", "/metrics", 405, "GET, HEAD"), ("GET", "/", 404, None), ("GET", "/v1/events/", 404, None),
    ("POST", "/v1/event", 404, None)])
def test_wrong_methods_and_paths(auditd, method, path, status, allow):
    got, _, headers = auditd.request(method, path, headers={"Authorization": f"Bearer {TOKEN}"})
    assert got == status and headers.get("Allow") == allow


def test_a_compressed_body_is_refused(auditd):
    assert auditd.request("POST", "/v1/events", b"\x1f\x8b", {"Authorization": f"Bearer {TOKEN}",
                                                              "Content-Encoding": "gzip"})[0] == 415


def test_a_batch_over_the_limit_is_refused(make):
    auditd = make(ingest_body_max_bytes=65536).start()
    line = event(1)
    assert auditd.post_raw((line + "\n") * (65536 // (len(line) + 1)))[0] == 200
    try:
        status, _, _ = auditd.post_raw((line + "\n") * (65536 // (len(line) + 1) + 1))
    except (BrokenPipeError, ConnectionResetError):
        status = 413   # it was refused by its length, before its body was read
    assert status == 413

    def chunks():
        for _ in range(200):
            yield (line + "\n").encode() * 10

    status, _, _ = auditd.request("POST", "/v1/events", chunks(), {"Authorization": f"Bearer {TOKEN}"})
    assert status == 413
    assert auditd.metric("refused_size_total") == 2
    assert "ingest_body_max_bytes" in auditd.log()


def test_an_empty_batch(auditd):
    assert auditd.post([]) == {"counted": 0, "repeated": 0, "quarantined": 0}


def test_health_and_metrics(auditd):
    assert auditd.request("GET", "/healthz")[:2] == (200, "ok\n")
    auditd.post(events(4) + events(1) + ["broken"])
    assert auditd.request("GET", "/readyz")[0] == 200
    assert auditd.metric("events_total") == 4 and auditd.metric("repeats_total") == 1
    assert auditd.metric("batches_total") == 1 and auditd.metric("database_up") == 1
    _, text, headers = auditd.request("GET", "/metrics")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    names = [line.split()[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(names) == len(set(names)) > 10
    assert all(text.count(f"# {what} {name} ") == 1 for name in names for what in ("HELP", "TYPE"))


def test_the_documents_name_what_there_is(auditd):
    text = (ROOT / "docs" / "auditd.md").read_text()
    _, metrics, _ = auditd.request("GET", "/metrics")
    names = {line.split()[0] for line in metrics.splitlines() if not line.startswith("#")}
    assert names == set(re.findall(r"\| `(apikey_auditd_\w+)` \|", text))
    table = (ROOT / "auditd" / "detect.c").read_text()
    kinds = set(re.findall(r"&detect_(\w+)", table))
    assert len(kinds) >= 8 and kinds == set(re.findall(r"^\| `([a-z_]+)` \|", text, re.M)) & kinds


# --- a database that is not there ---------------------------------------------------------------------


def test_a_missing_database_heals(make):
    auditd = make(with_database=False).start()
    status, _, headers = auditd.post_raw(event(1))
    assert status == 503 and headers["Retry-After"] == "1"
    assert auditd.request("GET", "/healthz")[0] == 200 and auditd.request("GET", "/readyz")[0] == 503
    auditd.make_database()
    wait(lambda: auditd.post_raw(event(1))[0] == 200, what="auditd to heal")
    assert auditd.requests() == {"ok": 1}
    assert auditd.log().count("the database cannot be used") == 1   # once a minute
    assert "the database can be used" in auditd.log()
    assert auditd.metric("database_up") == 1


def test_a_locked_database_heals_and_loses_nothing(auditd):
    auditd.post(events(2))
    blocker = sqlite3.connect(auditd.db, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    assert auditd.post_raw("\n".join(events(5, first=3)))[0] == 503
    blocker.execute("COMMIT")
    blocker.close()
    assert auditd.requests() == {"ok": 2}
    wait(lambda: auditd.post_raw("\n".join(events(5, first=3)))[0] == 200, what="auditd to heal")
    assert auditd.requests() == {"ok": 7}
    assert auditd.metric("batches_failed_total") >= 1


def test_a_failure_in_the_middle_changes_nothing(auditd):
    """The last table that a batch writes refuses: everything before it must be undone."""
    auditd.post(events(2))
    auditd.sql("CREATE TRIGGER refuse BEFORE UPDATE ON producers BEGIN SELECT RAISE(ABORT, 'no'); END")
    before = list(sqlite3.connect(auditd.db).iterdump())
    broken = "\n".join(events(5, first=3, address="198.51.100.1") + [event(9, decision="revoked_key", status=401)])
    assert auditd.post_raw(broken)[0] == 503
    assert list(sqlite3.connect(auditd.db).iterdump()) == before
    auditd.sql("DROP TRIGGER refuse")
    assert wait(lambda: auditd.post_raw(broken)[0] == 200, what="auditd to heal")
    assert auditd.requests() == {"ok": 7, "revoked_key": 1}
    assert len(auditd.alerts("revoked_key_used")) == 1


# --- one at a time, signals -------------------------------------------------------------------------------


def test_the_second_waits(make):
    first = make().start()
    second = make(with_database=False)
    second.db = first.db
    second.settings["database"] = f"sqlite3 {first.db}"
    second.write_conf()
    second.launch()
    wait(lambda: "another apikey-auditd works on this database" in second.log(), what="the second to say so")
    assert not second.listens()
    first.post(events(1))
    first.stop(signal.SIGKILL)
    wait(second.listens, what="the second to take over")
    assert second.post(events(2)) == {"counted": 1, "repeated": 1, "quarantined": 0}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_0(auditd, number):
    auditd.post(events(1))
    assert auditd.stop(number) == 0
    assert auditd.log().splitlines()[-1].endswith("ended")


def test_sigterm_finishes_the_batch_in_hand(auditd):
    body = "\n".join(events(30000)).encode()
    with socket.create_connection(("127.0.0.1", auditd.port), timeout=60) as client:
        client.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + TOKEN.encode()
                       + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:len(body) // 2])
        wait(lambda: auditd.metric("batches_in_hand") == 1, what="the batch to be in hand")
        auditd.process.send_signal(signal.SIGTERM)
        wait(lambda: refuses(auditd), what="auditd to take no more connections")
        client.sendall(body[len(body) // 2:])
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200 ") and b'"counted":30000' in answer
    assert auditd.process.wait(timeout=30) == 0
    assert auditd.requests() == {"ok": 30000}


def refuses(auditd):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", auditd.port)) != 0


def test_sighup_reads_the_configuration_anew(auditd):
    auditd.post(events(1, time=NOW - 10))
    auditd.settings["new_ip_learning_seconds"] = 0
    auditd.write_conf()
    auditd.process.send_signal(signal.SIGHUP)
    wait(lambda: "the configuration was read anew" in auditd.log(), what="the new configuration")
    auditd.post([event(2, address="198.51.100.1")])
    assert len(auditd.alerts("new_ip")) == 1
    auditd.write_conf("nonsense 1\n")
    auditd.process.send_signal(signal.SIGHUP)
    wait(lambda: "the configuration stays as it was" in auditd.log(), what="the refusal")
    assert auditd.post(events(1))["repeated"] == 1


def test_a_daemon(make):
    auditd = make()
    pid_file = auditd.dir / "pid"
    auditd.settings.update(pid_file=pid_file, log_file=auditd.dir / "log")
    auditd.write_conf()
    assert subprocess.run(auditd.command(), stdin=subprocess.DEVNULL, timeout=30).returncode == 0
    pid = int(wait(lambda: pid_file.exists() and pid_file.read_text(), what="the pid file"))
    try:
        wait(lambda: "takes events at" in auditd.log(), what="auditd to listen")
        assert auditd.post(events(1))["counted"] == 1
        assert os.getsid(pid) == pid
    finally:
        os.kill(pid, signal.SIGTERM)
    wait(lambda: not pid_file.exists(), what="the daemon to end")


def test_memory_is_in_no_core_file(auditd):
    limits = open(f"/proc/{auditd.process.pid}/limits").read()
    line, = (line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert line.split()[4:6] == ["0", "0"]


# --- configuration ---------------------------------------------------------------------------------------------


def test_a_good_configuration(make):
    done = make().call("-n")
    assert done.returncode == 0 and "good" in done.stdout and done.stderr == ""


@pytest.mark.parametrize("line, says", [
    ("nonsense 1", "nonsense"),
    ("database sqlite3", "sqlite3 FILE"),
    ("database oracle x", "sqlite3"),
    ("ingest_listen 9514", "127.0.0.1:9514"),
    ("ingest_listen 127.0.0.1", "127.0.0.1:9514"),
    ("ingest_listen 127.0.0.1:0", "127.0.0.1:9514"),
    ("ingest_listen 127.0.0.1:99999", "127.0.0.1:9514"),
    ("ingest_token_file /nowhere/token", "cannot be read"),
    ("ingest_body_max_bytes 10", "ingest_body_max_bytes"),
    ("ingest_body_max_bytes much", "ingest_body_max_bytes"),
    ("new_ip_learning_seconds -1", "new_ip_learning_seconds"),
    ("auth_failures_address_count 0", "auth_failures_address_count"),
    ("auth_failures_window_seconds", "auth_failures_window_seconds"),
    ("syslog /dev/log", "unix:/dev/log"),
    ("syslog unix:dev/log", "unix:/dev/log"),
    ("syslog udp:127.0.0.1", "udp:127.0.0.1:514"),
    ("syslog udp:127.0.0.1:x", "1 to 65535"),
    ("syslog tcp:127.0.0.1:70000", "1 to 65535"),
    ("syslog udp:::1:514", "brackets"),
])
def test_a_bad_setting_is_refused_with_its_line(make, line, says):
    auditd = make(with_database=False)
    auditd.settings.pop(line.split()[0], None)
    auditd.write_conf(line + "\n")
    number = auditd.conf.read_text().count("\n")
    done = auditd.call("-n")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"apikey-auditd: {auditd.conf}:{number}: "), done.stderr
    assert says in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["database", "ingest_token_file", "quarantine_file"])
def test_a_missing_setting_is_named(make, name):
    auditd = make(with_database=False)
    del auditd.settings[name]
    auditd.write_conf()
    done = auditd.call("-n")
    assert done.returncode == 1 and f"{auditd.conf}: {name}: is not set: write {name} " in done.stderr


@pytest.mark.parametrize("text, mode, says", [("short\n", 0o600, "16 to 1000"), ("", 0o600, "16 to 1000"),
                                              (TOKEN, 0o644, "chmod 600"), ("x" * 2000, 0o600, "16 to 1000")])
def test_a_bad_token_file_is_refused(make, text, mode, says):
    auditd = make(with_database=False)
    token = auditd.settings["ingest_token_file"]
    token.write_text(text)
    token.chmod(mode)
    done = auditd.call("-n")
    assert done.returncode == 1 and says in done.stderr
    assert not text.strip() or text.strip() not in done.stderr


def test_a_missing_configuration(make):
    auditd = make(with_database=False)
    auditd.conf.unlink()
    done = auditd.call("-n")
    assert done.returncode == 1 and str(auditd.conf) in done.stderr


@pytest.mark.parametrize("arguments", [["-x"], ["--replay"], ["file"], ["-n", "more"]])
def test_wrong_usage(make, arguments):
    done = make(with_database=False).call(*arguments)
    assert done.returncode == 2 and "usage:" in done.stderr


def test_version_and_help(make):
    auditd = make(with_database=False)
    assert auditd.call("--version").stdout.startswith("apikey-auditd 0.")
    assert "--replay" in auditd.call("--help").stdout


def test_a_taken_port_is_told(make):
    first = make().start()
    second = make(ingest_listen=f"127.0.0.1:{first.port}")
    done = second.call("-f")
    assert done.returncode == 1 and "cannot be listened on" in done.stderr


def test_json_of_the_answer(auditd):
    _, body, headers = auditd.post_raw(event(1))
    assert headers["Content-Type"] == "application/json" and set(json.loads(body)) == \
        {"counted", "repeated", "quarantined"}
