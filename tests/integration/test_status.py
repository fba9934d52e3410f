"""/metrics, /healthz, /readyz: what monitoring is told, and that it holds no secret."""
import re

import pytest

from stack import wait

SAMPLE = re.compile(r'(apikey_[a-z_]+)(?:\{([a-z]+="[^"\\\n]*"(?:,[a-z]+="[^"\\\n]*")*)\})? (\S+)$')


def scrape(stack):
    """Samples by name and labels, after checking the form (Prometheus text format 0.0.4)."""
    answer = stack.get("/metrics")
    assert answer.status == 200
    assert answer.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.body.endswith(b"\n")
    samples, types, helped = {}, {}, set()
    for line in answer.body.decode().splitlines():
        if line.startswith("# HELP "):
            assert (name := line.split()[2]) not in helped, "told twice"
            helped.add(name)
        elif line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            assert name in helped and name not in types and kind in ("counter", "gauge")
            assert (kind == "counter") == name.endswith("_total")
            types[name] = kind
        else:
            match = SAMPLE.match(line)
            assert match and match[1] in types, line
            assert (match[1], match[2]) not in samples, line
            samples[match[1], match[2]] = float(match[3])
    assert set(types) == {name for name, _ in samples}
    return samples


def test_the_form(stack):
    assert stack.get("/v1/tasks", stack.make_key()["key"]).status == 200
    samples = scrape(stack)
    assert len(samples) > 30
    assert samples["apikey_store_up", None] == 1
    assert samples["apikey_revocation_bound_seconds", None] == 0.25
    assert 0 <= samples["apikey_poll_age_seconds", None] < 60
    assert 0 < samples["apikey_table_slots_used", None] < samples["apikey_table_slots", None] == 65536


def test_decisions_are_counted_by_reason(stack):
    key = stack.make_key("tasks:read")["key"]
    before = scrape(stack)
    for _ in range(3):
        assert stack.get("/v1/tasks", key).status == 200
    assert stack.get("/v1/projects", key).status == 403
    assert stack.get("/v1/tasks", "sk_live_abc").status == 401
    assert stack.manage("GET", "/v1/api-keys/key_nosuch").status == 404
    after = scrape(stack)

    def grown(name, labels=None):
        return after[name, labels] - before[name, labels]

    assert grown("apikey_decisions_total", 'decision="ok"') == 3
    assert grown("apikey_decisions_total", 'decision="insufficient_scope"') == 1
    assert grown("apikey_decisions_total", 'decision="malformed_key"') == 1
    assert grown("apikey_decisions_total", 'decision="not_found"') == 1
    assert grown("apikey_events_total", 'result="written"') == 6
    assert grown("apikey_events_total", 'result="failed"') == 0
    assert grown("apikey_lookups_total", 'result="cached"') >= 3


def test_changes_are_counted(stack):
    before = scrape(stack)
    path = f"/v1/api-keys/{stack.make_key()['id']}"
    stack.manage("PATCH", path, {"name": "x"})
    for _ in range(2):
        stack.manage("DELETE", path)
    after = scrape(stack)
    for change in ("created", "changed", "revoked"):
        labels = f'change="{change}"'
        assert after["apikey_keys_changed_total", labels] - before["apikey_keys_changed_total", labels] == 1
    sequence = ("apikey_change_sequence", None)
    wait(lambda: scrape(stack)[sequence] >= before[sequence] + 3, what="the change log to be followed")


def test_nothing_secret_is_told(stack):
    made = stack.make_key()
    stack.get("/v1/tasks", made["key"])
    text = stack.get("/metrics").body.decode()
    for secret in (made["key"], made["id"], made["account_id"], stack.admin_key, made["last_four"], "127.0.0.1",
                   str(stack.dir)):
        assert secret not in text


def test_health(stack):
    for path in ("/healthz", "/readyz"):
        answer = stack.get(path)
        assert (answer.status, answer.json()) == (200, {"status": "ok"})
        assert answer.header("Cache-Control") == "no-store" and answer.header("Content-Type") == "application/json"
        head = stack.request("HEAD", path)
        assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
def test_other_methods(stack, path):
    answer = stack.request("POST", path, body=b"x")
    assert answer.status == 405 and "GET" in answer.header("Allow")


def test_metrics_are_for_this_machine(stack):
    assert stack.get("/metrics", address="203.0.113.7").status == 403
    assert stack.get("/healthz", address="203.0.113.7").status == 200
