"""The management endpoints in bulk and in breadth: what a client of them relies on."""
import http.client
import json
import threading

import pytest

THOUSAND = 1000
WORKERS = 4


class Client:
    """A connection that is kept, for many requests in a row."""

    def __init__(self, stack, key):
        self.connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=60)
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def __call__(self, method, path, body=None):
        self.connection.request(method, path, json.dumps(body) if body is not None else None, self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None


def in_parallel(stack, key, items, work):
    """work(client, item) for all items by WORKERS clients; what they returned."""
    done, lock = [], threading.Lock()

    def worker(mine):
        client = Client(stack, key)
        for item in mine:
            result = work(client, item)
            with lock:
                done.append(result)

    threads = [threading.Thread(target=worker, args=(items[number::WORKERS],)) for number in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


def pages(client, query):
    """Every entry of a list, by following its pages."""
    entries, after = [], ""
    while True:
        status, page = client("GET", f"/v1/api-keys?{query}{after}")
        assert status == 200, page
        entries += page["data"]
        if not page["has_more"]:
            return entries
        assert page["data"], "a page of nothing says that there is more"
        after = f"&after={page['next']}"


def test_a_thousand_keys(stack):
    """Made, listed through pages and revoked: none missing, none twice."""
    account = stack.make_account("enterprise")
    admin = stack.admin_key

    def create(client, number):
        status, made = client("POST", "/v1/api-keys", {
            "name": f"Key {number}", "permissions": ["tasks:read"], "account_id": account})
        assert status == 201, made
        return made["id"]

    made = in_parallel(stack, admin, list(range(THOUSAND)), create)
    assert len(set(made)) == THOUSAND

    client = Client(stack, admin)
    for limit in (100, 37):
        listed = [entry["id"] for entry in pages(client, f"account_id={account}&limit={limit}")]
        assert len(listed) == THOUSAND and set(listed) == set(made)

    def revoke(client, key_id):
        status, body = client("DELETE", f"/v1/api-keys/{key_id}")
        assert (status, body) == (204, None)

    in_parallel(stack, admin, made, revoke)
    assert pages(client, f"account_id={account}&limit=100") == []
    revoked = [entry["id"] for entry in pages(client, f"account_id={account}&limit=100&status=revoked")]
    assert len(revoked) == THOUSAND and set(revoked) == set(made)


def test_pages_while_keys_are_made(stack):
    """Keys that are made meanwhile neither hide nor double those that were there."""
    account = stack.make_account()
    there = {stack.make_key(account_id=account)["id"] for _ in range(12)}
    client, listed, after = Client(stack, stack.admin_key), [], ""
    while True:
        status, page = client("GET", f"/v1/api-keys?account_id={account}&limit=5{after}")
        assert status == 200
        listed += [entry["id"] for entry in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after={page['next']}"
        stack.make_key(account_id=account)
    assert len(listed) == len(set(listed)) and there <= set(listed)


def test_newest_first_and_filters(stack):
    account = stack.make_account()
    live, test = (stack.make_key(account_id=account, environment=name)["id"] for name in ("live", "test"))
    expired = stack.make_key(account_id=account, expires_at="2020-01-01T00:00:00Z")["id"]

    def listed(query=""):
        answer = stack.manage("GET", f"/v1/api-keys?account_id={account}{query}")
        assert answer.status == 200, answer
        return [entry["id"] for entry in answer.json()["data"]]

    assert listed() == [expired, test, live]
    assert listed("&environment=test") == [test]
    assert listed("&environment=live") == [expired, live]
    assert listed("&status=expired") == [expired]
    assert listed("&status=active") == [test, live]
    assert listed("&limit=1") == [expired]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=-1", "after=key_nosuch", "after=x",
                                   "status=gone", "environment=prod"])
def test_malformed_parameters(stack, query):
    answer = stack.manage("GET", f"/v1/api-keys?{query}")
    assert (answer.status, answer.code) == (400, "invalid_request"), answer


@pytest.mark.parametrize("fields, bad", [
    ({"name": ""}, "name"), ({"name": 7}, "name"), ({"name": None}, "name"), ({"name": "x" * 1000}, "name"),
    ({"permissions": "tasks:read"}, "permissions"), ({"permissions": ["tasks:fly"]}, "permissions"),
    ({"permissions": [1]}, "permissions"), ({"permissions": ["*"]}, "permissions"),
    ({"expires_at": "tomorrow"}, "expires_at"), ({"expires_at": "2026-02-30T00:00:00Z"}, "expires_at"),
    ({"expires_at": 5}, "expires_at"), ({"environment": "prod"}, "environment"),
    ({"allowed_ips": ["300.0.0.1"]}, "allowed_ips"), ({"allowed_ips": "10.0.0.1"}, "allowed_ips"),
    ({"rate_limit": {"per_hour": -1, "per_minute": 1}}, "rate_limit"), ({"auto_renew": "yes"}, "auto_renew"),
    ({"colour": "red"}, "colour"), ({"key": "sk_live_mine"}, "key"), ({"id": "key_mine"}, "id"),
])
def test_bad_fields_are_named(stack, fields, bad):
    answer = stack.manage("POST", "/v1/api-keys", {"name": "x", "permissions": ["tasks:read"], **fields})
    assert (answer.status, answer.code) == (422, "validation_failed"), answer
    assert bad in json.dumps(answer.json()["errors"])


@pytest.mark.parametrize("body, status, code", [
    (b"", 400, "invalid_json"), (b"{", 400, "invalid_json"), (b"[]", 400, "invalid_json"),
    (b'"x"', 400, "invalid_json"), (b"null", 400, "invalid_json"), (b"\xff{}", 400, "invalid_json"),
    (b'{"name":"a"} trailing', 400, "invalid_json"), (b'{"name":"a","name":"b"}', 400, "invalid_json"),
    (b"[" * 5000, 400, "invalid_json"), (b'{"name":"' + b"x" * 70000 + b'"}', 413, "body_too_large"),
])
def test_bad_bodies(stack, body, status, code):
    answer = stack.request("POST", "/v1/api-keys", stack.admin_key, body=body,
                           headers={"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (status, code), answer


def test_other_media_types(stack):
    answer = stack.request("POST", "/v1/api-keys", stack.admin_key, body=b"name=x",
                           headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize("method, path, allowed", [
    ("PUT", "/v1/api-keys", {"GET", "POST"}), ("DELETE", "/v1/api-keys", {"GET", "POST"}),
    ("POST", "/v1/rate-limit", {"GET"}), ("DELETE", "/v1/usage", {"GET"}), ("POST", "/v1/audit-log", {"GET"})])
def test_other_methods(stack, method, path, allowed):
    answer = stack.manage(method, path)
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert allowed <= {name.strip() for name in answer.header("Allow").split(",")}


@pytest.mark.parametrize("path", ["/v1/api-keys/key_nosuch", "/v1/api-keys/nonsense", "/v1/api-keys/key_a/b/c",
                                  "/v1/alerts/alert_nosuch", "/v1/accounts/acct_nosuch"])
def test_what_is_not_there(stack, path):
    answer = stack.manage("GET", path)
    assert (answer.status, answer.code) == (404, "not_found")


def test_another_accounts_key_is_not_there(stack):
    mine, theirs = stack.make_account(), stack.make_account()
    scopes = "api-keys:read api-keys:write api-keys:delete tasks:read"
    caller = stack.make_key(scopes, account_id=mine)["key"]
    foreign = stack.make_key(account_id=theirs)
    path = f"/v1/api-keys/{foreign['id']}"
    assert stack.get(path, caller).status == 404
    assert stack.manage("PATCH", path, {"name": "Mine now"}, key=caller).status == 404
    assert stack.manage("DELETE", path, key=caller).status == 404
    assert stack.manage("POST", path + "/rotate", {}, key=caller).status == 404
    assert foreign["id"] not in stack.get("/v1/api-keys?limit=100", caller).body.decode()
    assert stack.get("/v1/tasks", foreign["key"]).status == 200


def test_nobody_grants_what_they_do_not_hold(stack):
    caller = stack.make_key("api-keys:read api-keys:write tasks:read")
    body = {"name": "More", "permissions": ["tasks:read", "users:read"]}
    answer = stack.manage("POST", "/v1/api-keys", body, key=caller["key"])
    assert (answer.status, answer.code) == (403, "scope_not_held")
    body["permissions"] = ["admin:*"]
    assert stack.manage("POST", "/v1/api-keys", body, key=caller["key"]).code == "scope_not_held"
    body["permissions"] = ["tasks:read"]
    assert stack.manage("POST", "/v1/api-keys", body, key=caller["key"]).status == 201
    patch = stack.manage("PATCH", f"/v1/api-keys/{caller['id']}", {"permissions": ["admin:*"]}, key=caller["key"])
    assert (patch.status, patch.code) == (403, "scope_not_held")


def test_a_repeated_idempotency_key(stack):
    headers = {"Idempotency-Key": f"once-{stack.port}"}
    body = {"name": "Once", "permissions": ["tasks:read"]}
    first = stack.manage("POST", "/v1/api-keys", body, headers=headers)
    again = stack.manage("POST", "/v1/api-keys", body, headers=headers)
    assert first.status == 201
    assert (again.status, again.code) == (409, "conflict")
    assert first.json()["id"].encode() in again.body
    assert first.json()["key"].encode() not in again.body


def test_the_audit_log_says_who_did_what(stack):
    made = stack.make_key()
    stack.manage("PATCH", f"/v1/api-keys/{made['id']}", {"name": "Renamed"}, address="203.0.113.5")
    stack.manage("DELETE", f"/v1/api-keys/{made['id']}")
    answer = stack.manage("GET", f"/v1/audit-log?target={made['id']}&limit=10")
    assert answer.status == 200, answer
    entries = answer.json()["data"]
    assert len(entries) == 3
    assert all(entry["target"] == made["id"] and entry["actor"].startswith("key_") for entry in entries)
    assert "203.0.113.5" in [entry["address"] for entry in entries]


def test_health_and_metrics(stack):
    assert stack.get("/healthz").status == 200
    assert stack.get("/readyz").status == 200
    metrics = stack.get("/metrics")
    assert metrics.status == 200
    assert metrics.header("Content-Type").startswith("text/plain")
    lines = [line for line in metrics.body.decode().splitlines() if not line.startswith("#")]
    assert len(lines) > 10
    assert all(line.startswith("apikey_") for line in lines)
