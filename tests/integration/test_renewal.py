"""Auto-renewal on the whole stack: a key in use across its old expiry meets no refusal"""
import time

import pytest

from stack import wait


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@pytest.fixture(scope="module")
def site(start_stack):
    return start_stack()


def test_no_request_fails_across_a_renewal(site):
    account = site.make_account("enterprise")
    expires = int(time.time()) + 20
    made = site.make_key(account_id=account, auto_renew=True, expires_at=stamp(expires))
    statuses = set()
    while time.time() < expires + 5:
        statuses.add(site.get("/v1/tasks", made["key"]).status)
        time.sleep(0.05)
    assert statuses == {200}
    now = site.manage("GET", f"/v1/api-keys/{made['id']}").json()
    assert now["expires_at"] > stamp(expires + 10) and now["status"] == "active"
    alerts = wait(lambda: [alert for alert in site.manage("GET", f"/v1/alerts?key_id={made['id']}").json()["data"]
                           if alert["kind"] == "key_renewed"], what="the notice")
    assert alerts[-1]["account_id"] == account and stamp(expires) in alerts[-1]["message"]
    log = site.manage("GET", f"/v1/audit-log?target={made['id']}").json()["data"]
    renewals = [row for row in log if row["action"] == "key.renew"]
    assert len(renewals) == len(alerts) and {row["actor"] for row in renewals} == {"auditd"}


def test_a_key_that_does_not_renew_expires(site):
    account = site.make_account("enterprise")
    expires = int(time.time()) + 5
    made = site.make_key(account_id=account, expires_at=stamp(expires))
    assert site.get("/v1/tasks", made["key"]).status == 200
    refused = wait(lambda: (answer := site.get("/v1/tasks", made["key"])).status == 401 and answer, what="the expiry")
    assert refused.code == "expired_key" and time.time() >= expires
    alert, = wait(lambda: site.manage("GET", f"/v1/alerts?key_id={made['id']}&kind=key_expired").json()["data"],
                  30, "the notice")
    assert stamp(expires) in alert["message"]
