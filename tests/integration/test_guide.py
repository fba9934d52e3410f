"""Every request, response, header and status that the users' guide shows, as printed.

https://api.example.com stands in the guide for the address of the service, YOUR_API_KEY
and EXISTING_API_KEY for a key, key_123 for a key's id: only these are filled in.
"""
import datetime
import json
import re
import subprocess
import time

import pytest
import requests

from keys import mistyped, well_formed
from stack import wait

RFC3339 = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
FULL_KEY = re.compile(r"^sk_(live|test)_[0-9A-Za-z]{38}$")
SHOWN_PREFIX = re.compile(r"^sk_(live|test)_[0-9A-Za-z]{3}\.\.\.$")


@pytest.fixture(scope="module")
def account(stack):
    return stack.make_account("professional")


@pytest.fixture
def key(stack, account):
    """A key of a professional account with the permissions that most examples need."""
    return stack.make_key("tasks:read tasks:write projects:read api-keys:read api-keys:write api-keys:delete",
                          account_id=account)


def send(stack, request, key, key_id="key_123"):
    """A request as the guide prints it: a line, header fields, an empty line, a body.

    Blocks of the guide that show no header field are sent with the key and as JSON."""
    head, _, body = request.strip().partition("\n{")
    lines = head.strip().split("\n")
    method, path = lines[0].replace("key_123", key_id).split()
    fields = dict(line.split(": ", 1) for line in lines[1:])
    for name, value in fields.items():
        fields[name] = value.replace("EXISTING_API_KEY", key).replace("YOUR_API_KEY", key)
    fields.setdefault("Authorization", f"Bearer {key}")
    if body:
        fields.setdefault("Content-Type", "application/json")
    return stack.request(method, path, headers=fields, body=("{" + body).encode() if body else None)


def instant(text):
    assert RFC3339.match(text), text
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)


def about_now(text):
    return abs((datetime.datetime.now(datetime.timezone.utc) - instant(text)).total_seconds()) < 30


# --- creating ---------------------------------------------------------------------------

def test_create(stack, key):
    answer = send(stack, """
POST /v1/api-keys
Authorization: Bearer EXISTING_API_KEY
Content-Type: application/json

{
  "name": "New Integration",
  "permissions": ["tasks:read", "tasks:write"],
  "expires_at": "2026-10-14T00:00:00Z"
}
""", key["key"])
    assert answer.status == 201
    made = answer.json()
    assert made["id"].startswith("key_")
    assert FULL_KEY.match(made["key"]) and made["key"].startswith("sk_live_")
    assert made["name"] == "New Integration"
    assert made["permissions"] == ["tasks:read", "tasks:write"]
    assert about_now(made["created_at"])
    assert made["expires_at"] == "2026-10-14T00:00:00Z"
    assert answer.header("Location") == "/v1/api-keys/" + made["id"] or \
        answer.header("Location").endswith("/v1/api-keys/" + made["id"])
    assert "no-store" in answer.header("Cache-Control")


def test_full_key_is_shown_once(stack, key):
    made = stack.make_key("tasks:read")
    secret = made["key"]
    for path in ("/v1/api-keys", f"/v1/api-keys/{made['id']}", "/v1/audit-log", "/v1/usage", "/v1/alerts"):
        answer = stack.manage("GET", path)
        assert answer.status == 200
        assert secret.encode() not in answer.body
        assert secret[8:].encode() not in answer.body


def test_keys_are_unique(stack):
    made = [stack.make_key("tasks:read") for _ in range(5)]
    assert len({one["key"] for one in made}) == len({one["id"] for one in made}) == 5


def test_description_of_the_dashboard_form(stack):
    made = stack.make_key("tasks:read tasks:write", name="Production App", description="Main application backend")
    shown = stack.manage("GET", f"/v1/api-keys/{made['id']}").json()
    assert shown["name"] == "Production App"
    assert shown["description"] == "Main application backend"
    assert shown["expires_at"] is None


# --- using --------------------------------------------------------------------------------

def test_curl(stack, key):
    done = subprocess.run(["curl", "-s", "-w", "\n%{http_code}", "-H", f"Authorization: Bearer {key['key']}",
                           f"{stack.address}/v1/tasks"], capture_output=True, text=True)
    body, _, status = done.stdout.rpartition("\n")
    assert status == "200"
    assert json.loads(body)["environment"] == "live"


def test_python_requests(stack, key):
    headers = {
        'Authorization': f'Bearer {key["key"]}',
        'Content-Type': 'application/json'
    }
    response = requests.get(f'{stack.address}/v1/tasks', headers=headers)
    assert response.status_code == 200
    assert response.json()["data"]


def node(script, **env):
    return subprocess.run(["node", "--input-type=module", "-e", script], capture_output=True, text=True,
                          env={"PATH": "/usr/local/bin:/usr/bin:/bin", **env})


def test_javascript_fetch(stack, key):
    done = node("""
const response = await fetch('https://api.example.com/v1/tasks', {
  headers: {
    'Authorization': 'Bearer YOUR_API_KEY',
    'Content-Type': 'application/json'
  }
});
console.log(response.status, JSON.stringify(await response.json()));
""".replace("https://api.example.com", stack.address).replace("YOUR_API_KEY", key["key"]))
    assert done.stdout.startswith("200 "), (done.stdout, done.stderr)
    assert json.loads(done.stdout[4:])["environment"] == "live"


COMPLETE_EXAMPLE = """
// Load from environment
const apiKey = process.env.PRODUCT_API_KEY;

if (!apiKey) {
  throw new Error('API key not found');
}

// Create client
async function makeRequest(endpoint, options = {}) {
  const response = await fetch(
    `https://api.example.com/v1${endpoint}`,
    {
      ...options,
      headers: {
        'Authorization': `Bearer ${apiKey}`,
        'Content-Type': 'application/json',
        ...options.headers
      }
    }
  );
  
  // Check rate limits
  const remaining = response.headers.get('X-RateLimit-Remaining');
  if (remaining < 100) {
    console.warn('Rate limit low:', remaining);
  }
  
  // Handle errors
  if (!response.ok) {
    const error = await response.json();
    throw new Error(error.message);
  }
  
  return response.json();
}

// Use it
const tasks = await makeRequest('/tasks');
"""


def complete_example(stack, key, then="console.log(JSON.stringify(tasks));"):
    script = COMPLETE_EXAMPLE.replace("https://api.example.com", stack.address) + then
    return node(script, **({"PRODUCT_API_KEY": key} if key else {}))


def test_complete_example(stack, key):
    done = complete_example(stack, key["key"])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"]
    assert "Rate limit low" not in done.stderr


def test_complete_example_without_a_key(stack):
    assert "API key not found" in complete_example(stack, None).stderr


def test_complete_example_reports_our_message(stack):
    without_permission = stack.make_key("users:read")
    answer = stack.get("/v1/tasks", without_permission["key"])
    done = complete_example(stack, without_permission["key"])
    assert done.returncode != 0
    assert answer.json()["message"] in done.stderr


def test_complete_example_warns_of_a_low_limit(stack):
    account = stack.make_account("enterprise")
    key = stack.make_key("tasks:read", account_id=account, rate_limit={"per_hour": 50, "per_minute": 50})
    done = complete_example(stack, key["key"])
    assert done.returncode == 0, done.stderr
    assert "Rate limit low: 49" in done.stderr


# --- key types ------------------------------------------------------------------------------

@pytest.mark.parametrize("environment, world", [("live", "live"), ("test", "sandbox")])
def test_key_types(stack, environment, world):
    made = stack.make_key("tasks:read", environment=environment)
    assert made["key"].startswith(f"sk_{environment}_")
    assert stack.get("/v1/tasks", made["key"]).json()["environment"] == world


# --- permissions ------------------------------------------------------------------------------

REQUESTS = [("tasks:read", "GET", "/v1/tasks"), ("projects:read", "GET", "/v1/projects"),
            ("users:read", "GET", "/v1/users"), ("tasks:write", "POST", "/v1/tasks"),
            ("tasks:write", "PUT", "/v1/tasks/1"), ("tasks:write", "PATCH", "/v1/tasks/1"),
            ("projects:write", "POST", "/v1/projects"), ("users:write", "POST", "/v1/users"),
            ("tasks:delete", "DELETE", "/v1/tasks/1"), ("projects:delete", "DELETE", "/v1/projects/1")]


def test_each_permission_opens_its_own_door_and_no_other(stack):
    for permission in sorted({scope for scope, _, _ in REQUESTS}):
        made = stack.make_key(permission)
        for scope, method, path in REQUESTS:
            answer = stack.request(method, path, made["key"])
            if scope == permission:
                assert answer.status in (200, 201), (permission, method, path, answer)
            else:
                assert (answer.status, answer.code) == (403, "insufficient_scope"), (permission, method, path)


def test_admin_has_full_access(stack):
    made = stack.make_key("admin:*")
    for _, method, path in REQUESTS:
        assert stack.request(method, path, made["key"]).status in (200, 201)
    assert stack.get("/v1/api-keys", made["key"]).status == 200


def test_setting_permissions(stack, key):
    answer = send(stack, """
POST /v1/api-keys
{
  "name": "Read-only Key",
  "permissions": [
    "tasks:read",
    "projects:read"
  ]
}
""", key["key"])
    assert answer.status == 201
    made = answer.json()
    assert made["permissions"] == ["tasks:read", "projects:read"]
    assert stack.get("/v1/tasks", made["key"]).status == 200
    assert stack.get("/v1/projects", made["key"]).status == 200
    assert stack.request("POST", "/v1/tasks", made["key"]).status == 403


# --- managing ------------------------------------------------------------------------------

def test_list(stack, key):
    stack.get("/v1/tasks", key["key"])
    answer = send(stack, "GET /v1/api-keys\nAuthorization: Bearer YOUR_API_KEY", key["key"])
    assert answer.status == 200
    entries = answer.json()["data"]
    assert key["id"] in [entry["id"] for entry in entries]
    for entry in entries:
        assert entry["id"].startswith("key_")
        assert isinstance(entry["name"], str)
        assert SHOWN_PREFIX.match(entry["prefix"])
        assert entry["last_used"] is None or instant(entry["last_used"])
        assert instant(entry["created_at"])
        assert entry["expires_at"] is None or instant(entry["expires_at"])
        assert "key" not in entry
    mine = next(entry for entry in entries if entry["id"] == key["id"])
    assert key["key"].startswith(mine["prefix"].removesuffix("..."))


def test_update(stack, key):
    answer = send(stack, """
PATCH /v1/api-keys/key_123
{
  "name": "Production App (updated)",
  "permissions": ["tasks:read", "tasks:write", "projects:read"]
}
""", key["key"], key["id"])
    assert answer.status == 200
    shown = stack.manage("GET", f"/v1/api-keys/{key['id']}").json()
    assert shown["name"] == "Production App (updated)"
    assert shown["permissions"] == ["tasks:read", "tasks:write", "projects:read"]
    assert stack.get("/v1/api-keys", key["key"]).status == 403


def test_revoke(stack, key):
    doomed = stack.make_key("tasks:read", account_id=key["account_id"])
    assert stack.get("/v1/tasks", doomed["key"]).status == 200
    answer = send(stack, "DELETE /v1/api-keys/key_123", key["key"], doomed["id"])
    assert (answer.status, answer.body) == (204, b"")
    for _ in range(20):
        refused = stack.get("/v1/tasks", doomed["key"])
        assert (refused.status, refused.code) == (401, "revoked_key")


def test_details_and_usage(stack, key):
    for _ in range(4):
        assert stack.get("/v1/tasks", key["key"]).status == 200
    assert stack.request("DELETE", "/v1/tasks/1", key["key"]).status == 403

    def counted():
        answer = send(stack, "GET /v1/api-keys/key_123", key["key"], key["id"])
        assert answer.status == 200
        shown = answer.json()
        return shown if shown["usage"]["requests_today"] >= 4 else None

    shown = wait(counted, what="the figures")
    assert shown["id"] == key["id"]
    assert shown["name"] == key["name"]
    assert shown["permissions"] == key["permissions"]
    assert instant(shown["created_at"])
    assert about_now(shown["last_used"])
    assert shown["expires_at"] is None
    assert shown["usage"] == {"requests_today": 4, "requests_this_month": 4}


# --- rate limits ------------------------------------------------------------------------------

@pytest.mark.parametrize("plan, hourly, per_minute", [("free", 1000, 100), ("professional", 10000, 500)])
def test_plans(stack, plan, hourly, per_minute):
    made = stack.make_key("tasks:read", account_id=stack.make_account(plan))
    answer = stack.get("/v1/tasks", made["key"])
    assert answer.header("X-RateLimit-Limit") == str(hourly)
    policy = answer.header("RateLimit-Policy")
    assert f"q={hourly};w=3600" in policy and f"q={per_minute};w=60" in policy


def test_enterprise_limits_are_custom(stack):
    account = stack.make_account("enterprise")
    made = stack.make_key("tasks:read", account_id=account, rate_limit={"per_hour": 77777, "per_minute": 7777})
    assert stack.get("/v1/tasks", made["key"]).header("X-RateLimit-Limit") == "77777"


def test_check_limits(stack, key):
    spent = [stack.get("/v1/tasks", key["key"]) for _ in range(3)][-1]
    answer = send(stack, "GET /v1/rate-limit\nAuthorization: Bearer YOUR_API_KEY", key["key"])
    assert answer.status == 200
    limits = answer.json()
    assert limits["limit"] == 10000
    assert type(limits["remaining"]) is int and type(limits["reset"]) is int
    assert instant(limits["reset_at"]).timestamp() == limits["reset"]
    assert limits["reset"] % 3600 == 0 and 0 < limits["reset"] - time.time() <= 3600
    if int(spent.header("X-RateLimit-Reset")) == limits["reset"]:   # the hour did not turn meanwhile
        assert limits["remaining"] == int(spent.header("X-RateLimit-Remaining")) == 9997


def test_limit_headers(stack, key):
    answer = stack.get("/v1/tasks", key["key"])
    assert answer.header("X-RateLimit-Limit") == "10000"
    assert 0 <= int(answer.header("X-RateLimit-Remaining")) < 10000
    assert int(answer.header("X-RateLimit-Reset")) % 3600 == 0


# --- expiration ------------------------------------------------------------------------------

def test_setting_and_extending_expiration(stack, key):
    answer = send(stack, """
POST /v1/api-keys
{
  "name": "Temporary Key",
  "expires_at": "2025-12-31T23:59:59Z"
}
""", key["key"])
    assert answer.status == 201
    made = answer.json()
    assert made["expires_at"] == "2025-12-31T23:59:59Z"
    expired = time.time() > instant("2025-12-31T23:59:59Z").timestamp()
    use = stack.get("/v1/rate-limit", made["key"])
    assert (use.status, use.json().get("code")) == ((401, "expired_key") if expired else (200, None))

    answer = send(stack, """
PATCH /v1/api-keys/key_123
{
  "expires_at": "2026-12-31T23:59:59Z"
}
""", key["key"], made["id"])
    assert answer.status == 200
    assert answer.json()["expires_at"] == "2026-12-31T23:59:59Z"
    expired = time.time() > instant("2026-12-31T23:59:59Z").timestamp()
    assert stack.get("/v1/rate-limit", made["key"]).status == (401 if expired else 200)


def test_a_key_expires_by_itself(stack):
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
    made = stack.make_key("tasks:read", expires_at=soon.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert stack.get("/v1/tasks", made["key"]).status == 200
    refused = wait(lambda: (answer := stack.get("/v1/tasks", made["key"])).status != 200 and answer,
                   what="the key to expire")
    assert (refused.status, refused.code) == (401, "expired_key")


# --- key rotation -----------------------------------------------------------------------------

def test_rotation_process(stack, key):
    old = stack.make_key("tasks:read", account_id=key["account_id"])
    new = stack.make_key("tasks:read", account_id=key["account_id"])
    assert stack.get("/v1/tasks", new["key"]).status == 200
    assert stack.get("/v1/tasks", old["key"]).status == 200
    assert stack.manage("DELETE", f"/v1/api-keys/{old['id']}", key=key["key"]).status == 204
    assert stack.get("/v1/tasks", old["key"]).status == 401
    assert stack.get("/v1/tasks", new["key"]).status == 200


# --- troubleshooting --------------------------------------------------------------------------

def test_401_wrong_formats(stack, key):
    correct = stack.request("GET", "/v1/tasks", headers={"Authorization": f"Bearer {key['key']}"})
    assert correct.status == 200
    for wrong in (key["key"], "sk_live_abc123...", "Bearer abc123", "Bearer sk_live_abc123..."):
        answer = stack.request("GET", "/v1/tasks", headers={"Authorization": wrong}, address="192.0.2.21")
        assert (answer.status, answer.code) == (401, "malformed_key"), wrong
        assert answer.header("WWW-Authenticate").startswith("Bearer realm=")


def test_401_causes(stack):
    invalid = well_formed()
    assert stack.get("/v1/tasks", invalid, address="192.0.2.22").code == "unknown_key"
    mangled = mistyped(stack.make_key()["key"])
    assert stack.get("/v1/tasks", mangled, address="192.0.2.22").code == "malformed_key"


def test_403_and_its_solution(stack):
    made = stack.make_key("tasks:read")
    answer = stack.request("POST", "/v1/tasks", made["key"])
    assert (answer.status, answer.code) == (403, "insufficient_scope")
    update = stack.manage("PATCH", f"/v1/api-keys/{made['id']}", {"permissions": ["tasks:read", "tasks:write"]})
    assert update.status == 200
    assert stack.request("POST", "/v1/tasks", made["key"]).status == 201


def test_429_and_its_solution(stack):
    account = stack.make_account("enterprise")
    made = stack.make_key("tasks:read", account_id=account, rate_limit={"per_hour": 3, "per_minute": 3})
    answers = [stack.get("/v1/tasks", made["key"]) for _ in range(8)]
    refused = answers[-1]
    assert (refused.status, refused.code) == (429, "rate_limit_exceeded")
    assert 1 <= int(refused.header("Retry-After")) <= 3600
    assert refused.header("X-RateLimit-Remaining") == "0"
    raised = stack.manage("PATCH", f"/v1/api-keys/{made['id']}", {"rate_limit": {"per_hour": 50, "per_minute": 50}})
    assert raised.status == 200
    assert stack.get("/v1/tasks", made["key"]).status == 200


# --- what the guide's shorter forms leave unsaid ---------------------------------------------------

def test_no_header_and_no_body(stack):
    answer = stack.get("/v1/tasks", address="192.0.2.23")
    assert (answer.status, answer.code) == (401, "missing_credentials")
    assert "error=" not in answer.header("WWW-Authenticate")
