"""An account never sees or touches another's data: every endpoint, foreign id and role."""
import json

import pytest

from test_manage_alerts import raise_alert

EVERYTHING_BUT_ADMIN = ["api-keys:read", "api-keys:write", "api-keys:delete", "alerts:read", "alerts:write",
                        "audit:read", "tasks:*", "projects:*", "users:*"]


class World:
    """Two accounts: ours, with keys of several roles, and theirs, with something of every kind."""

    def __init__(self, stack):
        self.stack = stack
        self.ours, self.theirs = stack.make_account("enterprise"), stack.make_account("enterprise", "Theirs alone")
        self.roles = {
            "manager": stack.make_key(EVERYTHING_BUT_ADMIN, account_id=self.ours)["key"],
            "reader": stack.make_key("api-keys:read alerts:read audit:read", account_id=self.ours)["key"],
            "writer": stack.make_key("api-keys:write", account_id=self.ours)["key"],
            "user": stack.make_key("tasks:read", account_id=self.ours)["key"],
            "tester": stack.make_key(EVERYTHING_BUT_ADMIN, account_id=self.ours, environment="test")["key"]}
        self.key = stack.make_key("tasks:read", account_id=self.theirs, name="Foreign name")
        self.test_key = stack.make_key("tasks:read", account_id=self.theirs, environment="test", name="Foreign test")
        self.alert = raise_alert(stack, self.theirs, key_id=self.key["id"])
        self.hook = stack.manage("POST", "/v1/webhooks", {"url": "https://foreign.example.com/x",
                                                          "account_id": self.theirs}).json()["id"]
        stack.sql("INSERT INTO webhook_deliveries (webhook_id, alert_id, kind, at, attempt, outcome, duration_ms)"
                  f" VALUES ('{self.hook}', '{self.alert}', 'new_ip', 1767225600, 1, 'delivered', 3)")
        stack.sql("INSERT INTO known_networks (key_id, network, first_seen, last_seen, requests) VALUES "
                  f"('{self.key['id']}', '203.0.113.0/24', 1767225600, 1767225700, 3)")
        stack.sql("INSERT INTO usage_day (key_id, start, decision, account_id, environment, requests) VALUES "
                  f"('{self.key['id']}', 1767225600, 'ok', '{self.theirs}', 'live', 424242)")
        self.foreign = [self.theirs, self.key["id"], self.test_key["id"], self.alert, self.hook, "foreign.example", "Foreign", "203.0.113",
                        "424242", "Theirs alone"]

    def state(self):
        """All that the store holds of the other account."""
        return [self.stack.sql(query) for query in (
            f"SELECT * FROM api_keys WHERE account_id = '{self.theirs}' ORDER BY id",
            f"SELECT * FROM accounts WHERE id = '{self.theirs}'",
            f"SELECT * FROM alerts WHERE account_id = '{self.theirs}' ORDER BY id",
            f"SELECT * FROM webhooks WHERE account_id = '{self.theirs}' ORDER BY id",
            f"SELECT * FROM webhook_deliveries WHERE webhook_id = '{self.hook}'",
            f"SELECT * FROM outbox WHERE target = '{self.hook}'",
            f"SELECT count(*) FROM audit_log WHERE account_id = '{self.theirs}'")]

    def requests(self):
        """Every endpoint, with every foreign id that it can be given: method, path, body."""
        for key in (self.key["id"], self.test_key["id"]):
            path = f"/v1/api-keys/{key}"
            yield from [("GET", path, None), ("HEAD", path, None), ("PATCH", path, {"name": "Ours"}),
                        ("PATCH", path, {"permissions": ["tasks:read", "tasks:write"]}),
                        ("PATCH", path, {"name": 7}), ("DELETE", path, None), ("POST", path + "/rotate", None),
                        ("POST", path + "/rotate", {"grace_seconds": 0}), ("GET", path + "/networks", None),
                        ("GET", f"/v1/usage?key_id={key}", None),
                        ("GET", f"/v1/usage?granularity=day&from=2026-01-01T00:00:00Z&to=2026-01-09T00:00:00Z"
                                f"&key_id={key}", None),
                        ("GET", f"/v1/api-keys?after={key}", None), ("GET", f"/v1/alerts?key_id={key}", None),
                        ("GET", f"/v1/api-keys?search={key}", None), ("GET", f"/v1/audit-log?target={key}", None)]
        yield from [("GET", f"/v1/alerts/{self.alert}", None),
                    ("PATCH", f"/v1/alerts/{self.alert}", {"status": "resolved"}),
                    ("GET", f"/v1/alerts?after={self.alert}", None),
                    ("GET", f"/v1/audit-log?target={self.alert}", None),
                    ("GET", f"/v1/webhooks/{self.hook}", None), ("DELETE", f"/v1/webhooks/{self.hook}", None),
                    ("POST", f"/v1/webhooks/{self.hook}/rotate", None),
                    ("POST", f"/v1/webhooks/{self.hook}/test", None),
                    ("GET", f"/v1/webhooks/{self.hook}/deliveries", None),
                    ("GET", f"/v1/webhooks?after={self.hook}", None),
                    ("POST", "/v1/webhooks", {"url": "https://a.example.com/", "account_id": self.theirs}),
                    ("GET", f"/v1/accounts/{self.theirs}", None),
                    ("PATCH", f"/v1/accounts/{self.theirs}", {"plan": "free"}),
                    ("GET", f"/v1/accounts?after={self.theirs}", None), ("GET", "/v1/accounts", None),
                    ("GET", f"/v1/audit-log?target={self.theirs}", None),
                    ("POST", "/v1/api-keys", {"name": "x", "permissions": ["tasks:read"], "account_id": self.theirs})]
        for path in ("api-keys", "usage", "alerts", "audit-log", "webhooks"):
            yield "GET", f"/v1/{path}?account_id={self.theirs}", None
        for path in ("api-keys?limit=100&status=all", "usage", "alerts?limit=100", "audit-log?limit=100", "webhooks",
                     "api-keys?search=Foreign", "permissions", "rate-limit", "usage?granularity=day"):
            yield "GET", f"/v1/{path}", None


@pytest.fixture(scope="module")
def world(stack):
    return World(stack)


@pytest.mark.parametrize("role", ["manager", "reader", "writer", "user", "tester"])
def test_nothing_of_another_account(world, role):
    before, seen = world.state(), 0
    for method, path, body in world.requests():
        answer = world.stack.manage(method, path, body, key=world.roles[role])
        assert answer.status < 500, (method, path, answer)
        named = [word for word in world.foreign if word not in path and word not in json.dumps(body)
                 and word in answer.body.decode()]
        assert not named, (method, path, answer)
        if method != "GET" and method != "HEAD":
            assert answer.status in (403, 404), (method, path, answer)
        seen += 1
    assert seen >= 50
    assert world.state() == before


def test_an_unknown_and_a_foreign_id_look_alike(world):
    """Whether an id exists elsewhere is no one's business: same status, same body, same headers."""
    manager = world.roles["manager"]
    pairs = [(world.key["id"], "key_nosuchkeynosuchkey00"), (world.alert, "alert_nosuchalertnosuch0"),
                 (world.hook, "hook_nosuchhooknosuchho"),
             (world.theirs, "acct_nosuchaccountnosuch")]
    for method, path, body in world.requests():
        for foreign, unknown in pairs:
            if foreign not in path or method == "HEAD":
                continue
            answers = [world.stack.manage(method, path.replace(foreign, name), body, key=manager)
                       for name in (foreign, unknown)]
            assert answers[0].status == answers[1].status, (method, path)
            texts = [answer.body.decode().replace(foreign, "ID").replace(unknown, "ID") for answer in answers]
            assert texts[0] == texts[1], (method, path)
            names = [[name for name, _ in answer.fields] for answer in answers]
            assert names[0] == names[1], (method, path)


def test_what_belongs_to_the_caller_is_there(world):
    """The same requests on one's own things succeed, so the refusals above are about ownership."""
    stack, manager = world.stack, world.roles["manager"]
    mine = stack.make_key("tasks:read", account_id=world.ours)["id"]
    alert = raise_alert(stack, world.ours)
    for method, path, body, status in [
            ("GET", f"/v1/api-keys/{mine}", None, 200), ("PATCH", f"/v1/api-keys/{mine}", {"name": "Ours"}, 200),
            ("GET", f"/v1/api-keys/{mine}/networks", None, 200), ("GET", f"/v1/usage?key_id={mine}", None, 200),
            ("GET", f"/v1/api-keys?after={mine}", None, 200), ("GET", f"/v1/alerts/{alert}", None, 200),
            ("PATCH", f"/v1/alerts/{alert}", {"status": "resolved"}, 200),
            ("GET", f"/v1/accounts/{world.ours}", None, 200),
            ("GET", f"/v1/api-keys?account_id={world.ours}", None, 200),
            ("POST", "/v1/api-keys", {"name": "x", "permissions": ["tasks:read"], "account_id": world.ours}, 201),
            ("POST", f"/v1/api-keys/{mine}/rotate", None, 201), ("DELETE", f"/v1/api-keys/{mine}", None, 204)]:
        answer = stack.manage(method, path, body, key=manager)
        assert answer.status == status, (method, path, answer)


def test_an_administrator_sees_all(world):
    stack = world.stack
    assert stack.manage("GET", f"/v1/api-keys/{world.key['id']}").json()["account_id"] == world.theirs
    assert stack.manage("GET", f"/v1/api-keys/{world.key['id']}/networks").json()["data"][0]["requests"] == 3
    assert stack.manage("GET", f"/v1/alerts/{world.alert}").status == 200
    listed = stack.manage("GET", f"/v1/api-keys?account_id={world.theirs}").json()["data"]
    assert {entry["id"] for entry in listed} == {world.key["id"], world.test_key["id"]}
    accounts = {entry["account_id"] for entry in stack.manage("GET", "/v1/api-keys?limit=100").json()["data"]}
    assert {world.ours, world.theirs} <= accounts
    used = stack.manage("GET", f"/v1/usage?account_id={world.theirs}&granularity=day&from=2026-01-01T00:00:00Z"
                        "&to=2026-01-02T00:00:00Z").json()
    assert used["data"][0]["requests"] == 424242


def test_without_any_key(world):
    for method, path, body in world.requests():
        answer = world.stack.request(method, path, json=body)
        assert answer.status == 401 and answer.header("WWW-Authenticate").startswith("Bearer"), (method, path)
