"""Live keys reach real data, test keys the sandbox, and test traffic counts nowhere."""
import pytest

from stack import wait


@pytest.fixture(scope="module")
def account(stack):
    return stack.make_account("professional")


def test_each_key_meets_its_own_world(stack, account):
    for environment, world in (("live", "live"), ("test", "sandbox")):
        made = stack.make_key("tasks:* projects:* users:*", environment=environment, account_id=account)
        for method, path in (("GET", "/v1/tasks"), ("POST", "/v1/projects"), ("PATCH", "/v1/users/1"),
                             ("DELETE", "/v1/tasks/1"), ("GET", "/v1/tasks/a%20b?q=%2F&x=1")):
            answer = stack.request(method, path, made["key"])
            assert answer.status in (200, 201)
            assert answer.json()["environment"] == world
            assert answer.json()["path"] == path
            assert answer.json()["method"] == method


def test_a_body_reaches_the_sandbox(stack, account):
    made = stack.make_key("tasks:write", environment="test", account_id=account)
    answer = stack.request("POST", "/v1/tasks", made["key"], json={"title": "Rehearse"})
    assert answer.json()["received"] == {"title": "Rehearse"}


def test_a_client_cannot_choose_its_world(stack, account):
    made = stack.make_key("tasks:read", environment="test", account_id=account)
    for name in ("APIKEY_ENVIRONMENT", "X-APIKEY-ENVIRONMENT", "X-APIKey-Environment", "Environment"):
        answer = stack.request("GET", "/v1/tasks?APIKEY_ENVIRONMENT=live", made["key"], headers={name: "live"})
        assert answer.json()["environment"] == "sandbox"


def test_test_traffic_is_in_no_production_figure(stack, account):
    test = stack.make_key("tasks:read", environment="test", account_id=account)
    live = stack.make_key("tasks:read", environment="live", account_id=account)
    for _ in range(3):
        assert stack.get("/v1/tasks", test["key"]).status == 200
    assert stack.get("/v1/tasks", live["key"]).status == 200

    def usage(made):
        return stack.manage("GET", f"/v1/api-keys/{made['id']}").json()["usage"]["requests_today"]

    wait(lambda: usage(test) == 3 and usage(live) == 1, what="the keys' own figures")
    assert stack.sql(f"SELECT requests FROM usage_month WHERE account_id = '{account}'")[0] == \
        stack.sql(f"SELECT SUM(requests) FROM usage_day WHERE account_id = '{account}'"
                  " AND environment = 'live' AND decision = 'ok'")[0]


def test_a_used_up_quota_stops_live_keys_only(stack):
    account = stack.make_account("professional")
    stack.manage("PATCH", f"/v1/accounts/{account}", {"quota_month": 3})
    live = stack.make_key("tasks:read", account_id=account)
    test = stack.make_key("tasks:read", environment="test", account_id=account)
    refused = wait(lambda: (answer := stack.get("/v1/tasks", live["key"])).status != 200 and answer,
                   what="the quota to be used up")
    assert (refused.status, refused.code) == (429, "quota_exceeded")
    assert int(refused.header("Retry-After")) > 0
    for _ in range(5):
        assert stack.get("/v1/tasks", test["key"]).status == 200
