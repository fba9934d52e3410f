"""Webhooks through the management endpoints, and a test delivery over the whole way."""
import re

import pytest

from receiver import Receiver
from stack import wait

URL = "https://alerts.example.com/apikey"


def refused(answer, status, code):
    assert (answer.status, answer.code) == (status, code), answer
    return answer.json()


@pytest.fixture(scope="module")
def account(stack):
    return stack.make_account()


@pytest.fixture(scope="module")
def key(stack, account):
    return stack.make_key("alerts:read alerts:write audit:read", account_id=account)


@pytest.fixture
def hook(stack, key):
    """A webhook of the account, as the answer that made it; deleted afterwards."""
    answer = stack.manage("POST", "/v1/webhooks", {"url": URL, "description": "On-call"}, key=key["key"])
    assert answer.status == 201, answer
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("Location") == f"/v1/webhooks/{answer.json()['id']}"
    yield answer.json()
    stack.manage("DELETE", f"/v1/webhooks/{answer.json()['id']}", key=key["key"])


def test_made_shown_listed_and_deleted(stack, account, key, hook):
    assert re.fullmatch(r"hook_[a-z0-9]{20}", hook["id"])
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", hook["secret"])
    shown = {name: value for name, value in hook.items() if name != "secret"}
    assert shown == {"id": hook["id"], "account_id": account, "url": URL, "description": "On-call", "status": "active",
                     "old_secret_until": None, "created_at": hook["created_at"], "created_by": key["id"]}
    assert stack.get(f"/v1/webhooks/{hook['id']}", key["key"]).json() == shown
    assert stack.get("/v1/webhooks", key["key"]).json() == {"data": [shown], "has_more": False, "next": None}
    assert stack.manage("DELETE", f"/v1/webhooks/{hook['id']}", key=key["key"]).status == 204
    refused(stack.get(f"/v1/webhooks/{hook['id']}", key["key"]), 404, "not_found")
    refused(stack.manage("DELETE", f"/v1/webhooks/{hook['id']}", key=key["key"]), 404, "not_found")
    entries = stack.get(f"/v1/audit-log?target={hook['id']}", key["key"]).json()["data"]
    assert [entry["action"] for entry in entries] == ["webhook.delete", "webhook.create"]
    assert all(entry["details"] == {"url": URL} and entry["actor"] == key["id"] for entry in entries)


def test_the_secret_is_told_once_and_logged_nowhere(stack, key, hook):
    for path in ("/v1/webhooks", f"/v1/webhooks/{hook['id']}", f"/v1/webhooks/{hook['id']}/deliveries",
                 "/v1/audit-log?limit=100"):
        assert "whsec_" not in stack.get(path, key["key"]).body.decode(), path
    for name in ("error.log", "access.log", "auditd.out"):
        assert hook["secret"][6:] not in stack.log(name)


def test_rotation(stack, key, hook):
    path = f"/v1/webhooks/{hook['id']}/rotate"
    answer = stack.manage("POST", path, {"grace_seconds": 3600}, key=key["key"])
    assert answer.status == 200 and answer.json()["secret"] != hook["secret"]
    assert answer.json()["old_secret_until"] > hook["created_at"]
    rows = stack.sql(f"SELECT secret, old_secret FROM webhooks WHERE id = '{hook['id']}'")
    assert rows == [[answer.json()["secret"], hook["secret"]]]
    assert stack.manage("POST", path, key=key["key"]).status == 200
    for wrong in (-1, 2592001, "1", 1.5, None):
        refused(stack.manage("POST", path, {"grace_seconds": wrong}, key=key["key"]), 422, "validation_failed")
    refused(stack.manage("POST", path, {"colour": 1}, key=key["key"]), 422, "validation_failed")


@pytest.mark.parametrize("url", [
    "", "x", "ftp://example.com/", "https://", "https:///x", "https://:80/", "http://a b/", "http://a\tb/", "http://a\nb/",
    "https://user@example.com/", "https://user:word@example.com/", "https://example.com/#x", "https://exämple.com/",
    "https://example.com:0/", "https://example.com:65536/", "https://example.com:x/", "https://[::1/",
    "javascript:alert(1)", "https://example.com/" + "x" * 2048, None, 7, ["https://example.com/"]])
def test_bad_urls(stack, key, url):
    problem = refused(stack.manage("POST", "/v1/webhooks", {"url": url}, key=key["key"]), 422, "validation_failed")
    assert [error["field"] for error in problem["errors"]] == ["url"]
    assert stack.get("/v1/webhooks", key["key"]).json()["data"] == []


def test_bad_members(stack, key):
    def fields(body):
        problem = refused(stack.manage("POST", "/v1/webhooks", body, key=key["key"]), 422, "validation_failed")
        return [error["field"] for error in problem["errors"]]

    assert fields({}) == ["url"]
    assert fields({"url": URL, "secret": "whsec_x"}) == ["secret"]
    assert fields({"url": URL, "status": "active"}) == ["status"]
    assert fields({"url": URL, "description": "x" * 1001}) == ["description"]
    assert fields({"url": URL, "account_id": "none"}) == ["account_id"]


def test_ten_at_most(stack):
    account = stack.make_account()
    mine = stack.make_key("alerts:read alerts:write", account_id=account)["key"]
    made = [stack.manage("POST", "/v1/webhooks", {"url": f"{URL}/{i}"}, key=mine).json()["id"] for i in range(10)]
    refused(stack.manage("POST", "/v1/webhooks", {"url": URL}, key=mine), 409, "conflict")
    page = stack.get("/v1/webhooks?limit=7", mine).json()
    assert [hook["id"] for hook in page["data"]] == made[:2:-1] and page["has_more"] and page["next"] == made[3]
    assert [hook["id"] for hook in stack.get(f"/v1/webhooks?after={page['next']}", mine).json()["data"]] == made[2::-1]
    assert stack.manage("DELETE", f"/v1/webhooks/{made[0]}", key=mine).status == 204
    assert stack.manage("POST", "/v1/webhooks", {"url": URL}, key=mine).status == 201


def test_permissions(stack, account, hook):
    reader = stack.make_key("alerts:read", account_id=account)["key"]
    nobody = stack.make_key("tasks:read", account_id=account)["key"]
    tester = stack.make_key("alerts:read alerts:write", account_id=account, environment="test")["key"]
    path = f"/v1/webhooks/{hook['id']}"
    for method, place in (("POST", "/v1/webhooks"), ("DELETE", path), ("POST", path + "/rotate"),
                          ("POST", path + "/test")):
        body = {"url": URL} if place == "/v1/webhooks" else None
        refused(stack.manage(method, place, body, key=reader), 403, "insufficient_scope")
        refused(stack.manage(method, place, body, key=tester), 403, "environment_mismatch")
    for place in ("/v1/webhooks", path, path + "/deliveries"):
        assert stack.get(place, reader).status == 200
        refused(stack.get(place, nobody), 403, "insufficient_scope")


def test_an_administrator_serves_every_account(stack, account, hook):
    made = stack.manage("POST", "/v1/webhooks", {"url": URL, "account_id": account}).json()
    assert made["account_id"] == account
    listed = stack.manage("GET", f"/v1/webhooks?account_id={account}").json()["data"]
    assert [entry["id"] for entry in listed] == [made["id"], hook["id"]]
    assert stack.manage("DELETE", f"/v1/webhooks/{made['id']}").status == 204
    problem = refused(stack.manage("POST", "/v1/webhooks", {"url": URL, "account_id": "acct_none"}), 422,
                      "validation_failed")
    assert problem["errors"][0]["field"] == "account_id"


def test_a_test_delivery_to_a_private_address(stack, key):
    """By default auditd refuses to connect to the machine that it runs on, and says so in the log."""
    receiver = Receiver()
    try:
        made = stack.manage("POST", "/v1/webhooks", {"url": receiver.url()}, key=key["key"]).json()
        path = f"/v1/webhooks/{made['id']}"
        answer = stack.manage("POST", path + "/test", key=key["key"])
        assert answer.status == 202 and answer.json()["deliveries"] == path + "/deliveries"
        entry = wait(lambda: stack.get(path + "/deliveries", key["key"]).json()["data"], what="the delivery")[0]
        assert entry["alert_id"] == answer.json()["alert_id"] and entry["kind"] == "webhook_test"
        assert entry["outcome"] == "failed" and entry["http_status"] is None and entry["next_attempt_at"] > entry["at"]
        assert "not a public one" in entry["error"] and receiver.deliveries == []
        assert stack.manage("DELETE", path, key=key["key"]).status == 204
        assert stack.sql(f"SELECT * FROM outbox WHERE target = '{made['id']}'") == []
    finally:
        receiver.close()


def test_a_test_delivery_and_what_410_does(start_stack):
    """The whole way: endpoint, outbox, auditd, receiver, and back into the log."""
    stack = start_stack()
    with open(stack.dir / "apikey.conf", "a") as conf:
        conf.write("webhook_private_addresses on\n")
    stack.kill("auditd", 1)
    receiver = Receiver(hook=[200, 410])
    try:
        made = stack.manage("POST", "/v1/webhooks", {"url": receiver.url("hook")}).json()
        path = f"/v1/webhooks/{made['id']}"
        first = stack.manage("POST", path + "/test", {}).json()["alert_id"]
        delivery = wait(lambda: receiver.got("hook"), what="the test delivery")[0]
        assert delivery.id == first and delivery.signed_by(made["secret"])
        assert delivery.json()["type"] == "webhook.test"
        fresh = stack.manage("POST", path + "/rotate").json()["secret"]
        second = stack.manage("POST", path + "/test").json()["alert_id"]
        wait(lambda: len(receiver.got("hook")) == 2, what="the second one")
        assert receiver.got("hook")[1].signed_by(fresh) and receiver.got("hook")[1].signed_by(made["secret"])
        wait(lambda: stack.manage("GET", path).json()["status"] == "disabled", what="it to be disabled")
        log = stack.manage("GET", path + "/deliveries").json()["data"]
        assert [(entry["alert_id"], entry["outcome"], entry["http_status"]) for entry in log] == [
            (second, "disabled", 410), (first, "delivered", 200)]
        older = stack.manage("GET", f"{path}/deliveries?limit=1&before={log[0]['id']}").json()
        assert older["data"] == log[1:] and not older["has_more"]
        refused(stack.manage("POST", path + "/test"), 409, "conflict")
    finally:
        receiver.close()
