"""Rate limits: exactly the limit is admitted, whoever asks, whatever dies."""
import http.client
import signal
import threading
import time

import pytest

LIMIT = 100
CLIENTS = 8
REQUESTS = 30   # for each client: more than twice the limit together

HEADERS = "".join(f"""
<Location "/{name}">
    AuthType APIKey
    Require valid-user
    APIKeyRateHeaders {name}
    ProxyPass "${{LIVE}}/{name}"
</Location>
""" for name in ("legacy", "ietf", "both", "none")) + """
<Location "/unlimited">
    AuthType APIKey
    Require valid-user
    APIKeyRateLimit Off
    ProxyPass "${LIVE}/unlimited"
</Location>
"""


@pytest.fixture(scope="module", params=["shm", "memcached"])
def site(request, start_stack):
    return start_stack(HEADERS, rate_store=request.param)


def wait_for_room(seconds=20):
    """Return when the running UTC minute, and so the hour, lasts that much longer."""
    left = 60 - time.time() % 60
    if left < seconds:
        time.sleep(left + 0.1)


def limited_key(stack, per_minute=LIMIT, per_hour=100000, permissions="tasks:read", **fields):
    account = stack.make_account("enterprise")
    return stack.make_key(permissions, account_id=account,
                          rate_limit={"per_minute": per_minute, "per_hour": per_hour}, **fields)


def burst(stack, key, meanwhile=None):
    """Every client asks REQUESTS times on its own connection; counts of statuses, None for no answer."""
    counts, lock = {}, threading.Lock()

    def client():
        connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30)
        for _ in range(REQUESTS):
            try:
                connection.request("GET", "/v1/tasks", headers={"Authorization": f"Bearer {key}"})
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException):
                connection.close()
                status = None
            with lock:
                counts[status] = counts.get(status, 0) + 1
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    if meanwhile:
        meanwhile()
    for thread in threads:
        thread.join()
    return counts


def spent_of_the_hour(stack, key, per_hour=100000):
    return per_hour - stack.get("/v1/rate-limit", key).json()["remaining"]


def test_exactly_the_limit(site):
    key = limited_key(site)["key"]
    wait_for_room()
    counts = burst(site, key)
    assert counts == {200: LIMIT, 429: CLIENTS * REQUESTS - LIMIT}
    assert spent_of_the_hour(site, key) == LIMIT


def test_exactly_the_limit_across_a_graceful_restart(site):
    key = limited_key(site)["key"]
    wait_for_room()
    counts = burst(site, key, meanwhile=site.restart)
    unanswered = counts.pop(None, 0)    # a connection that was idle when its child left
    assert LIMIT - unanswered <= counts[200] <= LIMIT
    assert set(counts) <= {200, 429}
    assert spent_of_the_hour(site, key) == LIMIT
    assert site.get("/v1/tasks", key).status == 429


def test_exactly_the_limit_across_a_killed_child(site):
    key = limited_key(site)["key"]
    wait_for_room()

    counts = burst(site, key, meanwhile=site.kill_child)
    unanswered = counts.pop(None, 0)
    assert LIMIT - unanswered <= counts[200] <= LIMIT
    assert set(counts) <= {200, 429}
    assert site.get("/v1/tasks", key).status == 429
    assert site.get("/v1/tasks", limited_key(site)["key"]).status == 200


def test_a_restart_resets_nothing(site):
    key = limited_key(site, per_minute=4)["key"]
    wait_for_room(15)
    assert [site.get("/v1/tasks", key).status for _ in range(5)] == [200] * 4 + [429]
    site.kill("httpd", signal.SIGTERM)
    site.wait_gone("httpd")
    site.start()
    assert site.get("/v1/tasks", key).status == 429


def test_the_next_window_admits_again(start_stack):
    """In both modes at once: a minute is long."""
    sites = [start_stack(rate_store=store) for store in ("shm", "memcached")]
    keys = [limited_key(site, per_minute=2)["key"] for site in sites]
    wait_for_room(5)
    for site, key in zip(sites, keys):
        assert [site.get("/v1/tasks", key).status for _ in range(3)] == [200, 200, 429]
        refused = site.get("/v1/tasks", key)
        assert int(refused.header("X-RateLimit-Reset")) % 60 == 0
        assert 0 < int(refused.header("X-RateLimit-Reset")) - time.time() <= 60
        assert refused.header("X-RateLimit-Limit") == "2" and refused.header("X-RateLimit-Remaining") == "0"
    time.sleep(int(refused.header("Retry-After")))
    for site, key in zip(sites, keys):
        assert site.get("/v1/tasks", key).status == 200


def test_the_hour_refuses_too(site):
    key = limited_key(site, per_minute=50, per_hour=3)["key"]
    wait_for_room(5)
    answers = [site.get("/v1/tasks", key) for _ in range(4)]
    assert [answer.status for answer in answers] == [200] * 3 + [429]
    assert answers[3].header("X-RateLimit-Limit") == "3"
    assert int(answers[3].header("X-RateLimit-Reset")) % 3600 == 0
    assert [answer.header("X-RateLimit-Remaining") for answer in answers] == ["2", "1", "0", "0"]


def test_a_refused_request_is_billed_to_no_window(site):
    key = limited_key(site, per_minute=3, per_hour=10)["key"]
    wait_for_room(10)
    for _ in range(6):
        site.get("/v1/tasks", key)
    assert spent_of_the_hour(site, key, 10) == 3
    other = limited_key(site, per_minute=5, per_hour=10)["key"]
    for _ in range(4):
        assert site.request("DELETE", "/v1/tasks/1", other).status == 403
    assert spent_of_the_hour(site, other, 10) == 0
    assert [site.get("/v1/tasks", other).status for _ in range(6)] == [200] * 5 + [429]


def test_asking_for_the_limit_spends_nothing(site):
    key = limited_key(site, per_minute=3)["key"]
    for _ in range(10):
        assert site.get("/v1/rate-limit", key).status == 200
    assert spent_of_the_hour(site, key) == 0


def test_keys_have_windows_of_their_own(site):
    account = site.make_account("enterprise")
    limits = {"per_minute": 2, "per_hour": 50}
    one, two = (site.make_key("tasks:read", account_id=account, rate_limit=limits)["key"] for _ in range(2))
    wait_for_room(5)
    assert [site.get("/v1/tasks", one).status for _ in range(3)] == [200, 200, 429]
    assert [site.get("/v1/tasks", two).status for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("family, legacy, ietf", [
    ("legacy", True, False), ("ietf", False, True), ("both", True, True), ("none", False, False)])
def test_header_families(site, family, legacy, ietf):
    key = limited_key(site, per_minute=1, per_hour=1000)["key"]
    wait_for_room(5)
    for answer in (site.get(f"/{family}", key), site.get(f"/{family}", key)):
        names = {name.lower() for name, _ in answer.fields}
        assert ({"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} <= names) == legacy
        assert bool({"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} & names) == legacy
        assert ({"ratelimit", "ratelimit-policy"} <= names) == ietf
        assert bool({"ratelimit", "ratelimit-policy"} & names) == ietf
        if ietf:
            policy, state = answer.header("RateLimit-Policy"), answer.header("RateLimit")
            assert "q=1;w=60" in policy and "q=1000;w=3600" in policy
            assert "r=0" in state and "r=999" in state
    assert answer.status == 429 and answer.header("Retry-After")


def test_no_limit_where_it_is_off(site):
    key = limited_key(site, per_minute=1)["key"]
    answers = [site.get("/unlimited", key) for _ in range(5)]
    assert [answer.status for answer in answers] == [200] * 5
    assert spent_of_the_hour(site, key) == 0
