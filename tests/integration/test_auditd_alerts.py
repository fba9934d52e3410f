"""What auditd alerts on and what it keeps quiet about; how alerts reach their receivers"""
import json
import re
import signal
import socket
import threading
import time

import pytest

from auditd import NOW, Auditd, event, events
from stack import SANITIZE, free_port, wait

DAY = 86400


@pytest.fixture
def make():
    """make(**settings): a running auditd."""
    mine = []

    def made(**settings):
        mine.append(Auditd(**settings))
        return mine[-1].start()

    yield made
    for one in mine:
        one.remove()


@pytest.fixture
def auditd(make):
    return make(new_ip_learning_seconds=0)


def only(alerts):
    assert len(alerts) == 1, alerts
    return alerts[0]


# --- new_ip ------------------------------------------------------------------------------------


def test_new_ip(auditd):
    auditd.add_key("key_one", name='Production "App"')
    auditd.post([event(1, time=NOW - 100)])
    auditd.post([event(2, time=NOW, address="203.0.113.9")])
    alert = only(auditd.alerts())
    assert alert["kind"] == "new_ip" and alert["severity"] == "warning" and alert["status"] == "open"
    assert re.fullmatch(r"alert_[a-z0-9]{20}", alert["id"])
    assert alert["account_id"] == "acct_default" and alert["key_id"] == "key_one"
    assert alert["subject"] == "key_one 203.0.113.0/24"
    assert alert["details"] == {"network": "203.0.113.0/24", "address": "203.0.113.9", "attack": "T1078",
                                "known_networks": 1, "used_since": stamp(NOW - 100)}
    for words in ("203.0.113.0/24", "203.0.113.9", 'sk_live_abc..., "Production "App""', stamp(NOW), stamp(NOW - 100),
                  "1 other network", "revoke"):
        assert words in alert["message"]


def stamp(moment):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def test_the_first_network_of_a_key_is_no_news(auditd):
    auditd.post(events(5))
    auditd.post(events(5, first=6, address="192.0.2.200"))   # the same /24
    auditd.post(events(5, first=11, key="key_two", address="203.0.113.9"))
    assert auditd.alerts() == []


def test_two_networks_in_one_batch(auditd):
    auditd.post([event(2, time=NOW, address="203.0.113.9"), event(1, time=NOW - 1)])
    assert only(auditd.alerts())["subject"] == "key_one 203.0.113.0/24"


def test_a_new_network_is_told_once(auditd):
    auditd.post([event(1)])
    for seq in range(2, 8):
        auditd.post([event(seq, address="203.0.113.9")])
    assert only(auditd.alerts())["count"] == 1


def test_the_learning_period(make):
    auditd = make(new_ip_learning_seconds=1000)
    auditd.post([event(1, time=NOW - 5000)])
    auditd.post([event(2, time=NOW - 4001, address="198.51.100.1")])
    assert auditd.alerts() == []
    auditd.post([event(3, time=NOW - 4000, address="203.0.113.1")])
    assert only(auditd.alerts())["subject"] == "key_one 203.0.113.0/24"


def test_attempts_make_no_network_known(auditd):
    auditd.post([event(1)])
    auditd.post([event(2, address="203.0.113.9", decision="ip_not_allowed", status=403)])
    assert auditd.alerts("new_ip") == []
    auditd.post([event(3, address="203.0.113.9")])
    assert len(auditd.alerts("new_ip")) == 1


def test_management_calls_show_new_networks_too(auditd):
    auditd.post([event(1), event(2, kind="manage", address="203.0.113.9", time=NOW + 1)])
    assert len(auditd.alerts("new_ip")) == 1


# --- auth_failures --------------------------------------------------------------------------------


def failures(count, first=1, decision="unknown_key", **fields):
    if decision in ("unknown_key", "malformed_key", "missing_credentials"):
        fields["key"] = ""
    return events(count, first=first, decision=decision, status=401, **fields)


def test_auth_failures_by_address(auditd):
    auditd.post(failures(19))
    assert auditd.alerts() == []
    auditd.post(failures(1, first=20))
    alert = only(auditd.alerts())
    assert alert["kind"] == "auth_failures" and alert["subject"] == "address 192.0.2.7" and alert["count"] == 20
    assert alert["account_id"] is None and alert["key_id"] is None
    assert "20 requests" in alert["message"] and "5 minutes" in alert["message"] and "192.0.2.7" in alert["message"]
    assert alert["details"]["attack"] == "T1110" and alert["details"]["failures"] == 20
    auditd.post(failures(5, first=21))
    assert only(auditd.alerts())["count"] == 25 and only(auditd.alerts())["id"] == alert["id"]


def test_failures_spread_out_are_no_alert(auditd):
    for minute in range(40):   # eight in five minutes
        auditd.post([event(seq, key="", decision="unknown_key", status=401, time=NOW - 60 * (40 - minute))
                     for seq in (2 * minute + 1, 2 * minute + 2)])
    assert auditd.alerts("auth_failures") == []


def test_missing_credentials_are_no_guesses(auditd):
    auditd.post(failures(500, decision="missing_credentials"))
    assert auditd.alerts() == []


def test_failures_of_many_addresses_are_no_alert_of_one(auditd):
    auditd.post([event(n, key="", decision="unknown_key", status=401, address=f"198.51.100.{n}")
                 for n in range(1, 200)])
    assert auditd.alerts() == []


def test_an_ipv6_host_is_its_64(auditd):
    auditd.post([event(n, key="", decision="malformed_key", status=401, address=f"2001:db8::{n:x}")
                 for n in range(1, 21)])
    assert only(auditd.alerts())["subject"] == "address 2001:db8::/64"


def test_auth_failures_by_key(make):
    auditd = make(auth_failures_address_count=1000)
    auditd.post(failures(9, decision="ip_not_allowed"))
    assert auditd.alerts("auth_failures") == []
    auditd.post(failures(1, first=10, decision="ip_not_allowed", address="203.0.113.1"))
    alert = only(auditd.alerts("auth_failures"))
    assert alert["subject"] == "key key_one" and alert["key_id"] == "key_one" and alert["account_id"] == "acct_default"
    assert "key_one" in alert["message"] and "10 times" in alert["message"]


def test_a_window_outlives_a_restart(auditd):
    auditd.post(failures(19))
    auditd.stop(signal.SIGKILL)
    auditd.start()
    auditd.post(failures(1, first=20))
    assert only(auditd.alerts())["count"] == 20


def test_a_clock_ahead_empties_no_window(auditd):
    auditd.post(failures(10))
    auditd.post(failures(1, producer="n2.1.x", time=NOW + 10 * DAY))
    auditd.post(failures(10, first=11))
    assert only(auditd.alerts())["count"] == 21


def test_a_repeated_batch_fills_no_window(auditd):
    for _ in range(5):
        auditd.post(failures(10))
    assert auditd.alerts() == []


# --- keys that should not be in use any more ---------------------------------------------------------


@pytest.mark.parametrize("decision, kind, severity", [("revoked_key", "revoked_key_used", "critical"),
                                                      ("expired_key", "expired_key_used", "warning")])
def test_dead_keys(auditd, decision, kind, severity):
    auditd.post(failures(2, decision=decision))
    alert = only(auditd.alerts())
    assert (alert["kind"], alert["severity"], alert["count"]) == (kind, severity, 2)
    assert alert["subject"] == alert["key_id"] == "key_one" and "192.0.2.7" in alert["message"]
    auditd.post(failures(1, first=3, decision=decision, address="203.0.113.1", time=NOW + 60))
    again = only(auditd.alerts())
    assert again["id"] == alert["id"] and again["count"] == 3 and "203.0.113.1" in again["message"]
    assert again["first_seen"] == int(NOW) and again["last_seen"] == int(NOW + 60)
    assert f"{decision.split('_')[0]}" in again["message"]


def test_a_resolved_alert_is_opened_anew(auditd):
    auditd.post(failures(1, decision="revoked_key"))
    auditd.sql("UPDATE alerts SET status = 'resolved'")
    auditd.post(failures(1, first=2, decision="revoked_key"))
    first, second = auditd.alerts()
    assert (first["status"], second["status"]) == ("resolved", "open") and first["id"] != second["id"]


def test_an_acknowledged_alert_stays_so(auditd):
    auditd.post(failures(1, decision="revoked_key"))
    auditd.sql("UPDATE alerts SET status = 'acknowledged'")
    auditd.post(failures(1, first=2, decision="revoked_key"))
    assert only(auditd.alerts())["status"] == "acknowledged" and only(auditd.alerts())["count"] == 2


def test_good_traffic_raises_nothing(auditd):
    auditd.post(events(2000))
    auditd.post(events(50, first=2001, decision="insufficient_scope", status=403))
    auditd.post(events(50, first=2051, kind="manage", decision="not_found", status=404))
    assert auditd.alerts() == []


# --- rate limits, quotas ---------------------------------------------------------------------------------


def test_rate_limit_hits(auditd):
    auditd.post(events(9, decision="rate_limit_exceeded", status=429))
    assert auditd.alerts() == []
    auditd.post(events(1, first=10, decision="rate_limit_exceeded", status=429))
    alert = only(auditd.alerts())
    assert alert["kind"] == "rate_limit_hits" and alert["severity"] == "info" and alert["key_id"] == "key_one"
    assert "Retry-After" in alert["message"] and "10 requests" in alert["message"]


def with_quota(auditd, quota):
    auditd.sql("UPDATE accounts SET quota_month = ? WHERE id = 'acct_default'", quota)
    auditd.add_key("key_one")
    auditd.add_key("key_two")
    auditd.add_key("key_test", environment="test")


def month_number(moment):
    at = time.gmtime(moment)
    return at.tm_year * 12 + at.tm_mon - 1


def test_quota_exceeded(auditd):
    with_quota(auditd, 10)
    auditd.post(events(5) + events(4, first=6, key="key_two"))
    assert auditd.sql("SELECT quota_used_month FROM accounts WHERE id = 'acct_default'") == [(0,)]
    assert auditd.sql("SELECT * FROM change_log") == []
    auditd.post(events(1, first=10))
    assert auditd.sql("SELECT quota_used_month FROM accounts WHERE id = 'acct_default'") == [(month_number(NOW),)]
    assert sorted(auditd.sql("SELECT key_id FROM change_log")) == [("key_one",), ("key_test",), ("key_two",)]
    alert = only(auditd.alerts("quota_exceeded"))
    assert alert["account_id"] == "acct_default" and alert["key_id"] is None
    assert alert["details"]["quota"] == 10 and alert["details"]["requests"] == 10
    auditd.post(events(3, first=11))
    assert only(auditd.alerts("quota_exceeded"))["count"] == 1 and len(auditd.sql("SELECT * FROM change_log")) == 3


def test_quota_warning(auditd):
    with_quota(auditd, 10)
    auditd.post(events(7))
    assert auditd.alerts() == []
    auditd.post(events(1, first=8))
    alert = only(auditd.alerts())
    assert alert["kind"] == "quota_warning" and alert["severity"] == "info" and alert["account_id"] == "acct_default"
    assert alert["details"]["quota"] == 10 and alert["details"]["requests"] == 8
    assert "8 of the 10 requests" in alert["message"] and "80 %" in alert["message"]
    auditd.sql("UPDATE alerts SET status = 'resolved'")
    auditd.post(events(1, first=9))   # told once, even when it was resolved
    assert only(auditd.alerts())["count"] == 1
    auditd.sql("UPDATE accounts SET quota_month = 12")   # a new quota is warned of in its turn
    auditd.post(events(1, first=10))
    assert [alert["details"]["quota"] for alert in auditd.alerts("quota_warning")] == [10, 12]
    auditd.post(events(2, first=11))   # used up: the warning has had its day
    assert [alert["status"] for alert in auditd.alerts("quota_warning")] == ["resolved", "resolved"]
    assert only(auditd.alerts("quota_exceeded"))["status"] == "open"


def test_a_quota_used_up_at_once_needs_no_warning(auditd):
    with_quota(auditd, 10)
    auditd.post(events(10, key="key_test", environment="test"))
    assert auditd.alerts() == []
    auditd.post(events(10, first=11))
    assert only(auditd.alerts())["kind"] == "quota_exceeded"


def test_the_share_of_a_quota_is_a_setting(make):
    auditd = make(quota_warning_percent=50)
    with_quota(auditd, 10)
    auditd.post(events(4))
    assert auditd.alerts() == []
    auditd.post(events(1, first=5))
    assert only(auditd.alerts())["details"]["percent"] == 50


def test_what_uses_up_no_quota(auditd):
    with_quota(auditd, 10)
    auditd.post(events(50, key="key_test", environment="test"))
    auditd.post(events(50, first=51, kind="manage"))
    auditd.post(events(50, first=101, decision="rate_limit_exceeded", status=429))
    assert auditd.alerts("quota_exceeded") == []


def test_late_events_of_a_past_month_refuse_nobody(auditd):
    with_quota(auditd, 10)
    auditd.post(events(50, time=NOW - 40 * DAY))
    assert auditd.alerts("quota_exceeded") == [] and auditd.sql("SELECT * FROM change_log") == []
    assert auditd.sql("SELECT requests FROM usage_month") == [(50,)]


def test_without_a_quota_there_is_no_end(auditd):
    auditd.post(events(5000))
    assert auditd.alerts() == []


# --- events_lost ----------------------------------------------------------------------------------------------


def test_a_gap_is_told_after_the_grace(make):
    auditd = make(events_lost_grace_seconds=1)
    auditd.post(events(10))
    auditd.post(events(10, first=15))
    alert = only(wait(lambda: auditd.alerts("events_lost"), what="the alert"))
    assert alert["subject"] == "n1.10.abc" and alert["severity"] == "critical"
    assert alert["count"] == alert["details"]["missing"] == 4 and alert["details"]["counted_up_to"] == 10
    assert auditd.sql("SELECT lost FROM producers") == [(4,)]
    # what comes after all is counted, and ends the alert
    auditd.post(events(3, first=11))
    assert only(auditd.alerts("events_lost"))["status"] == "open"
    auditd.post(events(1, first=14))
    assert only(auditd.alerts("events_lost"))["status"] == "resolved"
    assert auditd.requests() == {"ok": 24}
    assert auditd.sql("SELECT contiguous, beyond, lost FROM producers") == [(24, "", 0)]


def test_disorder_is_no_loss(make):
    auditd = make(events_lost_grace_seconds=2)
    auditd.post(events(10, first=11))
    auditd.post(events(10))
    time.sleep(4.5)   # the grace and a tick of the clock
    assert auditd.alerts() == []


def test_a_first_event_that_is_not_the_first(make):
    auditd = make(events_lost_grace_seconds=1)
    auditd.post(events(2, first=101))
    assert only(wait(lambda: auditd.alerts("events_lost"), what="the alert"))["count"] == 100


def test_more_gaps_than_are_remembered(make):
    """The oldest are given up and told at once; their events come too late to be counted."""
    auditd = make(events_lost_grace_seconds=3600)
    kept = 65536
    for first in (2, 2 + kept, 2 + 2 * kept):
        auditd.post([event(seq) for seq in range(first, first + kept, 2)])
    alert = only(auditd.alerts("events_lost"))
    assert alert["count"] == kept // 2
    assert auditd.post([event(1), event(3 * kept - 1)]) == {"counted": 1, "repeated": 1, "quarantined": 0}


# --- key_expiring --------------------------------------------------------------------------------------------------


def test_key_expiring(make):
    auditd = Auditd()
    now = int(time.time())
    old = now - 45 * DAY
    for name, days, created in (("thirty", 20, old), ("seven", 5, old), ("one", 0.5, old), ("far", 40, old),
                                ("past", -1, old), ("short", 0.5, now), ("month", 29, now - DAY)):
        auditd.add_key(f"key_{name}", expires_at=int(now + days * DAY), created_at=created)
    auditd.add_key("key_rotated", expires_at=now + DAY // 2, rotated_to="key_next")
    auditd.add_key("key_revoked", expires_at=now + DAY // 2)
    auditd.sql("UPDATE api_keys SET status = 'revoked' WHERE id = 'key_revoked'")
    auditd.add_key("key_never")
    try:
        auditd.start()
        wait(lambda: len(auditd.alerts("key_expiring")) == 3, what="three alerts")
        assert {(alert["key_id"], alert["details"]["days"]) for alert in auditd.alerts("key_expiring")} == \
            {("key_thirty", 30), ("key_seven", 7), ("key_one", 1)}
        alert, = (alert for alert in auditd.alerts("key_expiring") if alert["key_id"] == "key_one")
        assert "12 hours" in alert["message"] and stamp(now + DAY / 2) in alert["message"]
        assert alert["account_id"] == "acct_default"
        # once a stage, also over restarts and after the alert was resolved
        auditd.sql("UPDATE alerts SET status = 'resolved'")
        auditd.stop()
        auditd.start()
        wait(lambda: auditd.metric("last_commit_timestamp_seconds") > 0, what="a tick")
        assert len(auditd.alerts("key_expiring")) == 3
        # the next stage is a notice of its own, and so is another expiry
        auditd.sql("UPDATE api_keys SET expires_at = expires_at - ? WHERE id = 'key_seven'", 4 * DAY + DAY // 2)
        auditd.stop()
        auditd.start()
        wait(lambda: len(auditd.alerts("key_expiring")) == 4, what="the last day's alert")
        assert auditd.alerts("key_expiring")[-1]["details"]["days"] == 1
        assert auditd.alerts("key_expiring")[-1]["key_id"] == "key_seven"
    finally:
        auditd.remove()


# --- upkeep ----------------------------------------------------------------------------------------------------------


def test_what_is_old_is_removed():
    auditd = Auditd()
    now = int(time.time())
    auditd.sql("INSERT INTO change_log (key_id, at) VALUES ('old', 1), ('new', ?)", now)
    auditd.sql("INSERT INTO nodes VALUES ('gone', 250, 1, 1), ('here', 250, 1, ?)", now)
    auditd.sql("INSERT INTO producers (producer, contiguous, first_seen, last_seen) VALUES ('gone', 1, 1, 1),"
               " ('here', 1, 1, ?)", now)
    auditd.sql("INSERT INTO detector_state VALUES ('d', 'gone', '', 1), ('d', 'here', '', ?)", now + 1000)
    try:
        auditd.start()
        for table, column in (("change_log", "key_id"), ("nodes", "id"), ("producers", "producer"),
                              ("detector_state", "subject")):
            left = wait(lambda: len(rows := auditd.sql(f"SELECT {column} FROM {table}")) == 1 and rows, what=table)
            assert left[0][0] in ("here", "new")
    finally:
        auditd.remove()


# --- receivers -----------------------------------------------------------------------------------------------------------


SYSLOG = re.compile(r'<(\d+)>1 (\S+) (\S+) apikey-auditd (\d+) (\S+) '
                    r'\[apikey@32473((?: [a-z]+="[^"]*")+)\] (.*)', re.S)


def parse(message):
    priority, at, host, pid, kind, data, text = SYSLOG.fullmatch(message).groups()
    return {"priority": int(priority), "at": at, "kind": kind, "text": text,
            "data": dict(re.findall(r' ([a-z]+)="([^"]*)"', data))}


def udp_socket(port=0):
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", port))
    receiver.settimeout(30)
    return receiver


def test_syslog_by_udp(make):
    with udp_socket() as receiver:
        auditd = make(syslog=f"udp:127.0.0.1:{receiver.getsockname()[1]}")
        auditd.post(failures(1, decision="revoked_key"))
        message = parse(receiver.recv(65536).decode())
        alert = only(auditd.alerts())
        assert message["priority"] == 10 * 8 + 2 and message["at"] == stamp(NOW)
        assert message["kind"] == "revoked_key_used" and message["text"] == alert["message"]
        assert message["data"] == {"id": alert["id"], "kind": "revoked_key_used", "severity": "critical",
                                   "account": "acct_default", "key": "key_one", "subject": "key_one",
                                   "attack": "T1078", "count": "1"}
        wait(lambda: auditd.sql("SELECT * FROM outbox") == [], what="the outbox to be empty")
        auditd.post(failures(1, first=2, decision="revoked_key"))   # a repeat is no news
        receiver.settimeout(2)
        with pytest.raises(socket.timeout):
            receiver.recv(65536)
        assert auditd.metric("notes_sent_total") == 1


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_syslog_by_a_unix_socket(make, tmp_path, kind):
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, kind) as receiver:
        receiver.bind(path)
        receiver.settimeout(30)
        if kind == socket.SOCK_STREAM:
            receiver.listen()
        auditd = make(syslog=f"unix:{path}")
        auditd.post(failures(1, decision="expired_key"))
        if kind == socket.SOCK_STREAM:
            with receiver.accept()[0] as connection, connection.makefile() as lines:
                text = lines.readline()
            assert text.endswith("\n")
        else:
            text = receiver.recv(65536).decode()
        assert parse(text.rstrip("\n"))["data"]["id"] == only(auditd.alerts())["id"]


def test_syslog_by_tcp(make):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        auditd = make(syslog=f"tcp:127.0.0.1:{server.getsockname()[1]}")
        auditd.post(failures(1, decision="expired_key"))
        with server.accept()[0] as connection, connection.makefile("rb") as stream:
            received = stream.read()
        length, _, message = received.partition(b" ")
        assert int(length) == len(message)
        assert parse(message.decode())["kind"] == "expired_key_used"


def test_a_receiver_that_is_away_gets_it_later(make):
    port = free_port()
    auditd = make(syslog=f"tcp:127.0.0.1:{port}")
    auditd.post(failures(1, decision="revoked_key"))
    wait(lambda: auditd.metric("notes_failed_total") >= 2, what="failures")
    assert auditd.log().count("cannot be sent to syslog") == 1
    assert len(auditd.sql("SELECT * FROM outbox")) == 1
    auditd.stop(signal.SIGKILL)   # nor does a crash lose it
    auditd.start()
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(60)
        with server.accept()[0] as connection, connection.makefile("rb") as stream:
            received = stream.read().decode()
    assert only(auditd.alerts())["id"] in received
    wait(lambda: auditd.sql("SELECT * FROM outbox") == [], what="the outbox to be empty")


def test_alerts_in_a_file(make, tmp_path):
    auditd = make(alerts_file=tmp_path / "alerts", new_ip_learning_seconds=0)
    auditd.post([event(1), event(2, address="203.0.113.9", time=NOW + 1)]
                + failures(1, first=3, decision="revoked_key"))
    file = tmp_path / "alerts"
    wait(lambda: file.exists() and file.read_text().count("\n") == 2, what="two lines")
    told = [json.loads(line) for line in file.read_text().splitlines()]
    assert [alert["id"] for alert in told] == [alert["id"] for alert in auditd.alerts()]
    assert {alert["kind"] for alert in told} == {"new_ip", "revoked_key_used"}
    for alert, kept in zip(told, auditd.alerts()):
        assert alert["message"] == kept["message"] and alert["details"] == kept["details"]
        assert alert["first_seen"] == stamp(kept["first_seen"])


def test_an_alert_of_a_failed_batch_is_not_told(make):
    with udp_socket() as receiver:
        auditd = make(syslog=f"udp:127.0.0.1:{receiver.getsockname()[1]}")
        auditd.post(events(1))
        auditd.sql("CREATE TRIGGER refuse BEFORE UPDATE ON producers BEGIN SELECT RAISE(ABORT, 'no'); END")
        assert auditd.post_raw(failures(1, first=2, decision="revoked_key")[0])[0] == 503
        assert auditd.alerts() == [] and auditd.sql("SELECT * FROM outbox") == []
        receiver.settimeout(2)
        with pytest.raises(socket.timeout):
            receiver.recv(65536)


def test_a_sink_that_is_no_longer_configured_lets_go(make):
    auditd = make(syslog=f"tcp:127.0.0.1:{free_port()}")
    auditd.post(failures(1, decision="revoked_key"))
    auditd.stop()
    del auditd.settings["syslog"]
    auditd.settings["alerts_file"] = auditd.dir / "alerts"
    auditd.write_conf()
    auditd.start()
    wait(lambda: auditd.sql("SELECT * FROM outbox") == [], 30, what="the outbox to be empty")
    assert "not configured any more" in auditd.log()


def test_alerts_while_the_database_is_busy(make):
    """Receivers and batches share the database: neither may starve or break the other."""
    with udp_socket() as receiver:
        auditd = make(syslog=f"udp:127.0.0.1:{receiver.getsockname()[1]}")
        threads = [threading.Thread(target=lambda n=n: auditd.post(
            failures(30, producer=f"n{n}.1.x", decision="revoked_key", key=f"key_{n}"))) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wanted = {alert["id"] for alert in auditd.alerts()}
        assert len(auditd.alerts("revoked_key_used")) == 8 and len(auditd.alerts("auth_failures")) == 9
        assert {parse(receiver.recv(65536).decode())["data"]["id"] for _ in wanted} == wanted


def test_no_memory_error_in_a_life(tmp_path):
    """A whole life under valgrind: good, broken and repeated lines, alerts, receivers, SIGHUP, the end."""
    report = tmp_path / "valgrind"
    auditd = Auditd(new_ip_learning_seconds=0, alerts_file=tmp_path / "alerts", events_lost_grace_seconds=1)
    auditd.add_key("key_one", expires_at=int(time.time()) + DAY // 2)
    if not SANITIZE:   # a sanitizer looks for the same
        auditd.wrapper = ["valgrind", "-q", "--leak-check=full", "--errors-for-leak-kinds=definite",
                          "--error-exitcode=99", f"--log-file={report}"]
    try:
        auditd.start()
        auditd.post(events(50) + ["broken", event(51)[:60] + event(52, address="203.0.113.9", time=NOW + 1)])
        auditd.post(events(50) + failures(30, first=60, decision="revoked_key"))
        assert auditd.post_raw("x" * 100_000)[0] == 200 and auditd.post_raw("x", "wrong")[0] == 401
        wait(lambda: {"new_ip", "auth_failures", "revoked_key_used", "events_lost", "key_expiring"}
             <= {alert["kind"] for alert in auditd.alerts()}, 60, "the alerts")
        wait(lambda: auditd.sql("SELECT * FROM outbox") == [], 60, "the outbox to be empty")
        auditd.process.send_signal(signal.SIGHUP)
        wait(lambda: "read anew" in auditd.log(), 60, "the configuration")
        assert auditd.stop() == 0, report.read_text() if report.exists() else auditd.log()
        assert SANITIZE or report.read_text() == ""
    finally:
        auditd.remove()


# --- replay ------------------------------------------------------------------------------------------------------------------


def test_replay(make, tmp_path):
    start = 1_600_000_000
    first = [event(seq, time=start + seq * 60) for seq in range(1, 500)]
    second = [event(seq, producer="n2.1.x", time=start + 3 * DAY + seq, key="", decision="unknown_key", status=401,
                    address="203.0.113.5") for seq in range(1, 41)]
    third = [event(1, producer="n3.1.x", time=start + 4 * DAY, address="198.51.100.7"),
             event(5, producer="n3.1.x", time=start + 4 * DAY + 5)]
    for name, lines in (("a", first), ("b", second), ("c", third + ["broken"])):
        (tmp_path / f"{name}.events").write_text("\n".join(lines) + "\n")
    auditd = Auditd(with_database=False)
    try:
        done = auditd.call("--replay", tmp_path / "c.events", tmp_path / "a.events", tmp_path / "b.events")
        assert done.returncode == 0, done.stderr
        alerts = [json.loads(line) for line in done.stdout.splitlines()]
        assert [(alert["kind"], alert["subject"], alert["count"]) for alert in alerts] == [
            ("auth_failures", "address 203.0.113.5", 40), ("new_ip", "key_one 198.51.100.0/24", 1),
            ("events_lost", "n3.1.x", 3)]
        assert alerts[0]["first_seen"] == stamp(start + 3 * DAY + 1)
        assert "541 events, 0 repeats, 1 lines" in done.stderr
        assert not auditd.db.exists()
        again = auditd.call("--replay", *(tmp_path / f"{name}.events" for name in "abc"))
        assert again.stdout == done.stdout
        assert auditd.call("--replay", tmp_path / "missing").returncode == 1
    finally:
        auditd.remove()


def test_replay_leaves_no_scratch(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "one.events").write_text(event(1) + "\n")
    auditd = Auditd(with_database=False)
    try:
        assert auditd.call("--replay", tmp_path / "one.events").returncode == 0
        assert [path.name for path in tmp_path.iterdir()] == ["one.events"]
    finally:
        auditd.remove()
