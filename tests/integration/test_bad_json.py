"""Whatever is sent as a body gets its documented 4xx: never 5xx, never a crash, never a trace."""
import json
import socket
import subprocess

import pytest

EDGE = 64 * 1024

NOT_JSON = {
    "nothing": b"", "blanks": b" \n\t ", "a word": b"nonsense", "a number": b"5", "a string": b'"x"', "null": b"null",
    "true": b"true", "an array": b"[]", "an array of objects": b'[{"name":"x"}]', "unclosed": b'{"name":"x"',
    "unclosed string": b'{"name":"x', "single quotes": b"{'name':'x'}", "bare names": b'{name:"x"}',
    "a comment": b'{"name":"x"/* */}', "a trailing comma": b'{"name":"x",}', "no colon": b'{"name" "x"}',
    "two objects": b'{"name":"x"}{"name":"y"}', "trailing text": b'{"name":"x"} x', "a NUL behind": b'{"name":"x"}\0',
    "a NUL within": b'{"name":"a\0b"}', "an escaped NUL": b'{"name":"a\\u0000b"}',
    "an escaped NUL in a name": b'{"na\\u0000me":"x"}', "a bell": b'{"name":"a\x07b"}',
    "a raw newline": b'{"name":"a\nb"}',
    "a byte order mark": b'\xef\xbb\xbf{"name":"x"}', "UTF-16": '{"name":"x"}'.encode("utf-16"),
    "Latin-1": '{"name":"é"}'.encode("latin-1"), "overlong": b'{"name":"\xc0\xaf"}',
    "cut UTF-8": b'{"name":"\xe2\x82"}',
    "an encoded surrogate": b'{"name":"\xed\xa0\x80"}', "past U+10FFFF": b'{"name":"\xf4\x90\x80\x80"}',
    "a lone high surrogate": b'{"name":"\\ud800"}', "a lone low surrogate": b'{"name":"\\udc00x"}',
    "swapped surrogates": b'{"name":"\\udc00\\ud800"}', "a bad escape": b'{"name":"\\x41"}',
    "half an escape": b'{"name":"\\u12"}',
    "doubled members": b'{"name":"x","name":"x"}', "doubled by escape": b'{"name":"x","n\\u0061me":"y"}',
    "doubled deep down": b'{"name":"x","rate_limit":{"per_hour":1,"per_hour":2}}',
    "a huge integer": b'{"name":"x","rate_limit":{"per_hour":' + b"9" * 400 + b"}}",
    "a huge real": b'{"name":"x","rate_limit":{"per_hour":1e999999}}', "an infinite": b'{"name":Infinity}',
    "not a number": b'{"name":NaN}', "a leading zero": b'{"name":"x","rate_limit":{"per_hour":01}}',
    "a hexadecimal": b'{"name":0x10}', "a plus": b'{"name":+1}', "half a real": b'{"name":1.}',
    "deep arrays": b'{"name":' + b"[" * 30000 + b"]" * 30000 + b"}",
    "deep objects": b'{"a":' * 10000 + b"1" + b"}" * 10000, "only openings": b"[" * EDGE,
    "a form": b"name=x&permissions=tasks:read", "XML": b"<name>x</name>", "zeros": b"\0" * 500,
    "noise": bytes(range(256)) * 20,
}

# Well-formed JSON of wrong types and sizes, where an object with proper members is wanted.
WRONG = {
    "nothing": {}, "numbers": {"name": 1, "permissions": 2}, "booleans": {"name": True, "permissions": False},
    "arrays": {"name": ["x"], "permissions": [["tasks:read"]]},
    "objects": {"name": {}, "permissions": {"0": "tasks:read"}},
    "nulls": {"name": None, "permissions": None}, "a large negative": {"name": -2**63},
    "prototype": {"__proto__": {"name": "x"}, "constructor": 1},
    "names alike": {"Name": "x", "NAME": "y", " name": "z"},
    "many members": {f"m{number}": number for number in range(3000)}, "a long name": {"x" * 60000: 1},
    "a long text": {"name": "x" * 60000}, "many permissions": {"name": "x", "permissions": ["tasks:read"] * 4000},
    "injection": {"name": "x", "permissions": ["tasks:read'; DROP TABLE api_keys; --"]},
    "formats": {"%s%n": "%s%n%p", "name": 5}, "expiry": {"name": "x", "expires_at": {"$date": 5}},
    "dates": {"name": "x", "expires_at": "9999-99-99T99:99:99Z"},
    "year 10000": {"name": "x", "expires_at": "10000-01-01T00:00:00Z"},
    "limits": {"name": "x", "rate_limit": {"per_hour": 2**62, "per_minute": -2**62}},
}

TARGETS = ["POST /v1/api-keys", "PATCH /v1/api-keys/KEY", "POST /v1/api-keys/KEY/rotate", "POST /v1/accounts",
           "PATCH /v1/accounts/ACCOUNT", "PATCH /v1/alerts/ALERT"]


@pytest.fixture(scope="module")
def targets(stack):
    from test_manage_alerts import raise_alert
    names = {"KEY": stack.make_key()["id"], "ACCOUNT": stack.make_account(), "ALERT": raise_alert(stack)}

    def resolve(target):
        for name, value in names.items():
            target = target.replace(name, value)
        return target.split()

    return resolve


def counts(stack):
    return stack.sql("SELECT (SELECT count(*) FROM api_keys), (SELECT count(*) FROM accounts), "
                     "(SELECT count(*) FROM audit_log)")


def send(stack, target, body):
    method, path = target
    return stack.request(method, path, stack.admin_key, body=body, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_no_json_object(stack, targets, target):
    before, seen = counts(stack), 0
    for name, body in NOT_JSON.items():
        if target.endswith("/rotate") and name == "nothing":
            continue # a rotation needs no body
        answer = send(stack, targets(target), body)
        assert (answer.status, answer.code) == (400, "invalid_json"), (name, answer)
        seen += 1
    assert seen >= 50 and counts(stack) == before


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_no_fitting_object(stack, targets, target):
    before, seen = counts(stack), 0
    for name, value in WRONG.items():
        if name == "nothing" and not target.startswith("POST /v1/a") and "alerts" not in target:
            continue # an empty patch is a patch
        if name == "nothing" and target.endswith("/rotate"):
            continue
        answer = send(stack, targets(target), json.dumps(value).encode())
        assert (answer.status, answer.code) == (422, "validation_failed"), (name, answer)
        assert answer.json()["errors"], name
        seen += 1
    assert seen >= 17 and counts(stack) == before


def padded(size):
    body = b'{"name":"x","permissions":["tasks:read"]'
    return body + b" " * (size - len(body) - 1) + b"}"


@pytest.mark.parametrize("size, status", [
    (EDGE - 1, 201), (EDGE, 201), (EDGE + 1, 413), (EDGE * 2, 413), (EDGE * 40, 413)])
def test_the_edge_of_the_size(stack, size, status):
    answer = send(stack, ("POST", "/v1/api-keys"), padded(size))
    assert answer.status == status
    if status == 413:
        assert answer.code == "body_too_large"


@pytest.mark.parametrize("size, status", [(1, 400), (EDGE, 201), (EDGE + 1, 413), (EDGE * 3, 413)])
def test_the_edge_in_chunks(stack, size, status):
    """A body whose length is not announced is measured while it is read."""
    body = padded(size) if size > 1 else b"{"
    chunks = [body[start:start + 5000] for start in range(0, len(body), 5000)]
    data = b"".join(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in chunks) + b"0\r\n\r\n"
    head = (f"POST /v1/api-keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {stack.admin_key}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
    assert [answer.status for answer in stack.raw(head.encode() + data)] == [status]


@pytest.mark.parametrize("body, length", [(b'{"name":', 100), (b"", 5)])
def test_a_body_that_ends_early(stack, body, length):
    before = counts(stack)
    head = (f"POST /v1/api-keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {stack.admin_key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")
    answers = stack.raw(head.encode() + body)
    assert all(answer.status == 400 for answer in answers)
    assert counts(stack) == before


def test_a_problem_repeats_nothing_of_a_broken_body(stack):
    """It may hold a key, and parsers like to quote what they could not read."""
    answer = send(stack, ("POST", "/v1/api-keys"), b'{"name":"x", sk_live_secretsecretsecret}')
    assert answer.status == 400 and b"secret" not in answer.body
    assert "line 1" in answer.json()["detail"]


def test_odd_texts_are_kept_as_they_are(stack):
    for text in ("🗝️ ключ 鍵", "\U0001F511", "\u202eabc", "</script><b>",
                 "'; DROP TABLE api_keys; --", "%s%n%%", "\\", '"'):
        made = stack.make_key(name=text, description=text)
        shown = stack.manage("GET", f"/v1/api-keys/{made['id']}").json()
        assert shown["name"] == shown["description"] == text
    answer = send(stack, ("POST", "/v1/api-keys"), b'{"name":"\\ud83d\\udd11","permissions":["tasks:read"]}')
    assert answer.json()["name"] == "\U0001F511"


def test_bodies_where_none_is_wanted(stack):
    made = stack.make_key()
    for method, path, status in [("GET", "/v1/api-keys", 200), ("GET", "/v1/rate-limit", 200),
                                 ("DELETE", f"/v1/api-keys/{made['id']}", 204)]:
        for body in (b"{", b"\xff" * 500, padded(EDGE * 2)):
            assert send(stack, (method, path), body).status == status


def test_nobody_is_asked_for_a_body_that_is_refused(stack):
    """Expect: 100-continue: a refusal comes instead of 100 Continue; an acceptable request gets it."""
    def ask(key):
        with socket.create_connection(("127.0.0.1", stack.port), timeout=30) as connection:
            connection.sendall((f"POST /v1/api-keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
                                "Content-Type: application/json\r\nContent-Length: 2\r\n"
                                "Expect: 100-continue\r\n\r\n").encode())
            return connection.recv(65536)[:13]

    assert ask(stack.make_key("users:read")["key"]) == b"HTTP/1.1 403 "
    assert ask(stack.admin_key) == b"HTTP/1.1 100 "


def test_too_large_over_http2(stack, tmp_path):
    """The client hears 413, although it could not send all of its body."""
    large = tmp_path / "large.json"
    large.write_bytes(padded(EDGE * 4))
    for more in ([], ["-H", "Transfer-Encoding: chunked"]):
        done = subprocess.run(["curl", "-s", "--http2-prior-knowledge", "-w", "\n%{http_code} %{http_version}", *more,
                               "-H", f"Authorization: Bearer {stack.admin_key}", "-H", "Content-Type: application/json",
                               "--data-binary", f"@{large}", f"{stack.address}/v1/api-keys"],
                              capture_output=True, text=True)
        body, _, status = done.stdout.rpartition("\n")
        assert (status, json.loads(body)["code"]) == ("413 2", "body_too_large"), done
