"""Alerts and the audit log through the management endpoints."""
import secrets
import string

import pytest


def refused(answer, status, code):
    assert (answer.status, answer.code) == (status, code), answer
    return answer.json()


def raise_alert(stack, account="acct_default", kind="new_ip", severity="info", key_id=None, subject=None):
    """Write an alert as auditd does."""
    alert = "alert_" + "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(20))
    text = lambda value: "NULL" if value is None else f"'{value}'"
    stack.sql("INSERT INTO alerts (id, kind, severity, account_id, key_id, subject, message, details, count,"
              f" first_seen, last_seen) VALUES ('{alert}', '{kind}', '{severity}', {text(account)}, {text(key_id)}, "
              f"'{subject or alert}', 'Something was seen.', '{{\"network\": \"192.0.2.0/24\"}}', 3, "
              "1767225600, 1767225700)")
    return alert


@pytest.fixture(scope="module")
def account(stack):
    return stack.make_account()


@pytest.fixture(scope="module")
def watcher(stack, account):
    return stack.make_key("alerts:read alerts:write audit:read", account_id=account)


def ids(answer):
    assert answer.status == 200, answer
    return [entry["id"] for entry in answer.json()["data"]]


def test_an_alert_as_it_is_told(stack, account, watcher):
    alert = raise_alert(stack, account, key_id=watcher["id"], subject="the subject")
    shown = stack.get(f"/v1/alerts/{alert}", watcher["key"]).json()
    assert shown == {"id": alert, "kind": "new_ip", "severity": "info", "status": "open", "account_id": account,
                     "key_id": watcher["id"], "subject": "the subject", "message": "Something was seen.",
                     "details": {"network": "192.0.2.0/24"}, "count": 3, "first_seen": "2026-01-01T00:00:00Z",
                     "last_seen": "2026-01-01T00:01:40Z", "acknowledged_by": None}
    assert stack.get(f"/v1/alerts?key_id={watcher['id']}", watcher["key"]).json()["data"] == [shown]


def test_filters_and_pages(stack):
    account = stack.make_account()
    key = stack.make_key("alerts:read alerts:write", account_id=account)
    made = [raise_alert(stack, account, kind, severity, key_id)
            for kind, severity, key_id in [("new_ip", "info", None), ("auth_failures", "warning", key["id"]),
                                           ("new_ip", "critical", key["id"]), ("quota_exceeded", "warning", None)]]
    stack.manage("PATCH", f"/v1/alerts/{made[0]}", {"status": "acknowledged"}, key=key["key"])

    def listed(query=""):
        return ids(stack.get(f"/v1/alerts?{query}", key["key"]))

    assert listed() == made[::-1]
    assert listed("kind=new_ip") == [made[2], made[0]]
    assert listed("severity=warning") == [made[3], made[1]]
    assert listed(f"key_id={key['id']}") == [made[2], made[1]]
    assert listed("status=open") == made[:0:-1] and listed("status=acknowledged") == [made[0]]
    assert listed(f"kind=new_ip&severity=critical&key_id={key['id']}&status=open") == [made[2]]
    page = stack.get("/v1/alerts?limit=3", key["key"]).json()
    assert page["has_more"] and page["next"] == made[1]
    assert listed(f"limit=3&after={page['next']}") == [made[0]]


def test_acknowledged_resolved_and_open_again(stack, watcher, account):
    alert = raise_alert(stack, account)
    path = f"/v1/alerts/{alert}"
    for status in ("acknowledged", "acknowledged", "resolved", "open"):
        answer = stack.manage("PATCH", path, {"status": status}, key=watcher["key"])
        assert answer.status == 200 and answer.json()["status"] == status
        if status == "acknowledged":
            assert answer.json()["acknowledged_by"] == watcher["id"]
    entries = stack.get(f"/v1/audit-log?target={alert}", watcher["key"]).json()["data"]
    assert len(entries) == 3 and {entry["action"] for entry in entries} == {"alert.update"}
    assert all(entry["actor"] == watcher["id"] and entry["account_id"] == account for entry in entries)


def test_an_alert_that_came_back_meanwhile(stack, watcher, account):
    old = raise_alert(stack, account, subject="twice")
    assert stack.manage("PATCH", f"/v1/alerts/{old}", {"status": "resolved"}, key=watcher["key"]).status == 200
    raise_alert(stack, account, subject="twice")
    refused(stack.manage("PATCH", f"/v1/alerts/{old}", {"status": "open"}, key=watcher["key"]), 409, "conflict")


@pytest.mark.parametrize("body, bad", [({}, "status"), ({"status": "gone"}, "status"), ({"status": None}, "status"),
                                       ({"status": 1}, "status"), ({"status": "open", "severity": "info"}, "severity")])
def test_bad_changes(stack, watcher, account, body, bad):
    alert = raise_alert(stack, account)
    answer = refused(stack.manage("PATCH", f"/v1/alerts/{alert}", body, key=watcher["key"]), 422, "validation_failed")
    assert [error["field"] for error in answer["errors"]] == [bad]


@pytest.mark.parametrize("query, name", [("status=x", "status"), ("severity=x", "severity"), ("key_id=x", "key_id"),
                                         ("after=x", "after"), ("after=alert_nosuch", "after"), ("limit=0", "limit")])
def test_malformed_parameters(stack, watcher, query, name):
    answer = refused(stack.get(f"/v1/alerts?{query}", watcher["key"]), 400, "invalid_request")
    assert answer["parameter"] == name


def test_alerts_of_no_account_are_the_administrators(stack, watcher):
    alert = raise_alert(stack, account=None, kind="auth_failures")
    assert stack.manage("GET", f"/v1/alerts/{alert}").status == 200
    assert alert in ids(stack.manage("GET", "/v1/alerts"))
    assert stack.get(f"/v1/alerts/{alert}", watcher["key"]).status == 404
    assert alert not in ids(stack.get("/v1/alerts?limit=100", watcher["key"]))


# --- the audit log ------------------------------------------------------------------------

def test_what_an_entry_says(stack):
    made = stack.make_key(name="Before")
    stack.manage("PATCH", f"/v1/api-keys/{made['id']}", {"name": "After", "allowed_ips": ["192.0.2.0/24"]},
                 address="203.0.113.9")
    page = stack.manage("GET", f"/v1/audit-log?target={made['id']}").json()
    assert (page["has_more"], page["next"]) == (False, None)
    entry = page["data"][0]
    assert entry["action"] == "key.update" and entry["address"] == "203.0.113.9"
    assert entry["target"] == made["id"] and entry["account_id"] == made["account_id"]
    assert entry["details"] == {"name": {"from": "Before", "to": "After"},
                                "allowed_ips": {"from": None, "to": ["192.0.2.0/24"]}}
    assert made["key"] not in str(page)


def test_pages_of_the_log(stack):
    account = stack.make_account()
    made = [stack.make_key(account_id=account)["id"] for _ in range(5)]
    targets, before = [], ""
    while True:
        answer = stack.manage("GET", f"/v1/audit-log?account_id={account}&action=key.create&limit=2{before}")
        assert answer.status == 200, answer
        page = answer.json()
        targets += [entry["target"] for entry in page["data"]]
        if not page["has_more"]:
            break
        assert page["next"] == page["data"][-1]["id"]
        before = f"&before={page['next']}"
    assert targets == made[::-1]


@pytest.mark.parametrize("query, name", [("before=0", "before"), ("before=x", "before"), ("limit=101", "limit"),
                                         ("before=99999999999999999999", "before")])
def test_malformed_parameters_of_the_log(stack, query, name):
    assert refused(stack.manage("GET", f"/v1/audit-log?{query}"), 400, "invalid_request")["parameter"] == name
