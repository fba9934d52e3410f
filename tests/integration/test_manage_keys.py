"""Keys through the management endpoints: what is answered, what is remembered, who may."""
import concurrent.futures
import datetime
import re
from urllib.parse import quote

import pytest

from keys import checksum

ALL_SCOPES = "api-keys:read api-keys:write api-keys:delete tasks:read tasks:write"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")


def from_now(**distance):
    then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**distance)
    return then.strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()


def bad_fields(answer):
    assert (answer.status, answer.code) == (422, "validation_failed"), answer
    assert all(set(error) == {"field", "message"} and error["message"] for error in answer.json()["errors"])
    return [error["field"] for error in answer.json()["errors"]]


def refused(answer, status, code):
    assert (answer.status, answer.code) == (status, code), answer
    body = answer.json()
    assert body["status"] == status and body["detail"] == body["message"] and body["type"] == "about:blank"
    assert answer.header("Cache-Control") == "no-store"
    return body


@pytest.fixture(scope="module")
def account(stack):
    return stack.make_account()


@pytest.fixture(scope="module")
def caller(stack, account):
    """A key that manages the keys of its account, and no more."""
    return stack.make_key(ALL_SCOPES, account_id=account)


# --- made ---------------------------------------------------------------------------------

def test_the_answer_to_a_new_key(stack, caller):
    answer = stack.manage("POST", "/v1/api-keys", {"name": "Schlüssel № 1", "permissions": ["tasks:read"]},
                          key=caller["key"])
    assert answer.status == 201
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("Content-Type") == "application/json"
    made = answer.json()
    assert list(made)[:3] == ["id", "key", "name"]
    assert answer.header("Location") == f"/v1/api-keys/{made['id']}"
    assert re.match(r"key_[a-z0-9]{20}$", made["id"])
    assert re.match(r"sk_live_[0-9A-Za-z]{38}$", made["key"]) and checksum(made["key"][:-6]) == made["key"][-6:]
    assert made["prefix"] == made["key"][:11] + "..." and made["last_four"] == made["key"][-4:]
    assert made["name"] == "Schlüssel № 1"
    assert TIME.match(made["created_at"])
    expected = {"description": "", "environment": "live", "status": "active", "permissions": ["tasks:read"],
                "last_used": None, "expires_at": None, "revoked_at": None, "rate_limit": None, "auto_renew": False,
                "allowed_ips": None, "rotated_from": None, "rotated_to": None, "created_by": caller["id"],
                "account_id": caller["account_id"], "usage": {"requests_today": 0, "requests_this_month": 0}}
    assert {name: made[name] for name in expected} == expected
    shown = stack.manage("GET", answer.header("Location"), key=caller["key"])
    assert shown.status == 200 and made["key"].encode() not in shown.body
    assert shown.json() == {name: value for name, value in made.items() if name != "key"}
    assert shown.header("ETag") == answer.header("ETag") == '"1"'


def test_every_member_is_kept(stack, account):
    enterprise = stack.make_account("enterprise")
    fields = {"name": "Everything", "description": "two\nlines", "permissions": ["tasks:*", "users:read"],
              "environment": "test", "expires_at": from_now(days=30), "rate_limit": {"per_hour": 7, "per_minute": None},
              "allowed_ips": ["192.0.2.0/24", "2001:db8::1", "198.51.100.7"], "auto_renew": True,
              "account_id": enterprise}
    made = stack.make_key(**fields)
    shown = stack.manage("GET", f"/v1/api-keys/{made['id']}").json()
    for name, value in fields.items():
        assert shown[name] == made[name]
        if name != "allowed_ips":
            assert shown[name] == value
    assert [text.split("/")[0] for text in shown["allowed_ips"]] == ["192.0.2.0", "2001:db8::1", "198.51.100.7"]
    assert made["key"].startswith("sk_test_")


def test_times_in_other_zones_become_utc(stack):
    assert stack.make_key(expires_at="2030-06-01T02:00:00+02:00")["expires_at"] == "2030-06-01T00:00:00Z"


def test_repeated_permissions_count_once(stack):
    assert stack.make_key(["tasks:read", "users:read", "tasks:read"])["permissions"] == ["tasks:read", "users:read"]


def test_permissions_by_default(stack, caller):
    """A key that names no permissions may read what its maker may, and manage nothing."""
    made = stack.manage("POST", "/v1/api-keys", {"name": "Temporary Key"}, key=caller["key"])
    assert made.status == 201 and made.json()["permissions"] == ["tasks:read"]
    made = stack.manage("POST", "/v1/api-keys", {"name": "Temporary Key"})
    assert set(made.json()["permissions"]) >= {"tasks:read", "projects:read", "users:read"}
    assert not [name for name in made.json()["permissions"] if not name.endswith(":read")
                or name.startswith(("api-keys", "alerts", "audit", "admin"))]
    manager = stack.make_key("api-keys:write")["key"]
    assert bad_fields(stack.manage("POST", "/v1/api-keys", {"name": "x"}, key=manager)) == ["permissions"]


def test_a_body_without_a_type_is_json(stack):
    body = b'{"name":"x","permissions":["tasks:read"]}'
    assert stack.request("POST", "/v1/api-keys", stack.admin_key, body=body).status == 201
    for kind in ("application/json; charset=UTF-8", "Application/JSON", 'application/json; charset="utf-8"',
                 "application/vnd.api+json"):
        assert stack.request("POST", "/v1/api-keys", stack.admin_key, body=body,
                             headers={"Content-Type": kind}).status == 201, kind
    for kind in ("text/plain", "application/json; charset=utf-16", "application/jsonp", "application/+json", "json",
                 "text/json+json", "application/json-patch"):
        refused(stack.request("POST", "/v1/api-keys", stack.admin_key, body=body, headers={"Content-Type": kind}),
                415, "unsupported_media_type")
    refused(stack.request("POST", "/v1/api-keys", stack.admin_key, body=body,
                          headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}),
            415, "unsupported_media_type")


def test_all_bad_fields_are_named_at_once(stack):
    answer = stack.manage("POST", "/v1/api-keys", {
        "name": " ", "permissions": [], "expires_at": "1970-01-01T00:00:00Z", "allowed_ips": [],
        "rate_limit": {"per_hour": 0, "per_day": 1}, "colour": 1, "description": "bell\x07"})
    assert sorted(bad_fields(answer)) == ["allowed_ips", "colour", "description", "expires_at", "name", "permissions",
                                          "rate_limit.per_day", "rate_limit.per_hour"]


@pytest.mark.parametrize("fields, bad", [
    ({"permissions": ["tasks:read", "tasks:fly"]}, "permissions[1]"),
    ({"permissions": ["nothing:*"]}, "permissions[0]"),
    ({"permissions": ["tasks:read users:read"]}, "permissions[0]"), ({"permissions": None}, "permissions"),
    ({"permissions": [""]}, "permissions[0]"), ({"permissions": ["tasks:read"] * 200}, "permissions"),
    ({"allowed_ips": ["192.0.2.1/24"]}, "allowed_ips[0]"), ({"allowed_ips": ["192.0.2.0/33"]}, "allowed_ips[0]"),
    ({"allowed_ips": ["192.0.2.0/24 10.0.0.0/8"]}, "allowed_ips[0]"), ({"allowed_ips": [7]}, "allowed_ips[0]"),
    ({"allowed_ips": [f"192.0.2.{n}" for n in range(65)]}, "allowed_ips"),
    ({"rate_limit": 5}, "rate_limit"), ({"rate_limit": {"per_hour": 1.5}}, "rate_limit.per_hour"),
    ({"rate_limit": {"per_minute": 10**10}}, "rate_limit.per_minute"),
    ({"rate_limit": {"per_minute": "5"}}, "rate_limit.per_minute"),
    ({"name": "x" * 101}, "name"), ({"name": "a\nb"}, "name"), ({"description": "x" * 1001}, "description"),
    ({"description": 1}, "description"), ({"auto_renew": 1}, "auto_renew"), ({"environment": None}, "environment"),
    ({"account_id": "acct_nosuch"}, "account_id"), ({"account_id": "key_x"}, "account_id"),
    ({"expires_at": "2030-01-01"}, "expires_at"), ({"expires_at": "2030-01-01T00:00:00"}, "expires_at"),
    ({"expires_at": "1960-01-01T00:00:00Z"}, "expires_at"), ({"": 1}, ""),
])
def test_bad_fields(stack, fields, bad):
    answer = stack.manage("POST", "/v1/api-keys", {"name": "x", "permissions": ["tasks:read"], **fields})
    assert bad_fields(answer) == [bad]


def test_the_longest_that_is_taken(stack):
    made = stack.make_key(name="ü" * 100, description="€" * 1000, allowed_ips=[f"192.0.2.{n}" for n in range(64)])
    assert len(stack.manage("GET", f"/v1/api-keys/{made['id']}").json()["allowed_ips"]) == 64
    assert stack.get("/v1/tasks", made["key"]).code == "ip_not_allowed"
    assert stack.get("/v1/tasks", made["key"], address="192.0.2.63").status == 200


@pytest.mark.parametrize("value", ["", "with blank", "x" * 256, "ümlaut"])
def test_malformed_idempotency_keys(stack, value):
    answer = stack.manage("POST", "/v1/api-keys", {"name": "x", "permissions": ["tasks:read"]},
                          headers={"Idempotency-Key": value.encode()})
    refused(answer, 400, "invalid_request")


def test_idempotency_keys_belong_to_an_account(stack, caller):
    other = stack.make_key(ALL_SCOPES, account_id=stack.make_account())
    body, headers = {"name": "Once", "permissions": ["tasks:read"]}, {"Idempotency-Key": "x" * 255}
    first = stack.manage("POST", "/v1/api-keys", body, key=caller["key"], headers=headers)
    second = stack.manage("POST", "/v1/api-keys", body, key=other["key"], headers=headers)
    assert first.status == second.status == 201
    again = refused(stack.manage("POST", "/v1/api-keys", {"name": "Other", "permissions": ["tasks:write"]},
                                 key=caller["key"], headers=headers), 409, "conflict")
    assert again["id"] == first.json()["id"]


def test_a_refused_request_uses_no_idempotency_key(stack):
    headers = {"Idempotency-Key": "mended"}
    assert stack.manage("POST", "/v1/api-keys", {"name": 7}, headers=headers).status == 422
    body = {"name": "x", "permissions": ["tasks:read"]}
    assert stack.manage("POST", "/v1/api-keys", body, headers=headers).status == 201


# --- plans ----------------------------------------------------------------------------------

def test_limits_above_the_plan(stack, caller, account):
    def make(rate_limit, key=caller["key"], **more):
        return stack.manage("POST", "/v1/api-keys", {"name": "x", "permissions": ["tasks:read"],
                                                     "rate_limit": rate_limit, **more}, key=key)

    assert make({"per_hour": 10000, "per_minute": 500}).status == 201
    refused(make({"per_hour": 10001}), 403, "plan_required")
    refused(make({"per_minute": 501}), 403, "plan_required")
    assert make({"per_hour": 10001}, key=None, account_id=account).status == 201
    enterprise = stack.make_key(ALL_SCOPES, account_id=stack.make_account("enterprise"))
    assert make({"per_hour": 5000000, "per_minute": 90000}, key=enterprise["key"]).status == 201
    lower = make({"per_hour": 5}).json()["id"]
    refused(stack.manage("PATCH", f"/v1/api-keys/{lower}", {"rate_limit": {"per_hour": 20000}}, key=caller["key"]),
            403, "plan_required")
    raised = make({"per_hour": 20000}, key=None, account_id=account).json()["id"]
    renamed = stack.manage("PATCH", f"/v1/api-keys/{raised}", {"name": "Still raised"}, key=caller["key"])
    assert renamed.status == 200 and renamed.json()["rate_limit"] == {"per_hour": 20000, "per_minute": None}


def test_auto_renewal_is_for_enterprise(stack, account):
    body = {"name": "x", "permissions": ["tasks:read"], "auto_renew": True, "expires_at": from_now(days=9)}
    refused(stack.manage("POST", "/v1/api-keys", {**body, "account_id": account}), 403, "plan_required")
    made = stack.make_key(account_id=account)
    refused(stack.manage("PATCH", f"/v1/api-keys/{made['id']}", {"auto_renew": True}), 403, "plan_required")
    enterprise = stack.make_account("enterprise")
    assert stack.manage("POST", "/v1/api-keys", {**body, "account_id": enterprise}).json()["auto_renew"] is True


# --- who may --------------------------------------------------------------------------------

def test_wildcards_are_granted_only_by_who_holds_them(stack, caller):
    """tasks:* also means what may be added to tasks later, so its parts do not make it up."""
    body = {"name": "x", "permissions": ["tasks:*"]}
    parts = stack.make_key("api-keys:write tasks:read tasks:write tasks:delete", account_id=caller["account_id"])
    answer = refused(stack.manage("POST", "/v1/api-keys", body, key=parts["key"]), 403, "scope_not_held")
    assert answer["permissions"] == ["tasks:*"]
    whole = stack.make_key("api-keys:write tasks:*", account_id=caller["account_id"])
    assert stack.manage("POST", "/v1/api-keys", body, key=whole["key"]).status == 201
    body["permissions"] = ["tasks:delete"]
    assert stack.manage("POST", "/v1/api-keys", body, key=whole["key"]).status == 201


def test_permissions_are_added_only_by_who_holds_them(stack, caller):
    made = stack.make_key("tasks:read users:read projects:read", account_id=caller["account_id"])
    path = f"/v1/api-keys/{made['id']}"

    def patch(*permissions):
        return stack.manage("PATCH", path, {"permissions": list(permissions)}, key=caller["key"])

    refused(patch("tasks:read", "users:read", "users:write"), 403, "scope_not_held")
    kept = patch("users:read", "tasks:read", "tasks:write")
    assert kept.status == 200 and kept.json()["permissions"] == ["users:read", "tasks:read", "tasks:write"]
    assert patch("tasks:read").status == 200
    refused(patch("tasks:read", "users:read"), 403, "scope_not_held")


def test_a_key_may_not_raise_itself(stack, caller):
    refused(stack.manage("PATCH", f"/v1/api-keys/{caller['id']}", {"permissions": ALL_SCOPES.split() + ["admin:*"]},
                         key=caller["key"]), 403, "scope_not_held")


def test_rotating_a_stronger_key(stack, caller):
    """Whoever rotates a key holds its successor."""
    stronger = stack.make_key("tasks:read users:write", account_id=caller["account_id"])
    answer = refused(stack.manage("POST", f"/v1/api-keys/{stronger['id']}/rotate", key=caller["key"]),
                     403, "scope_not_held")
    assert answer["permissions"] == ["users:write"]
    assert stack.manage("GET", f"/v1/api-keys/{stronger['id']}").json()["rotated_to"] is None


def test_test_keys_manage_test_keys(stack, account):
    live = stack.make_key(account_id=account)
    sandbox = stack.make_key(environment="test", account_id=account)
    caller = stack.make_key(ALL_SCOPES, environment="test", account_id=account)["key"]
    for method, path, body in [("GET", "", None), ("PATCH", "", {"name": "x"}), ("DELETE", "", None),
                               ("POST", "/rotate", None), ("GET", "/networks", None)]:
        refused(stack.manage(method, f"/v1/api-keys/{live['id']}{path}", body, key=caller), 403,
                "environment_mismatch")
    refused(stack.manage("POST", "/v1/api-keys", {"name": "x", "environment": "live"}, key=caller), 403,
            "environment_mismatch")
    refused(stack.get("/v1/api-keys?environment=live", caller), 403, "environment_mismatch")
    refused(stack.get("/v1/usage?environment=live", caller), 403, "environment_mismatch")
    assert {entry["environment"] for entry in stack.get("/v1/api-keys", caller).json()["data"]} == {"test"}
    assert stack.manage("POST", "/v1/api-keys", {"name": "x"}, key=caller).json()["environment"] == "test"
    assert stack.get(f"/v1/api-keys/{sandbox['id']}", caller).status == 200
    assert stack.manage("DELETE", f"/v1/api-keys/{sandbox['id']}", key=caller).status == 204
    for path in ("/v1/alerts", "/v1/audit-log", "/v1/accounts"):
        admin = stack.make_key("admin:*", environment="test")["key"]
        refused(stack.get(path, admin), 403, "environment_mismatch")


def test_which_permission_each_endpoint_wants(stack, account):
    made = stack.make_key(account_id=account)["id"]
    endpoints = [("GET", "/v1/api-keys", "api-keys:read"), ("GET", f"/v1/api-keys/{made}", "api-keys:read"),
                 ("GET", f"/v1/api-keys/{made}/networks", "api-keys:read"), ("GET", "/v1/usage", "api-keys:read"),
                 ("POST", "/v1/api-keys", "api-keys:write"), ("PATCH", f"/v1/api-keys/{made}", "api-keys:write"),
                 ("POST", f"/v1/api-keys/{made}/rotate", "api-keys:write"),
                 ("DELETE", f"/v1/api-keys/{made}", "api-keys:delete"), ("GET", "/v1/alerts", "alerts:read"),
                 ("PATCH", "/v1/alerts/alert_x", "alerts:write"), ("GET", "/v1/audit-log", "audit:read"),
                 ("GET", "/v1/accounts", "admin:*"), ("POST", "/v1/accounts", "admin:*"),
                 ("PATCH", f"/v1/accounts/{account}", "admin:*")]
    scopes = sorted({scope for _, _, scope in endpoints} - {"admin:*"})
    for method, path, wanted in endpoints:
        others = [scope for scope in scopes if scope != wanted] + ["tasks:*", "users:read"]
        weak = stack.make_key(others, account_id=account)["key"]
        answer = stack.manage(method, path, {} if method in ("POST", "PATCH") else None, key=weak)
        refused(answer, 403, "insufficient_scope")
        challenge = answer.header("WWW-Authenticate")
        assert challenge.startswith("Bearer realm=") and f'scope="{wanted}"' in challenge
        assert 'error="insufficient_scope"' in challenge


@pytest.mark.parametrize("path", ["/v1/rate-limit", "/v1/permissions"])
def test_what_any_key_may_ask(stack, path):
    assert stack.get(path, stack.make_key("users:read", environment="test")["key"]).status == 200


def test_permissions(stack, caller):
    listed = {entry["name"]: entry for entry in stack.get("/v1/permissions", caller["key"]).json()["data"]}
    assert {name for name, entry in listed.items() if entry["held"]} == set(ALL_SCOPES.split())
    assert listed["tasks:read"]["description"] == "View tasks"
    assert listed["admin:*"] == {"name": "admin:*", "description": "Full access (dangerous!)", "held": False}
    everything = stack.manage("GET", "/v1/permissions").json()["data"]
    assert len(everything) >= 15 and all(entry["held"] for entry in everything)


# --- changed ----------------------------------------------------------------------------------

def test_merge_patch(stack):
    """RFC 7396: what is named is replaced, null puts it back, the rest stays."""
    made = stack.make_key(description="Before", expires_at=from_now(days=3), allowed_ips=["127.0.0.1"],
                          rate_limit={"per_hour": 5, "per_minute": 4})
    path = f"/v1/api-keys/{made['id']}"
    answer = stack.request("PATCH", path, stack.admin_key, body=b'{"name":"After"}',
                           headers={"Content-Type": "application/merge-patch+json"})
    assert answer.status == 200
    shown = {name: value for name, value in answer.json().items() if name != "usage"}
    assert shown == {name: "After" if name == "name" else value for name, value in made.items()
                     if name not in ("key", "usage")}
    answer = stack.manage("PATCH", path, {"description": None, "expires_at": None, "allowed_ips": None,
                                          "rate_limit": None, "auto_renew": None}).json()
    assert (answer["description"], answer["expires_at"], answer["allowed_ips"], answer["rate_limit"],
            answer["auto_renew"]) == ("", None, None, None, False)
    assert answer["name"] == "After"


@pytest.mark.parametrize("body, bad", [
    ({"name": None}, "name"), ({"permissions": None}, "permissions"), ({"environment": "test"}, "environment"),
    ({"account_id": "acct_default"}, "account_id"), ({"id": "key_x"}, "id"), ({"key": "x"}, "key"),
    ({"status": "active"}, "status"), ({"created_at": None}, "created_at"), ({"usage": {}}, "usage")])
def test_what_cannot_be_changed(stack, body, bad):
    made = stack.make_key()
    assert bad_fields(stack.manage("PATCH", f"/v1/api-keys/{made['id']}", body)) == [bad]


def test_if_match(stack):
    path = f"/v1/api-keys/{stack.make_key()['id']}"
    tag = stack.manage("GET", path).header("ETag")
    first = stack.manage("PATCH", path, {"name": "First"}, headers={"If-Match": tag})
    assert first.status == 200 and first.header("ETag") != tag
    refused(stack.manage("PATCH", path, {"name": "Second"}, headers={"If-Match": tag}), 412, "precondition_failed")
    refused(stack.manage("PATCH", path, {"name": "x"}, headers={"If-Match": f"W/{first.header('ETag')}"}), 412,
            "precondition_failed")
    refused(stack.manage("POST", path + "/rotate", headers={"If-Match": '"nonsense"'}), 412, "precondition_failed")
    refused(stack.manage("DELETE", path, headers={"If-Match": tag}), 412, "precondition_failed")
    for match in (f'"x", {first.header("ETag")}', "*"):
        assert stack.manage("PATCH", path, {"name": match}, headers={"If-Match": match}).status == 200
    assert stack.manage("GET", path).json()["name"] == "*"
    assert stack.manage("DELETE", path, headers={"If-Match": "*"}).status == 204


def test_a_change_of_nothing_is_no_change(stack):
    made = stack.make_key()
    path = f"/v1/api-keys/{made['id']}"
    answer = stack.manage("PATCH", path, {"name": made["name"], "permissions": made["permissions"]})
    assert answer.status == 200 and answer.header("ETag") == '"1"'
    assert stack.manage("PATCH", path, {}).header("ETag") == '"1"'


def test_a_change_holds_at_once(stack):
    made = stack.make_key("tasks:read")
    path = f"/v1/api-keys/{made['id']}"
    for _ in range(5):
        assert stack.get("/v1/tasks", made["key"]).status == 200
        assert stack.manage("PATCH", path, {"permissions": ["users:read"]}).status == 200
        assert stack.get("/v1/tasks", made["key"]).code == "insufficient_scope"
        assert stack.manage("PATCH", path, {"permissions": ["tasks:read"]}).status == 200


def test_extending_an_expired_key(stack):
    made = stack.make_key(expires_at="2020-01-01T00:00:00Z")
    path = f"/v1/api-keys/{made['id']}"
    assert stack.manage("GET", path).json()["status"] == "expired"
    assert stack.get("/v1/tasks", made["key"]).code == "expired_key"
    assert stack.manage("PATCH", path, {"expires_at": from_now(days=1)}).json()["status"] == "active"
    assert stack.get("/v1/tasks", made["key"]).status == 200


# --- revoked ----------------------------------------------------------------------------------

def test_revoking(stack):
    made = stack.make_key()
    path = f"/v1/api-keys/{made['id']}"
    for _ in range(3):
        answer = stack.manage("DELETE", path)
        assert (answer.status, answer.body) == (204, b"")
    shown = stack.manage("GET", path).json()
    assert shown["status"] == "revoked" and TIME.match(shown["revoked_at"])
    refused(stack.manage("PATCH", path, {"name": "Back"}), 409, "conflict")
    refused(stack.manage("POST", path + "/rotate"), 409, "conflict")
    entries = stack.manage("GET", f"/v1/audit-log?target={made['id']}").json()["data"]
    assert [entry["action"] for entry in entries] == ["key.revoke", "key.create"]


def test_a_key_may_revoke_itself(stack):
    made = stack.make_key("api-keys:delete")
    assert stack.manage("DELETE", f"/v1/api-keys/{made['id']}", key=made["key"]).status == 204
    assert stack.manage("DELETE", f"/v1/api-keys/{made['id']}", key=made["key"]).code == "revoked_key"


# --- rotated ----------------------------------------------------------------------------------

def test_rotating(stack, caller):
    old = stack.make_key("tasks:read", name="Rotated", description="kept", allowed_ips=["127.0.0.0/8"],
                         rate_limit={"per_hour": 50, "per_minute": 20}, account_id=caller["account_id"])
    path = f"/v1/api-keys/{old['id']}"
    answer = stack.manage("POST", path + "/rotate", {"grace_seconds": 3600}, key=caller["key"])
    assert answer.status == 201 and answer.header("Cache-Control") == "no-store"
    new = answer.json()
    assert answer.header("Location") == f"/v1/api-keys/{new['id']}"
    assert new["key"] != old["key"] and new["id"] != old["id"] and new["rotated_from"] == old["id"]
    for name in ("name", "description", "permissions", "allowed_ips", "rate_limit", "environment", "account_id",
                 "expires_at", "auto_renew"):
        assert new[name] == old[name], name
    assert stack.manage("GET", answer.header("Location")).json() == {name: new[name] for name in new if name != "key"}
    shown = stack.manage("GET", path).json()
    assert shown["rotated_to"] == new["id"]
    assert 3500 < seconds(shown["expires_at"]) - seconds(new["created_at"]) <= 3600
    assert stack.get("/v1/tasks", old["key"]).status == stack.get("/v1/tasks", new["key"]).status == 200
    again = refused(stack.manage("POST", path + "/rotate"), 409, "conflict")
    assert again["id"] == new["id"]


def test_rotating_without_grace(stack):
    old = stack.make_key()
    assert stack.get("/v1/tasks", old["key"]).status == 200
    new = stack.manage("POST", f"/v1/api-keys/{old['id']}/rotate", {"grace_seconds": 0}).json()
    assert stack.get("/v1/tasks", old["key"]).code == "expired_key"
    assert stack.get("/v1/tasks", new["key"]).status == 200
    assert stack.manage("POST", f"/v1/api-keys/{new['id']}/rotate").status == 201


def test_grace_is_a_day_and_never_lengthens(stack):
    old = stack.make_key()
    stack.manage("POST", f"/v1/api-keys/{old['id']}/rotate")
    shown = stack.manage("GET", f"/v1/api-keys/{old['id']}").json()
    assert 86390 <= seconds(shown["expires_at"]) - seconds(old["created_at"]) <= 86410
    soon = from_now(hours=1)
    short = stack.make_key(expires_at=soon)
    assert stack.manage("POST", f"/v1/api-keys/{short['id']}/rotate").json()["expires_at"] == soon
    assert stack.manage("GET", f"/v1/api-keys/{short['id']}").json()["expires_at"] == soon


def test_rotating_an_expired_key(stack):
    made = stack.make_key(expires_at="2020-01-01T00:00:00Z")
    refused(stack.manage("POST", f"/v1/api-keys/{made['id']}/rotate"), 409, "conflict")


@pytest.mark.parametrize("body, bad", [
    ({"grace_seconds": -1}, "grace_seconds"), ({"grace_seconds": 2592001}, "grace_seconds"),
    ({"grace_seconds": "5"}, "grace_seconds"), ({"grace_seconds": 1.0}, "grace_seconds"),
    ({"grace_seconds": None}, "grace_seconds"), ({"grace": 5}, "grace")])
def test_bad_grace(stack, body, bad):
    made = stack.make_key()
    assert bad_fields(stack.manage("POST", f"/v1/api-keys/{made['id']}/rotate", body)) == [bad]
    assert stack.manage("GET", f"/v1/api-keys/{made['id']}").json()["rotated_to"] is None


def test_a_key_may_rotate_itself(stack):
    made = stack.make_key("api-keys:write tasks:*")
    answer = stack.manage("POST", f"/v1/api-keys/{made['id']}/rotate", key=made["key"])
    assert answer.status == 201 and answer.json()["permissions"] == ["api-keys:write", "tasks:*"]


def all_at_once(work, count=8):
    """What work(number) returns for each number, all called at the same time."""
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


def test_one_successor_however_many_ask(stack):
    old = stack.make_key()
    answers = all_at_once(lambda _: stack.manage("POST", f"/v1/api-keys/{old['id']}/rotate"))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 7
    made = next(answer.json() for answer in answers if answer.status == 201)
    assert stack.manage("GET", f"/v1/api-keys/{old['id']}").json()["rotated_to"] == made["id"]
    assert stack.get("/v1/tasks", made["key"]).status == 200


def test_one_key_for_an_idempotency_key(stack):
    body, headers = {"name": "Once", "permissions": ["tasks:read"]}, {"Idempotency-Key": "all-at-once"}
    answers = all_at_once(lambda _: stack.manage("POST", "/v1/api-keys", body, headers=headers))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 7
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_no_change_is_lost(stack):
    """Each change either was made on what it read, or says that it was not made."""
    path = f"/v1/api-keys/{stack.make_key()['id']}"
    answers = all_at_once(lambda number: stack.manage("PATCH", path, {"name": f"Name {number}"}))
    assert {answer.status for answer in answers} <= {200, 409}
    made = sum(answer.status == 200 for answer in answers)
    assert made >= 1 and stack.manage("GET", path).header("ETag") == f'"{1 + made}"'


# --- listed -----------------------------------------------------------------------------------

def test_search(stack, caller):
    made = stack.make_key(name="Zwölf Boxkämpfer 100%_", account_id=caller["account_id"])

    def found(text):
        answer = stack.get(f"/v1/api-keys?search={quote(text)}", caller["key"])
        assert answer.status == 200, answer
        return [entry["id"] for entry in answer.json()["data"]]

    assert found("Boxkämpfer") == found("100%_") == found(made["id"]) == [made["id"]]
    assert found(made["prefix"][:11]) == [made["id"]]
    assert found("no such key") == found("100%x") == found("';--") == []


@pytest.mark.parametrize("query, name", [
    ("limit=5&limit=6", "limit"), ("status=", "status"), ("status", "status"), ("search=%ff", "search"),
    ("search=%00", "search"), ("search=%zz", "search"), ("environment=LIVE", "environment"), ("limit=5x", "limit"),
    ("limit=99999999999999999999999", "limit"), ("limit=+5", "limit"), ("account_id=x", "account_id"),
    ("after=acct_x", "after")])
def test_malformed_parameters_are_named(stack, query, name):
    assert refused(stack.manage("GET", f"/v1/api-keys?{query}"), 400, "invalid_request")["parameter"] == name


@pytest.mark.parametrize("path", ["/v1/api-keys?page=2", "/v1/rate-limit?key_id=x", "/v1/permissions?x=1",
                                  "/v1/api-keys?%ff=1", "/v1/api-keys?=1", "/v1/api-keys?limit%20after=1"])
def test_unknown_parameters(stack, path):
    refused(stack.manage("GET", path), 400, "invalid_request")


def test_empty_parameters_are_none(stack):
    assert stack.manage("GET", "/v1/permissions?").status == 200
    assert stack.manage("GET", "/v1/api-keys?&limit=1&").status == 200


# --- methods ----------------------------------------------------------------------------------

def test_head_is_get_without_its_body(stack, caller):
    for path in ("/v1/api-keys", f"/v1/api-keys/{caller['id']}", "/v1/rate-limit"):
        head = stack.request("HEAD", path, stack.admin_key)
        assert (head.status, head.body) == (200, b"")
        assert head.header("Content-Type") == "application/json"
        assert int(head.header("Content-Length")) > 0
    assert stack.request("HEAD", "/v1/api-keys/key_nosuch", stack.admin_key).status == 404


def test_options(stack, caller):
    for path, allowed in [("/v1/api-keys", "OPTIONS, GET, HEAD, POST"), ("/v1/rate-limit", "OPTIONS, GET, HEAD"),
                          (f"/v1/api-keys/{caller['id']}", "OPTIONS, GET, HEAD, PATCH, DELETE"),
                          (f"/v1/api-keys/{caller['id']}/rotate", "OPTIONS, POST")]:
        answer = stack.request("OPTIONS", path, caller["key"])
        assert (answer.status, answer.body, answer.header("Allow")) == (204, b"", allowed)
    assert stack.request("OPTIONS", "/v1/api-keys/a/b", caller["key"]).status == 404
    assert stack.request("OPTIONS", "/v1/api-keys").status == 401


def test_an_unread_body_does_not_spoil_the_connection(stack):
    """Two requests on one connection; the first is refused before its body is read."""
    body = b'{"name":"x"}' * 100
    lines = [f"Host: x\r\nAuthorization: Bearer {stack.make_key('users:read')['key']}\r\n"]
    answers = stack.raw((f"POST /v1/api-keys HTTP/1.1\r\n{lines[0]}Content-Length: {len(body)}\r\n\r\n").encode() + body
                        + f"GET /v1/permissions HTTP/1.1\r\n{lines[0]}Connection: close\r\n\r\n".encode())
    assert [answer.status for answer in answers] == [403, 200]


# --- figures ------------------------------------------------------------------------------------

def test_rate_limit_spends_nothing(stack):
    made = stack.make_key("tasks:read", account_id=stack.make_account("professional"))
    before = stack.get("/v1/rate-limit", made["key"])
    assert {"limit", "remaining", "reset", "reset_at"} <= set(before.json())
    for _ in range(4):
        answer = stack.get("/v1/rate-limit", made["key"])
    limits = answer.json()
    if limits["per_minute"]["reset"] == before.json()["per_minute"]["reset"]:
        assert limits == before.json()
    assert limits["remaining"] == limits["limit"] == 10000
    assert limits["per_minute"]["remaining"] == limits["per_minute"]["limit"] == 500
    assert limits["per_minute"]["reset"] % 60 == 0 and limits["quota"] is None
    assert [answer.header(f"X-RateLimit-{name}") for name in ("Limit", "Remaining", "Reset")] == \
        ["10000", "10000", str(limits["reset"])]


def test_usage_series(stack, account):
    made = stack.make_key(account_id=account)
    answer = stack.manage("GET", f"/v1/usage?key_id={made['id']}&from=2026-01-01T00:30:00Z&to=2026-01-01T05:00:00Z")
    assert answer.status == 200
    series = answer.json()
    assert (series["from"], series["to"], series["granularity"]) == \
        ("2026-01-01T00:00:00Z", "2026-01-01T05:00:00Z", "hour")
    assert (series["key_id"], series["account_id"], series["environment"]) == (made["id"], account, "live")
    assert [bucket["start"] for bucket in series["data"]] == [f"2026-01-01T0{hour}:00:00Z" for hour in range(5)]
    assert all(bucket["requests"] == 0 and bucket["decisions"] == {} for bucket in series["data"])
    assert series["requests_today"] == series["requests_this_month"] == 0
    days = stack.manage("GET", "/v1/usage?granularity=day").json()
    assert len(days["data"]) in (30, 31) and days["account_id"] is None


def test_usage_counts_what_was_stored(stack):
    made = stack.make_key()
    row = "INSERT INTO usage_hour (key_id, start, decision, account_id, environment, requests) VALUES "
    stack.sql(row + f"('{made['id']}', 1767225600, 'ok', 'acct_default', 'live', 5), "
              f"('{made['id']}', 1767225600, 'insufficient_scope', 'acct_default', 'live', 2), "
              f"('{made['id']}', 1767232800, 'ok', 'acct_default', 'live', 1)")
    series = stack.manage("GET", f"/v1/usage?key_id={made['id']}&from=2026-01-01T00:00:00Z"
                          "&to=2026-01-01T03:00:00Z").json()["data"]
    assert [(bucket["requests"], bucket["decisions"]) for bucket in series] == [
        (5, {"ok": 5, "insufficient_scope": 2}), (0, {}), (1, {"ok": 1})]


@pytest.mark.parametrize("query, name", [
    ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"), ("from=yesterday", "from"), ("to=0", "to"),
    ("from=2020-01-01T00:00:00Z", "from"), ("granularity=minute", "granularity"), ("key_id=x", "key_id"),
    ("from=1969-01-01T00:00:00Z&to=1970-01-01T00:00:00Z", "from")])
def test_bad_spans(stack, query, name):
    assert refused(stack.manage("GET", f"/v1/usage?{query}"), 400, "invalid_request")["parameter"] == name


def test_networks(stack):
    made = stack.make_key()
    path = f"/v1/api-keys/{made['id']}/networks"
    assert stack.manage("GET", path).json() == {"data": []}
    stack.sql("INSERT INTO known_networks (key_id, network, first_seen, last_seen, requests) VALUES "
              f"('{made['id']}', '192.0.2.0/24', 1767225600, 1767225700, 3)")
    assert stack.manage("GET", path).json()["data"] == [
        {"network": "192.0.2.0/24", "first_seen": "2026-01-01T00:00:00Z", "last_seen": "2026-01-01T00:01:40Z",
         "requests": 3}]


def test_refusals_are_told_in_events(stack):
    caller = stack.make_key(ALL_SCOPES)
    stack.manage("POST", "/v1/api-keys", {"name": 7}, key=caller["key"])
    stack.get("/v1/accounts", caller["key"])
    stack.get("/v1/api-keys/key_nosuch", caller["key"])
    told = [(event["decision"], event["status"], event["class"], event["scope"]) for event in stack.events()
            if event["key"] == caller["id"]]
    assert sorted(told) == [("insufficient_scope", 403, "manage", "admin:*"),
                            ("not_found", 404, "manage", "api-keys:read"),
                            ("validation_failed", 422, "manage", "api-keys:write")]
