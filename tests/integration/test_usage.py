"""From a request to the figures and the first alerts, through syslog-ng and auditd."""
import datetime

import pytest

from keys import well_formed
from stack import wait


def details(stack, key):
    answer = stack.manage("GET", f"/v1/api-keys/{key['id']}")
    assert answer.status == 200
    return answer.json()


def alerts(stack, kind, **wanted):
    answer = stack.manage("GET", f"/v1/alerts?kind={kind}&limit=100")
    assert answer.status == 200, answer
    return [alert for alert in answer.json()["data"]
            if all(alert.get(name) == value for name, value in wanted.items())]


def test_figures_move(stack):
    key = stack.make_key()
    assert details(stack, key)["last_used"] is None
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    for _ in range(7):
        assert stack.get("/v1/tasks", key["key"]).status == 200
    shown = wait(lambda: (now := details(stack, key))["usage"]["requests_today"] >= 7 and now,
                 seconds=10, what="the figures")
    assert shown["usage"] == {"requests_today": 7, "requests_this_month": 7}
    used = datetime.datetime.strptime(shown["last_used"], "%Y-%m-%dT%H:%M:%S%z")
    assert before <= used <= datetime.datetime.now(datetime.timezone.utc)


def test_only_admitted_requests_count(stack):
    key = stack.make_key()
    assert stack.get("/v1/tasks", key["key"]).status == 200
    assert stack.request("POST", "/v1/tasks", key["key"]).status == 403
    assert stack.get("/v1/rate-limit", key["key"]).status == 200
    assert stack.get("/v1/tasks", key["key"]).status == 200
    wait(lambda: details(stack, key)["usage"]["requests_today"] == 2, what="two admitted requests")
    wait(lambda: ["insufficient_scope", "1"] in
         stack.sql(f"SELECT decision, requests FROM usage_day WHERE key_id = '{key['id']}'"),
         what="the refusal by its reason")
    assert details(stack, key)["usage"]["requests_today"] == 2


def test_every_event_once_across_restarts_of_the_carriers(stack):
    """syslog-ng and auditd are killed in the middle; nothing is lost, nothing counted twice."""
    key = stack.make_key(account_id=stack.make_account("enterprise"))
    for part in ("syslog_ng", "auditd"):
        for _ in range(30):
            assert stack.get("/v1/tasks", key["key"]).status == 200
        stack.kill(part)
        stack.wait_gone(part)
        for _ in range(20):
            assert stack.get("/v1/tasks", key["key"]).status == 200
        stack.start()
    assert wait(lambda: details(stack, key)["usage"]["requests_today"] >= 100, 30, "all events")
    assert details(stack, key)["usage"]["requests_today"] == 100


def test_usage_series(stack):
    key = stack.make_key()
    for _ in range(3):
        stack.get("/v1/tasks", key["key"])
    wait(lambda: details(stack, key)["usage"]["requests_today"] == 3, what="the figures")
    for granularity in ("hour", "day"):
        answer = stack.manage("GET", f"/v1/usage?key_id={key['id']}&granularity={granularity}")
        assert answer.status == 200, answer
        assert b'"start"' in answer.body


def test_new_ip(stack):
    key = stack.make_key()
    assert stack.get("/v1/tasks", key["key"], address="192.0.2.50").status == 200
    wait(lambda: details(stack, key)["usage"]["requests_today"] == 1, what="the first event")
    assert not alerts(stack, "new_ip", key_id=key["id"])
    assert stack.get("/v1/tasks", key["key"], address="192.0.2.99").status == 200   # the same network
    wait(lambda: details(stack, key)["usage"]["requests_today"] == 2, what="the second event")
    assert not alerts(stack, "new_ip", key_id=key["id"])
    assert stack.get("/v1/tasks", key["key"], address="203.0.113.200").status == 200
    alert, = wait(lambda: alerts(stack, "new_ip", key_id=key["id"]), what="the alert")
    assert "203.0.113.0/24" in alert["message"]
    assert alert["status"] == "open" and alert["id"].startswith("alert_")


def test_revoked_and_expired_keys_in_use(stack):
    revoked = stack.make_key()
    stack.manage("DELETE", f"/v1/api-keys/{revoked['id']}")
    assert stack.get("/v1/tasks", revoked["key"], address="192.0.2.61").status == 401
    expired = stack.make_key(expires_at="2020-01-01T00:00:00Z")
    assert stack.get("/v1/tasks", expired["key"], address="192.0.2.62").status == 401
    assert wait(lambda: alerts(stack, "revoked_key_used", key_id=revoked["id"]), what="the alert")
    assert wait(lambda: alerts(stack, "expired_key_used", key_id=expired["id"]), what="the alert")


def test_auth_failures_by_address(stack):
    for _ in range(60):
        stack.get("/v1/tasks", well_formed(), address="192.0.2.63")
    found = wait(lambda: [alert for alert in alerts(stack, "auth_failures") if "192.0.2.63" in alert["subject"]],
                 what="the alert")
    assert found[0]["status"] == "open"


def test_rate_limit_hits(stack):
    account = stack.make_account("enterprise")
    key = stack.make_key(account_id=account, rate_limit={"per_minute": 1, "per_hour": 1})
    for _ in range(40):
        stack.get("/v1/tasks", key["key"])
    assert wait(lambda: alerts(stack, "rate_limit_hits", key_id=key["id"]), what="the alert")


def test_acknowledging_an_alert(stack):
    key = stack.make_key()
    stack.manage("DELETE", f"/v1/api-keys/{key['id']}")
    stack.get("/v1/tasks", key["key"], address="192.0.2.64")
    alert, = wait(lambda: alerts(stack, "revoked_key_used", key_id=key["id"]), what="the alert")
    answer = stack.manage("PATCH", f"/v1/alerts/{alert['id']}", {"status": "acknowledged"})
    assert answer.status == 200
    shown, = alerts(stack, "revoked_key_used", key_id=key["id"])
    assert shown["status"] == "acknowledged" and shown["acknowledged_by"].startswith("key_")
