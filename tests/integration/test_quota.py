"""A monthly quota: counted by auditd, enforced by httpd, lifted by whoever raises it"""
from stack import wait


def status(stack, key):
    return stack.get("/v1/tasks", key["key"]).status


def test_a_quota_is_enforced_and_lifted(stack):
    account = stack.make_account("professional", "Quota")
    live, other = stack.make_key(account_id=account), stack.make_key(account_id=account)
    test = stack.make_key(account_id=account, environment="test")
    assert stack.manage("PATCH", f"/v1/accounts/{account}", {"quota_month": 5}).status == 200
    for _ in range(20):   # the sandbox uses nothing up
        assert status(stack, test) == 200
    for _ in range(5):
        assert status(stack, live) == 200
    answer = wait(lambda: (got := stack.get("/v1/tasks", other["key"])).status == 429 and got, what="the refusal")
    assert answer.code == "quota_exceeded" and int(answer.header("Retry-After")) > 0
    assert status(stack, live) == 429 and status(stack, test) == 200
    alert, = wait(lambda: stack.manage("GET", f"/v1/alerts?kind=quota_exceeded&account_id={account}").json()["data"],
                  what="the alert")
    assert alert["account_id"] == account and "quota" in alert["message"]
    assert stack.manage("PATCH", f"/v1/accounts/{account}", {"quota_month": 100_000}).status == 200
    assert status(stack, live) == 200
