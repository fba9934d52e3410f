"""Once a change is answered, no request that starts later is judged by what was before."""
import http.client
import threading
import time

import pytest


def open_connections(stack, key, count):
    """Connections that have each carried a request: spread over the children, warm with the key."""
    connections = []
    for _ in range(count):
        connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30)
        assert ask(connection, key) == 200
        connections.append(connection)
    return connections


def ask(connection, key):
    connection.request("GET", "/v1/tasks", headers={"Authorization": f"Bearer {key}"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def revoke_by_endpoint(stack, key_id):
    assert stack.manage("DELETE", f"/v1/api-keys/{key_id}").status == 204


def revoke_by_tool(stack, key_id):
    done = stack.ctl_raw("key", "revoke", key_id)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("revoke", [revoke_by_endpoint, revoke_by_tool])
def test_the_next_request_is_refused(stack, revoke):
    for _ in range(5):
        made = stack.make_key()
        connections = open_connections(stack, made["key"], 8)
        revoke(stack, made["id"])
        assert [ask(connection, made["key"]) for connection in connections] == [401] * 8
        assert stack.get("/v1/tasks", made["key"]).code == "revoked_key"


@pytest.mark.parametrize("revoke", [revoke_by_endpoint, revoke_by_tool])
def test_under_load(stack, revoke):
    """No request that began after the answer is accepted, and none flaps back."""
    account = stack.make_account("enterprise")
    made = stack.make_key(account_id=account)
    log, stop = [], threading.Event()

    def client():
        connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30)
        while not stop.is_set():
            begun = time.monotonic()
            log.append((begun, ask(connection, made["key"])))

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    revoke(stack, made["id"])
    answered = time.monotonic()
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    before = [status for begun, status in log if begun < answered]
    after = [status for begun, status in log if begun >= answered]
    assert 200 in before and len(after) > 10
    assert set(after) == {401}


def test_revoking_twice(stack):
    made = stack.make_key()
    for _ in range(2):
        assert stack.manage("DELETE", f"/v1/api-keys/{made['id']}").status == 204


def test_permissions_taken_away(stack):
    made = stack.make_key("tasks:read projects:read")
    connections = open_connections(stack, made["key"], 6)
    answer = stack.manage("PATCH", f"/v1/api-keys/{made['id']}", {"permissions": ["projects:read"]})
    assert answer.status == 200
    assert [ask(connection, made["key"]) for connection in connections] == [403] * 6


def test_expiry_moved_into_the_past(stack):
    made = stack.make_key()
    connections = open_connections(stack, made["key"], 6)
    assert stack.manage("PATCH", f"/v1/api-keys/{made['id']}", {"expires_at": "2020-01-01T00:00:00Z"}).status == 200
    assert [ask(connection, made["key"]) for connection in connections] == [401] * 6


def test_addresses_narrowed(stack):
    made = stack.make_key()
    connections = open_connections(stack, made["key"], 6)
    assert stack.manage("PATCH", f"/v1/api-keys/{made['id']}", {"allowed_ips": ["192.0.2.0/24"]}).status == 200
    assert [ask(connection, made["key"]) for connection in connections] == [403] * 6


def test_an_accounts_plan_changes_the_limits_of_its_keys(stack):
    account = stack.make_account("professional")
    made = stack.make_key(account_id=account)
    assert stack.get("/v1/tasks", made["key"]).header("X-RateLimit-Limit") == "10000"
    assert stack.manage("PATCH", f"/v1/accounts/{account}", {"plan": "free"}).status == 200
    assert stack.get("/v1/tasks", made["key"]).header("X-RateLimit-Limit") == "1000"


def test_rotation_with_and_without_grace(stack):
    made = stack.make_key()
    answer = stack.manage("POST", f"/v1/api-keys/{made['id']}/rotate", {"grace_seconds": 3600})
    assert answer.status == 201
    successor = answer.json()
    assert successor["rotated_from"] == made["id"] and successor["key"] != made["key"]
    assert stack.get("/v1/tasks", made["key"]).status == 200
    assert stack.get("/v1/tasks", successor["key"]).status == 200

    answer = stack.manage("POST", f"/v1/api-keys/{successor['id']}/rotate", {"grace_seconds": 0})
    assert answer.status == 201
    assert stack.get("/v1/tasks", successor["key"]).code == "expired_key"
    assert stack.get("/v1/tasks", answer.json()["key"]).status == 200
