"""mod_apikey among httpd's other parts: MPMs, sub-requests, proxies, HTTP/2, CORS."""
import http.client
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from stack import wait

SITE = """
LoadModule include_module /usr/lib/apache2/modules/mod_include.so
<Directory "${RUN_DIR}/htdocs">
    Options +Includes
    AddOutputFilter INCLUDES .shtml
    DirectoryIndex index.html
    Require all granted
</Directory>
<Location "/page">
    AuthType APIKey
    Require apikey-scope tasks:read
</Location>
<Location "/page/hidden">
    Require apikey-scope users:read
</Location>
<Location "/rewritten">
    AuthType APIKey
    Require valid-user
    RewriteEngine On
    RewriteRule "^" "/page/part.txt" [PT]
</Location>
<Location "/missing">
    AuthType APIKey
    Require valid-user
    ErrorDocument 404 "/page/part.txt"
</Location>
<Location "/checked">
    AuthType APIKey
    Require valid-user
    APIKeyPreflight check
    ProxyPass "${LIVE}/checked"
</Location>
<Location "/everything">
    AuthType APIKey
    Require valid-user
    APIKeyForward id,account,scopes,environment,plan
    ProxyPass "${LIVE}/everything"
</Location>
<Location "/nothing">
    AuthType APIKey
    Require valid-user
    APIKeyForward Off
    ProxyPass "${LIVE}/nothing"
</Location>
<Location "/unstripped">
    AuthType APIKey
    Require valid-user
    APIKeyStripCredentials Off
    ProxyPass "${LIVE}/unstripped"
</Location>
"""
PREFLIGHT = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "authorization"}


@pytest.fixture(scope="module", params=["event", "worker", "prefork"])
def site(request, start_stack):
    made = start_stack(SITE, mpm=request.param)
    pages = {"page/index.html": "the index\n", "page/part.txt": "a part\n", "page/hidden/secret.txt": "hidden\n",
             "page/whole.shtml": '<!--#include virtual="/page/part.txt" -->'
                                 '<!--#include virtual="/page/part.txt" -->'
                                 '<!--#include virtual="/page/hidden/secret.txt" -->end\n'}
    for name, text in pages.items():
        path = made.dir / "htdocs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return made


def spent(stack, key):
    """Requests that were taken from the hour."""
    limits = stack.get("/v1/rate-limit", key).json()
    return limits["limit"] - limits["remaining"]


def events_of(stack, key, kind="api"):
    return [event for event in stack.events() if event["key"] == key["id"] and event["class"] == kind]


def counted_once(stack, key, requests):
    assert spent(stack, key["key"]) == requests
    assert len(events_of(stack, key)) == requests


def test_basics_under_every_mpm(site):
    made = site.make_key()
    assert site.get("/v1/tasks", made["key"]).status == 200
    assert site.get("/v1/tasks", address="192.0.2.31").status == 401
    assert site.request("DELETE", "/v1/tasks/1", made["key"]).status == 403
    assert site.get("/open").status == 200


def test_many_at_once(site):
    made = site.make_key(account_id=site.make_account("professional"))
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: site.get("/v1/tasks", made["key"]).status, range(80)))
    assert statuses == [200] * 80
    counted_once(site, made, 80)


def test_graceful_restarts(site):
    made = site.make_key(account_id=site.make_account("professional"))
    for _ in range(3):
        assert site.get("/v1/tasks", made["key"]).status == 200
        site.restart()
    assert site.get("/v1/tasks", made["key"]).status == 200
    counted_once(site, made, 4)


def test_events_have_numbers_without_a_gap(site):
    made = site.make_key()
    for _ in range(5):
        site.get("/v1/tasks", made["key"])
    by_producer = {}
    for event in site.events():
        by_producer.setdefault(event["producer"], []).append(event["seq"])
    assert by_producer
    for numbers in by_producer.values():
        assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_sub_requests_are_not_counted(site):
    made = site.make_key("tasks:read users:read")
    answer = site.get("/page/whole.shtml", made["key"])
    assert answer.body == b"a part\na part\nhidden\nend\n"
    counted_once(site, made, 1)


def test_sub_requests_meet_their_own_rules(site):
    made = site.make_key("tasks:read")
    answer = site.get("/page/whole.shtml", made["key"])
    assert answer.status == 200
    assert b"a part\na part\n" in answer.body and b"hidden" not in answer.body
    counted_once(site, made, 1)


def test_directory_index(site):
    made = site.make_key()
    answer = site.get("/page/", made["key"])
    assert (answer.status, answer.body) == (200, b"the index\n")
    counted_once(site, made, 1)


def test_internal_redirects(site):
    made = site.make_key()
    answer = site.get("/rewritten", made["key"])
    assert (answer.status, answer.body) == (200, b"a part\n")
    counted_once(site, made, 1)
    answer = site.get("/missing/page", made["key"])
    assert (answer.status, answer.body) == (404, b"a part\n")
    counted_once(site, made, 2)
    assert events_of(site, made)[-1]["status"] in (200, 404)


def test_a_redirect_opens_no_door(site):
    """What is rewritten to a page that the key may not see is refused there."""
    reader = site.make_key("users:read")
    assert site.get("/page/part.txt", reader["key"]).status == 403
    assert site.get("/rewritten", reader["key"]).status == 403
    assert site.get("/rewritten", address="192.0.2.32").status == 401


def test_keepalive_keeps_nobody(site):
    """Requests of one connection are judged each by its own key."""
    reader, writer = site.make_key("tasks:read"), site.make_key("tasks:write")
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)

    def ask(method, key=None):
        headers = {"Authorization": f"Bearer {key['key']}"} if key else {}
        connection.request(method, "/v1/tasks", headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    assert [ask("GET", reader), ask("GET"), ask("GET", writer), ask("POST", writer), ask("POST", reader),
            ask("GET", reader)] == [200, 401, 403, 201, 403, 200]
    connection.close()


def test_pipelined_requests(site):
    made = site.make_key()
    one = f"GET /v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {made['key']}\r\n\r\n"
    last = "GET /v1/tasks HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.33\r\nConnection: close\r\n\r\n"
    assert [answer.status for answer in site.raw((one * 3 + last).encode())] == [200, 200, 200, 401]
    counted_once(site, made, 3)


def test_head_counts_as_a_request(site):
    made = site.make_key()
    answer = site.request("HEAD", "/v1/tasks", made["key"])
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("X-RateLimit-Limit")
    counted_once(site, made, 1)


def test_options_needs_a_key(site):
    made = site.make_key()
    assert site.request("OPTIONS", "/v1/tasks", made["key"]).status == 200
    counted_once(site, made, 1)
    assert site.request("OPTIONS", "/v1/tasks", address="192.0.2.34").status == 401


def test_preflight_passes_and_is_not_counted(site):
    before = len(site.events())
    answer = site.request("OPTIONS", "/v1/tasks", headers=PREFLIGHT, address="192.0.2.35")
    assert answer.status == 200
    assert answer.header("X-RateLimit-Limit") is None
    assert len(site.events()) == before


def test_what_only_looks_like_a_preflight(site):
    for method, headers in (("GET", PREFLIGHT), ("OPTIONS", {"Origin": "https://app.example.com"}),
                            ("OPTIONS", {"Access-Control-Request-Method": "POST"})):
        assert site.request(method, "/v1/tasks", headers=headers, address="192.0.2.36").status == 401


def test_preflight_can_be_checked(site):
    answer = site.request("OPTIONS", "/checked", headers=PREFLIGHT, address="192.0.2.37")
    assert answer.status == 401


def test_a_preflight_opens_no_management(site):
    answer = site.request("OPTIONS", "/v1/api-keys", headers=PREFLIGHT, address="192.0.2.38")
    assert b'"data"' not in answer.body


def test_the_backend_sees_no_credentials(site):
    made = site.make_key("tasks:read")
    answer = site.get("/v1/tasks", made["key"])
    assert answer.seen_by_backend("Authorization") == []
    answer = site.get("/unstripped", made["key"])
    assert answer.seen_by_backend("Authorization") == ["present"]


def test_the_backend_learns_who_asks(site):
    account = site.make_account("professional")
    made = site.make_key("tasks:read users:read", account_id=account, environment="test")
    answer = site.get("/everything", made["key"])
    assert answer.seen_by_backend("X-APIKey-Id") == [made["id"]]
    assert answer.seen_by_backend("X-APIKey-Account") == [account]
    assert answer.seen_by_backend("X-APIKey-Environment") == ["test"]
    assert answer.seen_by_backend("X-APIKey-Plan") == ["professional"]
    assert sorted(answer.seen_by_backend("X-APIKey-Scopes")[0].split()) == ["tasks:read", "users:read"]


IDENTITY = ("Id", "Account", "Scopes", "Environment", "Plan")


@pytest.mark.parametrize("form", ["X-APIKey-{}", "x-apikey-{}", "X_APIKey_{}", "X-APIKEY_{}", "X_APIKEY-{}"])
def test_nobody_can_forge_an_identity(site, form):
    made = site.make_key("tasks:read")
    forged = {form.format(name): "forged" for name in IDENTITY}
    for path in ("/v1/tasks", "/everything", "/nothing"):
        seen = site.request("GET", path, made["key"], headers=forged).json()["headers"]
        assert not [pair for pair in seen if "forged" in pair[1]], path


def test_nothing_is_forwarded_unasked(site):
    made = site.make_key("tasks:read")
    seen = site.get("/nothing", made["key"]).json()["headers"]
    assert not [name for name, _ in seen if name.lower().startswith("x-apikey")]


HTTP2_CLIENT = """
import http2 from 'node:http2';
const session = http2.connect(process.argv[1]);
const ask = path => new Promise((resolve, reject) => {
  const stream = session.request({':path': path, authorization: `Bearer ${process.argv[2]}`});
  let text = '';
  let head;
  stream.on('response', fields => { head = fields; });
  stream.on('data', piece => { text += piece; });
  stream.on('end', () => resolve({status: head[':status'], head, body: JSON.parse(text)}));
  stream.on('error', reject);
  stream.end();
});
console.log(JSON.stringify(await Promise.all(['/v1/tasks', '/v1/tasks', '/v1/users', '/v1/tasks'].map(ask))));
session.close();
"""


def test_http2(site):
    """Four requests at a time on one connection, by a client that speaks HTTP/2 only."""
    if site.env["MPM"] == "prefork":
        return expect_http1(site)
    made = site.make_key(account_id=site.make_account("professional"))
    done = subprocess.run(["node", "--input-type=module", "-e", HTTP2_CLIENT, site.address, made["key"]],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert [answer["status"] for answer in answers] == [200, 200, 403, 200]
    assert answers[2]["body"]["code"] == "insufficient_scope"
    assert sorted(answer["head"]["x-ratelimit-remaining"] for answer in answers if answer["status"] == 200) == \
        ["9997", "9998", "9999"]
    wait(lambda: len(events_of(site, made)) == 4, what="the events")
    assert spent(site, made["key"]) == 3


def expect_http1(site):
    """Under prefork httpd offers no HTTP/2; a client that asks for an upgrade gets HTTP/1.1."""
    made = site.make_key()
    done = subprocess.run(["curl", "-s", "--http2", "-i", "-H", f"Authorization: Bearer {made['key']}",
                           f"{site.address}/v1/tasks"], capture_output=True, text=True)
    assert done.stdout.startswith("HTTP/1.1 200")


def test_the_clients_address_is_remoteips(site):
    made = site.make_key()
    assert site.get("/v1/tasks", made["key"], address="203.0.113.40").status == 200
    assert site.get("/v1/tasks", made["key"], address="2001:db8::40").status == 200
    assert [event["address"] for event in events_of(site, made)] == ["203.0.113.40", "2001:db8::40"]


def test_the_event_of_a_request(site):
    made = site.make_key("tasks:read", environment="test")
    site.request("DELETE", "/v1/tasks/1", made["key"], address="203.0.113.41")
    event, = wait(lambda: events_of(site, made), what="the event")
    assert event["v"] == 1
    assert {"key": made["id"], "account": made["account_id"], "environment": "test", "address": "203.0.113.41",
            "method": "DELETE", "scope": "tasks:delete", "decision": "insufficient_scope",
            "status": 403}.items() <= event.items()


def test_variables_for_the_access_log(site):
    made = site.make_key()
    site.get("/v1/tasks", made["key"])
    line = wait(lambda: [line for line in site.log("access.log").splitlines() if made["id"] in line],
                what="the line")[0]
    assert made["account_id"] in line and " ok " in line
