"""Keys that are tried out: stuffing, guesses, probes of scopes, networks and environments"""
import signal

import pytest

from auditd import NOW, Auditd, event, events


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
    return make()


def only(alerts):
    assert len(alerts) == 1, alerts
    return alerts[0]


def refusals(pairs, decision="revoked_key", status=401, time=NOW, step=0, **fields):
    """One refusal a (key, address), step seconds apart, the last at time."""
    return [event(seq, key=key, address=address, decision=decision, status=status,
                  time=time - step * (len(pairs) - seq), **fields)
            for seq, (key, address) in enumerate(pairs, 1)]


# --- credential_stuffing -----------------------------------------------------------------------------


def test_one_source_many_keys(auditd):
    hoard = [(f"key_{n}", "203.0.113.9") for n in range(5)]
    auditd.post(refusals(hoard[:4] * 3))
    assert auditd.alerts("credential_stuffing") == []
    auditd.stop(signal.SIGKILL)   # what was seen so far is committed
    auditd.start()
    auditd.post(refusals(hoard[4:], decision="expired_key", producer="n1.11.abc"))
    alert = only(auditd.alerts("credential_stuffing"))
    assert alert["severity"] == "critical" and alert["subject"] == "source 203.0.113.9" and alert["count"] == 5
    assert alert["account_id"] is None and alert["key_id"] is None
    assert alert["details"] == {"address": "203.0.113.9", "keys": 5, "threshold": 5, "window_seconds": 3600,
                                "attack": "T1110.004"}
    for words in ("203.0.113.9", "5 different keys", "1 hour", "fewer than 5", "rotate"):
        assert words in alert["message"]


def test_more_keys_raise_the_count_of_the_same_alert(auditd):
    auditd.post(refusals([(f"key_{n}", "203.0.113.9") for n in range(100)]))
    alert = only(auditd.alerts("credential_stuffing"))
    assert alert["count"] == 100 and "64 or more different keys" in alert["message"]


def test_one_dead_key_tried_often_is_no_hoard(auditd):
    auditd.post(refusals([("key_one", "203.0.113.9")] * 300))
    assert auditd.alerts("credential_stuffing") == []


def test_many_good_keys_of_one_address_are_no_hoard(auditd):
    auditd.post([event(n, key=f"key_{n}", address="203.0.113.9") for n in range(1, 200)])
    auditd.post([event(n, key=f"key_{n}", address="203.0.113.9", decision="rate_limit_exceeded", status=429)
                 for n in range(200, 300)])
    assert auditd.alerts("credential_stuffing") == []


def test_dead_keys_over_days_are_no_hoard(auditd):
    auditd.post(refusals([(f"key_{n}", "203.0.113.9") for n in range(40)], step=1000))
    assert auditd.alerts("credential_stuffing") == []


def test_one_key_many_sources(auditd):
    auditd.add_key("key_one")
    rounds = [("key_one", f"198.51.{n}.7") for n in range(10)]
    auditd.post(refusals(rounds[:9] * 2, decision="ip_not_allowed", status=403))
    assert auditd.alerts("credential_stuffing") == []
    auditd.post(refusals(rounds[9:], producer="n1.11.abc"))
    alert = only(auditd.alerts("credential_stuffing"))
    assert alert["subject"] == "key key_one" and alert["key_id"] == "key_one"
    assert alert["account_id"] == "acct_default" and alert["details"]["attack"] == "T1110.003"
    assert "10 different networks" in alert["message"] and "sk_live_abc..." in alert["message"]


def test_a_dead_key_within_one_network_goes_no_rounds(auditd):
    auditd.post(refusals([("key_one", f"198.51.100.{n}") for n in range(1, 255)]))
    assert auditd.alerts("credential_stuffing") == []


def unknown(addresses, **fields):
    return refusals([("", address) for address in addresses], decision="unknown_key", **fields)


def test_guesses_from_one_source(auditd):
    auditd.post(unknown(["203.0.113.9"] * 49, step=60, time=NOW - 60))   # far too slow for auth_failures
    assert auditd.alerts() == []
    auditd.post(unknown(["203.0.113.9"], producer="n1.11.abc"))
    alert = only(auditd.alerts())
    assert alert["kind"] == "credential_stuffing" and alert["subject"] == "unknown 203.0.113.9"
    assert alert["details"]["attack"] == "T1110.001" and alert["details"]["unknown_keys"] == 50


def test_mistyped_and_forgotten_keys_are_no_guesses(auditd):
    auditd.post(events(400, key="", decision="malformed_key", status=401))
    auditd.post(events(400, first=401, key="", decision="missing_credentials", status=401))
    assert auditd.alerts("credential_stuffing") == []


def test_guesses_dealt_out_over_networks(auditd):
    auditd.post(unknown([f"198.51.{n}.7" for n in range(39)]))
    assert auditd.alerts() == []
    auditd.post(unknown(["2001:db8::1"], producer="n1.11.abc"))
    alert = only(auditd.alerts())
    assert alert["subject"] == "unknown everywhere" and alert["details"]["networks"] == 40


def test_a_repeated_batch_is_no_crowd(auditd):
    for _ in range(3):
        auditd.post(refusals([(f"key_{n}", "203.0.113.9") for n in range(4)]))
    assert auditd.alerts("credential_stuffing") == []


def test_the_thresholds_are_settings(make):
    auditd = make(credential_stuffing_keys=2, credential_stuffing_window_seconds=10)
    auditd.post(refusals([("key_one", "203.0.113.9"), ("key_two", "203.0.113.9")], step=20))
    assert auditd.alerts("credential_stuffing") == []
    auditd.post(refusals([("key_one", "203.0.113.8"), ("key_two", "203.0.113.8")], producer="n1.11.abc"))
    assert only(auditd.alerts("credential_stuffing"))["subject"] == "source 203.0.113.8"


@pytest.mark.parametrize("name, value", [("credential_stuffing_keys", 65), ("credential_stuffing_sources", 1),
                                         ("scope_probing_scopes", 1), ("ip_not_allowed_count", 0),
                                         ("environment_mismatch_count", "many")])
def test_a_threshold_that_cannot_be_met_is_refused(name, value):
    auditd = Auditd(with_database=False, **{name: value})
    try:
        done = auditd.call("-n")
        assert done.returncode == 1 and f"apikey.conf:6: {name} must be" in done.stderr
    finally:
        auditd.remove()


def test_a_clock_that_is_ahead_empties_no_crowd(auditd):
    auditd.post(refusals([(f"key_{n}", "203.0.113.9") for n in range(4)]))
    auditd.post(refusals([("key_four", "203.0.113.9")], producer="n2.1.abc", time=NOW + 10 * 86400))
    assert only(auditd.alerts("credential_stuffing"))["details"]["keys"] == 5


def test_a_malformed_memory_begins_anew(auditd):
    auditd.sql("INSERT INTO detector_state VALUES ('credential_stuffing.source', '203.0.113.9', 'spoilt', ?)",
               int(NOW) + 1000)
    auditd.post(refusals([(f"key_{n}", "203.0.113.9") for n in range(5)]))
    assert only(auditd.alerts("credential_stuffing"))["count"] == 5
    assert "malformed and begins anew" in auditd.log()


# --- scope_probing -------------------------------------------------------------------------------------


def lacking(scopes, **fields):
    return [event(seq, decision="insufficient_scope", status=403, scope=scope, **fields)
            for seq, scope in enumerate(scopes, 1)]


def test_scope_probing(auditd):
    auditd.add_key("key_one")
    auditd.post(lacking(["tasks:write", "tasks:delete", "users:read"] * 30))
    assert auditd.alerts() == []
    auditd.post(lacking(["projects:read"], producer="n1.11.abc"))
    alert = only(auditd.alerts())
    assert alert["kind"] == "scope_probing" and alert["severity"] == "warning" and alert["subject"] == "key_one"
    assert alert["details"] == {"scopes": 4, "threshold": 4, "window_seconds": 600, "address": "192.0.2.7",
                                "attack": "T1069"}
    assert "4 different scopes" in alert["message"] and "10 minutes" in alert["message"]


def test_scopes_lacking_over_hours_or_keys_are_no_probe(auditd):
    scopes = ["tasks:write", "tasks:delete", "users:read", "projects:read", "users:write", "projects:delete"]
    for n, scope in enumerate(scopes):
        auditd.post(lacking([scope], producer=f"n1.{n}.a", time=NOW - 300 * (len(scopes) - n)))
        auditd.post(lacking([scope], producer=f"n2.{n}.a", key=f"key_{n}"))
    assert auditd.alerts() == []


def test_scopes_that_are_held_are_no_probe(auditd):
    auditd.post([event(n, scope=scope) for n, scope in
                 enumerate(["tasks:write", "tasks:delete", "users:read", "projects:read", "users:write"], 1)])
    assert auditd.alerts() == []


# --- ip_not_allowed ----------------------------------------------------------------------------------------


def test_ip_not_allowed(auditd):
    auditd.add_key("key_one", name="Bound")
    auditd.post(refusals([("key_one", "203.0.113.9")] * 2, decision="ip_not_allowed", status=403))
    assert auditd.alerts() == []
    auditd.post(refusals([("key_one", "203.0.113.10")], decision="ip_not_allowed", status=403, producer="n1.11.a"))
    alert = only(auditd.alerts())
    assert alert["kind"] == "ip_not_allowed" and alert["severity"] == "warning" and alert["key_id"] == "key_one"
    assert alert["count"] == 3 and alert["details"]["attack"] == "T1078"
    assert "allowed_ips" in alert["message"] and "203.0.113.10" in alert["message"] and "Bound" in alert["message"]


def test_a_slip_now_and_then_is_no_alert(auditd):
    auditd.post(refusals([("key_one", "203.0.113.9")] * 10, decision="ip_not_allowed", status=403, step=2000))
    assert auditd.alerts() == []


# --- environment_mismatch -------------------------------------------------------------------------------------


def mismatches(count, environment="test", **fields):
    return events(count, decision="environment_mismatch", status=403, environment=environment, **fields)


def test_a_test_key_on_live_routes(auditd):
    auditd.add_key("key_one", environment="test")
    auditd.post(mismatches(4))
    assert auditd.alerts() == []
    auditd.post(mismatches(1, first=5))
    alert = only(auditd.alerts())
    assert alert["kind"] == "environment_mismatch" and alert["severity"] == "info" and alert["count"] == 5
    assert "sandbox" in alert["message"] and "live key" in alert["message"]


def test_a_live_key_in_the_sandbox_is_no_alert(auditd):
    auditd.post(mismatches(100, environment="live"))
    assert auditd.alerts() == []


def test_a_test_key_in_the_sandbox_is_no_alert(auditd):
    auditd.post(events(100, environment="test"))
    assert auditd.alerts() == []
