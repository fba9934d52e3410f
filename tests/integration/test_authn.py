"""Who is it?  What is refused with 401, what the client is told, and what is not kept of it."""
import hashlib
import json
import subprocess

import pytest

from keys import mistyped, well_formed

OWN_HEADER = """
<Location "/own">
    AuthType APIKey
    APIKeyHeader Authorization X-API-Key
    Require valid-user
    ProxyPass "${LIVE}/own"
</Location>
<Location "/only">
    AuthType APIKey
    APIKeyHeader X-API-Key
    Require valid-user
    ProxyPass "${LIVE}/only"
</Location>
<Location "/imported">
    AuthType APIKey
    APIKeyAcceptImported On
    Require valid-user
    ProxyPass "${LIVE}/imported"
</Location>
<Location "/guessed">
    AuthType APIKey
    APIKeyFailureLimit 5/3600
    Require valid-user
    ProxyPass "${LIVE}/guessed"
</Location>
<Location "/named">
    AuthType APIKey
    APIKeyRealm "a \\"quoted\\" realm"
    Require valid-user
    ProxyPass "${LIVE}/named"
</Location>
"""


@pytest.fixture(scope="module")
def own(start_stack):
    return start_stack(OWN_HEADER)


@pytest.fixture(scope="module")
def key(stack):
    return stack.make_key("tasks:read tasks:write")["key"]


address_number = 0


@pytest.fixture
def client():
    """An address of its own for each test, so that no test uses up another's failures."""
    global address_number
    address_number += 1
    return f"198.51.100.{address_number}"


def expect_401(answer, code, error):
    assert (answer.status, answer.code) == (401, code), answer
    challenge = answer.all("WWW-Authenticate")
    assert len(challenge) == 1 and challenge[0].startswith('Bearer realm="')
    assert ('error="invalid_token"' in challenge[0]) == error
    body = answer.json()
    assert body["status"] == 401 and body["title"] == "Unauthorized"
    assert body["message"] and body["type"] == "about:blank"


def test_a_key_opens(stack, key):
    assert stack.get("/v1/tasks", key).status == 200


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "BeArEr"])
def test_the_scheme_is_case_insensitive(stack, key, scheme):
    assert stack.request("GET", "/v1/tasks", headers={"Authorization": f"{scheme} {key}"}).status == 200


def test_no_credentials(stack, client):
    expect_401(stack.get("/v1/tasks", address=client), "missing_credentials", error=False)


MALFORMED = [
    "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Token abc", "Bearer abc123", "Bearer sk_live_",
    "Bearer sk_live_abc", "Bearer sk_prod_" + "a" * 38, "Bearer pk_live_" + "a" * 38,
    "Bearer " + "sk_live_" + "a" * 38, "Bearer sk_live_" + "a" * 37 + "!", "Bearer " + "A" * 8000,
    "Bearer \tsk_live_x", "Bearer sk_live_abc, Bearer sk_live_def", "Bearer null", "Bearer undefined",
    "Bearer ' OR 1=1 --", "Bearer %s%n%x", "Bearer sk_live_../../etc/passwd", ",", ";", "\"",
]


@pytest.mark.parametrize("value", MALFORMED, ids=[value[:24] for value in MALFORMED])
def test_malformed(stack, client, value):
    answer = stack.request("GET", "/v1/tasks", headers={"Authorization": value}, address=client)
    expect_401(answer, "malformed_key", error=True)


def test_empty_header(stack, client):
    answer = stack.request("GET", "/v1/tasks", headers={"Authorization": ""}, address=client)
    assert answer.status == 401
    assert answer.code in ("missing_credentials", "malformed_key")


def test_key_without_scheme(stack, key, client):
    answer = stack.request("GET", "/v1/tasks", headers={"Authorization": key}, address=client)
    expect_401(answer, "malformed_key", error=True)


def test_checksum(stack, key, client):
    expect_401(stack.get("/v1/tasks", mistyped(key), address=client), "malformed_key", error=True)


@pytest.mark.parametrize("environment", ["live", "test"])
def test_unknown(stack, client, environment):
    unknown = well_formed(environment)
    for _ in range(3):
        expect_401(stack.get("/v1/tasks", unknown, address=client), "unknown_key", error=True)


def test_other_prefix(stack, client):
    expect_401(stack.get("/v1/tasks", well_formed(prefix="pk"), address=client), "malformed_key", error=True)


def test_revoked_and_expired(stack, client):
    revoked = stack.make_key()
    assert stack.manage("DELETE", f"/v1/api-keys/{revoked['id']}").status == 204
    expect_401(stack.get("/v1/tasks", revoked["key"], address=client), "revoked_key", error=True)
    expired = stack.make_key(expires_at="2020-01-01T00:00:00Z")
    expect_401(stack.get("/v1/tasks", expired["key"], address=client), "expired_key", error=True)


RAW = [
    ("doubled", b"Authorization: Bearer %(key)s\r\nAuthorization: Bearer %(key)s\r\n"),
    ("doubled with another", b"Authorization: Bearer %(key)s\r\nAuthorization: Bearer sk_live_zzz\r\n"),
    ("another scheme first", b"Authorization: Basic dTpw\r\nAuthorization: Bearer %(key)s\r\n"),
    ("trailing bytes", b"Authorization: Bearer %(key)sx\r\n"),
    ("two words", b"Authorization: Bearer %(key)s %(key)s\r\n"),
    ("not UTF-8", b"Authorization: Bearer \xff\xfe%(key)s\r\n"),
    ("high bytes only", b"Authorization: \x80\x81\x82\r\n"),
    ("a tab between", b"Authorization: Bearer\t\x01%(key)s\r\n"),
]


@pytest.mark.parametrize("header", [line for _, line in RAW], ids=[name for name, _ in RAW])
def test_odd_headers(stack, key, client, header):
    request = (b"GET /v1/tasks HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: " + client.encode()
               + b"\r\n" + header % {b"key": key.encode()} + b"\r\n")
    answer, = stack.raw(request)
    assert answer.status in (400, 401), answer   # 400 is httpd's own, for bytes that no header may hold
    assert key.encode() not in answer.body


def test_nul_in_the_header(stack, key):
    for value in (b"Bearer %s\0" % key.encode(), b"Bearer \0%s" % key.encode(), b"\0"):
        answers = stack.raw(b"GET /v1/tasks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                            b"Authorization: " + value + b"\r\n\r\n")
        assert [answer.status for answer in answers] in ([400], [401])


def test_very_long_header(stack, key):
    """Longer than httpd takes: refused by httpd, and the children live on."""
    before = stack.children()
    answers = stack.raw(b"GET /v1/tasks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                        b"Authorization: Bearer " + key.encode() + b"a" * 100000 + b"\r\n\r\n")
    assert all(answer.status == 400 for answer in answers)
    assert set(before) & set(stack.children())


def test_no_key_in_the_url(stack, key, client):
    for query in ("api_key", "apikey", "access_token", "key"):
        answer = stack.get(f"/v1/tasks?{query}={key[:20]}", address=client)
        expect_401(answer, "missing_credentials", error=False)


def test_other_header(own):
    key = own.make_key("tasks:read")["key"]
    assert own.request("GET", "/own", headers={"X-API-Key": key}).status == 200
    assert own.get("/own", key).status == 200
    assert own.request("GET", "/only", headers={"X-API-Key": key}).status == 200
    expect_401(own.get("/only", key, address="192.0.2.9"), "missing_credentials", error=False)
    expect_401(own.request("GET", "/own", headers={"X-API-Key": "nonsense"}, address="192.0.2.9"),
               "malformed_key", error=True)


def test_other_header_is_not_read_unasked(stack, key, client):
    answer = stack.request("GET", "/v1/tasks", headers={"X-API-Key": key}, address=client)
    expect_401(answer, "missing_credentials", error=False)


def test_both_headers_disagree(own):
    key = own.make_key("tasks:read")["key"]
    answer = own.request("GET", "/own", headers={"Authorization": f"Bearer {well_formed()}", "X-API-Key": key},
                         address="192.0.2.10")
    assert answer.status == 401


def test_realm_is_quoted(own):
    challenge = own.get("/named", address="192.0.2.11").header("WWW-Authenticate")
    assert challenge == 'Bearer realm="a \\"quoted\\" realm"'


def test_imported_keys(own):
    """A key of another system, of which only the SHA-256 was brought over, works where it is asked for."""
    old = f"legacy.{own.port}.Zm9vYmFy/+=="
    line = {"sha256": hashlib.sha256(old.encode()).hexdigest(), "name": "From before", "permissions": ["tasks:read"]}
    done = own.ctl_raw("key", "import", stdin=json.dumps(line) + "\n")
    assert done.returncode == 0, done.stderr
    assert own.get("/imported", old).status == 200
    expect_401(own.get("/own", old, address="192.0.2.12"), "malformed_key", error=True)
    expect_401(own.get("/imported", old + "x", address="192.0.2.12"), "unknown_key", error=True)
    expect_401(own.get("/imported", line["sha256"], address="192.0.2.12"), "unknown_key", error=True)
    native = own.make_key()["key"]
    assert own.get("/imported", native).status == 200


def test_an_address_that_guesses(own):
    """Past the limit of failures an address is told to wait; others, and valid keys, are not."""
    key = own.make_key()["key"]
    answers = [own.get("/guessed", well_formed(), address="192.0.2.13") for _ in range(8)]
    assert [answer.status for answer in answers] == [401] * 5 + [429] * 3
    assert answers[-1].code == "too_many_failures" and 1 <= int(answers[-1].header("Retry-After")) <= 3600
    expect_401(own.get("/guessed", well_formed(), address="192.0.2.14"), "unknown_key", error=True)
    assert own.get("/guessed", key, address="192.0.2.14").status == 200
    assert own.get("/guessed", address="192.0.2.13").status in (401, 429)


def test_401_to_a_request_with_a_body(stack, client):
    """The connection survives a refused POST, or is closed cleanly; the next request is not garbled."""
    request = (b"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: " + client.encode() +
               b"\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20000 +
               b"GET /open HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answers = stack.raw(request)
    assert answers[0].status == 401 and answers[0].code == "missing_credentials"
    assert [answer.status for answer in answers[1:]] in ([200], [])


def test_head_has_headers_and_no_body(stack, client):
    answer, = stack.raw(b"HEAD /v1/tasks HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: "
                        + client.encode() + b"\r\n\r\n")
    assert answer.status == 401 and answer.body == b""
    assert answer.header("WWW-Authenticate")


def test_nothing_of_a_presented_token_is_kept(stack, client):
    """Logs and segments, byte by byte: neither valid nor invalid credentials are found in them."""
    valid, unknown = stack.make_key()["key"], well_formed()
    wrong = mistyped(valid)
    presented = [f"Bearer {valid}", f"Bearer {unknown}", f"Bearer {wrong}", f"Bearer canary-{unknown}",
                 f"Basic canary-{unknown}", unknown]
    for value in presented:
        stack.request("GET", "/v1/tasks", headers={"Authorization": value}, address=client)
    for folder in ("log", "events"):
        files = [path for path in (stack.dir / folder).iterdir()]
        assert files
        for path in files:
            data = path.read_bytes()
            for secret in (valid, unknown, wrong):
                assert secret[8:].encode() not in data, path
                assert secret[12:40].encode() not in data, path


def test_the_database_holds_no_key(stack):
    secret = stack.make_key()["key"]
    stack.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    found = subprocess.run(["grep", "-rlF", secret[8:], stack.dir], capture_output=True, text=True)
    assert found.stdout == ""
    assert secret[:11] + "..." in [row[0] for row in stack.sql("SELECT prefix FROM api_keys")]
