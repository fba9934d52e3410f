"""Accounts: made, shown, changed; what a change means for their keys."""
import re

import pytest


def refused(answer, status, code):
    assert (answer.status, answer.code) == (status, code), answer
    return answer.json()


def make(stack, **fields):
    answer = stack.manage("POST", "/v1/accounts", {"name": "An account", **fields})
    assert answer.status == 201, answer
    return answer.json()


def test_a_new_account(stack):
    answer = stack.manage("POST", "/v1/accounts", {"name": "Müller & Co", "contact": "ops@example.com"})
    assert answer.status == 201
    account = answer.json()
    assert re.match(r"acct_[a-z0-9]{20}$", account["id"])
    assert answer.header("Location") == f"/v1/accounts/{account['id']}"
    expected = {"name": "Müller & Co", "plan": "free", "contact": "ops@example.com", "rate_limit": None,
                "limits": {"per_hour": 1000, "per_minute": 100}, "quota_month": None, "quota": None,
                "requests_this_month": 0, "quota_exceeded": False}
    assert {name: account[name] for name in expected} == expected
    shown = stack.manage("GET", f"/v1/accounts/{account['id']}")
    assert shown.json() == account and shown.header("ETag") == answer.header("ETag")
    entry = stack.manage("GET", f"/v1/audit-log?target={account['id']}").json()["data"][0]
    assert entry["action"] == "account.create" and entry["account_id"] == account["id"]


def test_every_member_is_kept(stack):
    fields = {"name": "x", "plan": "enterprise", "contact": None, "quota_month": 12345,
              "rate_limit": {"per_hour": 200000, "per_minute": None}}
    account = make(stack, **fields)
    assert {name: account[name] for name in fields} == fields
    assert account["limits"] == {"per_hour": 200000, "per_minute": 5000} and account["quota"] == 12345


@pytest.mark.parametrize("fields, bad", [
    ({"name": ""}, "name"), ({"name": None}, "name"), ({"name": "x" * 101}, "name"), ({"name": "a\tb"}, "name"),
    ({"plan": "gold"}, "plan"), ({"plan": None}, "plan"), ({"plan": 1}, "plan"), ({"contact": "nobody"}, "contact"),
    ({"contact": "@"}, "contact"), ({"contact": "a@b, c@d"}, "contact"), ({"contact": "a@" + "b" * 260}, "contact"),
    ({"contact": "a@b\r\nBcc:c"}, "contact"), ({"contact": ["a@b"]}, "contact"), ({"quota_month": 0}, "quota_month"),
    ({"quota_month": "5"}, "quota_month"), ({"quota_month": 1e3}, "quota_month"), ({"rate_limit": []}, "rate_limit"),
    ({"rate_limit": {"per_hour": -5}}, "rate_limit.per_hour"), ({"limits": None}, "limits"), ({"id": "acct_x"}, "id")])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_bad_fields(stack, method, fields, bad):
    path = "/v1/accounts" + ("" if method == "POST" else f"/{make(stack)['id']}")
    answer = refused(stack.manage(method, path, {"name": "x", **fields}), 422, "validation_failed")
    assert [error["field"] for error in answer["errors"]] == [bad]


def test_a_name_is_required(stack):
    assert refused(stack.manage("POST", "/v1/accounts", {}), 422, "validation_failed")["errors"][0]["field"] == "name"


def test_a_change_reaches_the_keys_at_once(stack):
    account = make(stack)["id"]
    key = stack.make_key("tasks:read", account_id=account)["key"]
    path = f"/v1/accounts/{account}"

    def limit():
        return stack.get("/v1/tasks", key).header("X-RateLimit-Limit")

    assert limit() == "1000"
    assert stack.manage("PATCH", path, {"plan": "professional"}).status == 200
    assert limit() == "10000"
    changed = stack.manage("PATCH", path, {"rate_limit": {"per_hour": 77, "per_minute": 66}})
    assert changed.json()["limits"] == {"per_hour": 77, "per_minute": 66} and limit() == "77"
    assert stack.manage("PATCH", path, {"rate_limit": None}).json()["rate_limit"] is None
    assert limit() == "10000"


def test_if_match(stack):
    path = f"/v1/accounts/{make(stack)['id']}"
    tag = stack.manage("GET", path).header("ETag")
    assert stack.manage("PATCH", path, {"name": "First"}, headers={"If-Match": tag}).status == 200
    refused(stack.manage("PATCH", path, {"name": "Second"}, headers={"If-Match": tag}), 412, "precondition_failed")
    assert stack.manage("GET", path).json()["name"] == "First"


def test_a_change_is_in_the_audit_log(stack):
    account = make(stack, name="Before")["id"]
    stack.manage("PATCH", f"/v1/accounts/{account}", {"name": "After", "plan": "free"})
    stack.manage("PATCH", f"/v1/accounts/{account}", {"name": "After"})
    entries = stack.manage("GET", f"/v1/audit-log?target={account}").json()["data"]
    assert [entry["action"] for entry in entries] == ["account.update", "account.create"]
    assert entries[0]["details"] == {"name": {"from": "Before", "to": "After"}}


def test_pages(stack):
    made = [make(stack)["id"] for _ in range(5)]
    listed, after = [], ""
    while len(listed) < 5:
        page = stack.manage("GET", f"/v1/accounts?limit=2{after}").json()
        assert len(page["data"]) == 2 and page["has_more"] and page["next"] == page["data"][-1]["id"]
        listed += [entry["id"] for entry in page["data"]]
        after = f"&after={page['next']}"
    assert listed[:5] == made[::-1]
    refused(stack.manage("GET", "/v1/accounts?after=acct_nosuch"), 400, "invalid_request")
    refused(stack.manage("GET", "/v1/accounts?after=key_x"), 400, "invalid_request")


def test_who_may_see_an_account(stack):
    mine, theirs = make(stack)["id"], make(stack)["id"]
    key = stack.make_key("tasks:read", account_id=mine)["key"]
    assert stack.get(f"/v1/accounts/{mine}", key).json()["id"] == mine
    assert stack.get(f"/v1/accounts/{theirs}", key).status == 404
    sandbox = stack.make_key("admin:*", account_id=mine, environment="test")["key"]
    assert stack.get(f"/v1/accounts/{mine}", sandbox).status == 200
    assert stack.get(f"/v1/accounts/{theirs}", sandbox).status == 404
    assert stack.get("/v1/accounts", key).code == "insufficient_scope"
    assert stack.manage("POST", "/v1/accounts", {"name": "x"}, key=key).code == "insufficient_scope"
    assert stack.manage("PATCH", f"/v1/accounts/{mine}", {"plan": "enterprise"}, key=key).code == "insufficient_scope"


def test_what_is_not_there(stack):
    refused(stack.manage("GET", "/v1/accounts/acct_nosuch"), 404, "not_found")
    refused(stack.manage("PATCH", "/v1/accounts/acct_nosuch", {"name": "x"}), 404, "not_found")
    refused(stack.manage("GET", "/v1/accounts/key_x"), 404, "not_found")
    refused(stack.manage("DELETE", "/v1/accounts/acct_default"), 405, "method_not_allowed")
