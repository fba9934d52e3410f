"""Users whom httpd itself authenticates may manage keys where APIKeyMapUser says so."""
import base64

import pytest

MODULES = "/usr/lib/apache2/modules"
SITE = f"""
LoadModule auth_basic_module {MODULES}/mod_auth_basic.so
LoadModule authn_anon_module {MODULES}/mod_authn_anon.so
<Location "/team/v1">
    AuthType Basic
    AuthName team
    AuthBasicProvider anon
    Anonymous *
    Anonymous_MustGiveEmail Off
    Require valid-user
    SetHandler apikey-manage
    APIKeyMapUser alice ACCOUNT api-keys:read api-keys:write tasks:* users:read
    APIKeyMapUser root acct_default admin:*
    APIKeyMapUser nothing ACCOUNT users:read
</Location>
<Location "/everyone/v1">
    AuthType Basic
    AuthName everyone
    AuthBasicProvider anon
    Anonymous *
    Anonymous_MustGiveEmail Off
    Require valid-user
    SetHandler apikey-manage
    APIKeyMapUser * acct_default api-keys:read
</Location>
<Location "/nobody/v1">
    Require all granted
    SetHandler apikey-manage
    APIKeyMapUser * acct_default admin:*
</Location>
<Location "/keys/v1">
    AuthType APIKey
    Require valid-user
    SetHandler apikey-manage
    APIKeyMapUser * acct_default admin:*
</Location>
"""


@pytest.fixture(scope="module")
def site(start_stack):
    stack = start_stack()
    stack.account = stack.make_account()
    stack.configure(SITE.replace("ACCOUNT", stack.account))
    return stack


def by(stack, user, method, path, json=None, headers=None, origin=True):
    """A request of a browser at the site itself, with the user's password."""
    fields = {"Authorization": "Basic " + base64.b64encode(f"{user}:secret".encode()).decode()}
    if origin:
        fields["Sec-Fetch-Site"] = "same-origin"
    return stack.request(method, path, json=json, headers={**fields, **(headers or {})})


NEW = {"name": "By a user", "permissions": ["tasks:read"]}


def test_a_user_makes_and_manages_keys(site):
    made = by(site, "alice", "POST", "/team/v1/api-keys", NEW)
    assert made.status == 201, made
    key = made.json()
    assert made.header("Location") == f"/team/v1/api-keys/{key['id']}"
    assert (key["account_id"], key["created_by"]) == (site.account, "user:alice")
    assert site.get("/v1/tasks", key["key"]).status == 200
    path = f"/team/v1/api-keys/{key['id']}"
    assert by(site, "alice", "PATCH", path, {"name": "Renamed"}).json()["name"] == "Renamed"
    assert by(site, "alice", "GET", "/team/v1/api-keys").json()["data"][0]["id"] == key["id"]
    assert by(site, "alice", "DELETE", path).code == "insufficient_scope"
    assert by(site, "root", "DELETE", path).status == 204
    entries = by(site, "root", "GET", f"/team/v1/audit-log?target={key['id']}").json()["data"]
    assert [(entry["action"], entry["actor"]) for entry in entries] == [
        ("key.revoke", "user:root"), ("key.update", "user:alice"), ("key.create", "user:alice")]


def test_a_user_grants_only_what_it_holds(site):
    for permissions, status in [(["tasks:*"], 201), (["tasks:delete"], 201), (["users:read"], 201),
                                (["users:write"], 403), (["users:*"], 403), (["admin:*"], 403)]:
        answer = by(site, "alice", "POST", "/team/v1/api-keys", {"name": "x", "permissions": permissions})
        assert answer.status == status, permissions
    foreign = site.make_key(account_id=site.make_account())
    assert by(site, "alice", "GET", f"/team/v1/api-keys/{foreign['id']}").status == 404
    assert by(site, "root", "GET", f"/team/v1/api-keys/{foreign['id']}").status == 200


def test_users_who_may_not(site):
    answer = by(site, "nothing", "GET", "/team/v1/api-keys")
    assert (answer.status, answer.code) == (403, "insufficient_scope")
    answer = by(site, "mallory", "GET", "/team/v1/api-keys")
    assert (answer.status, answer.code) == (403, "forbidden")
    assert by(site, "anyone", "GET", "/everyone/v1/api-keys").status == 200
    assert by(site, "anyone", "POST", "/everyone/v1/api-keys", NEW).code == "insufficient_scope"


def test_only_who_was_authenticated_is_mapped(site):
    answer = by(site, "root", "GET", "/nobody/v1/api-keys")
    assert (answer.status, answer.code) == (401, "missing_credentials")
    weak = site.make_key("users:read")["key"]
    assert site.get("/keys/v1/api-keys", weak).code == "insufficient_scope"
    preflight = site.request("OPTIONS", "/keys/v1/api-keys",
                             headers={"Origin": "https://x", "Access-Control-Request-Method": "GET"})
    assert (preflight.status, preflight.body) == (204, b"")


def test_odd_names_of_users(site):
    for user in ("ünï", "a b", 'quo"te', "a'b", "new\nline", "\x7f", "%s", "</b>"):
        assert by(site, user, "GET", "/everyone/v1/api-keys").status == 200, user


def test_rate_limits_are_a_keys(site):
    assert by(site, "alice", "GET", "/team/v1/rate-limit").status == 404
    held = {entry["name"] for entry in by(site, "alice", "GET", "/team/v1/permissions").json()["data"] if entry["held"]}
    assert held == {"api-keys:read", "api-keys:write", "tasks:read", "tasks:write", "tasks:delete", "users:read"}


@pytest.mark.parametrize("headers, status", [
    ({"Sec-Fetch-Site": "same-origin"}, 201), ({"Sec-Fetch-Site": "none"}, 201),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403), ({"Origin": "OWN"}, 201), ({"Origin": "https://evil.example"}, 403),
    ({"Origin": "null"}, 403), ({"Origin": "OWN.evil.example"}, 403), ({}, 403), ({"X-Requested-With": "fetch"}, 201),
    ({"X-Requested-With": "fetch", "Sec-Fetch-Site": "cross-site"}, 403),
    ({"X-Requested-With": "fetch", "Origin": "https://evil.example"}, 403),
    ({"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"}, 403)])
def test_changes_that_another_site_sent(site, headers, status):
    headers = {name: value.replace("OWN", site.address) for name, value in headers.items()}
    answer = by(site, "alice", "POST", "/team/v1/api-keys", NEW, headers=headers, origin=False)
    assert answer.status == status, answer
    made = site.make_key(account_id=site.account)
    removed = by(site, "root", "DELETE", f"/team/v1/api-keys/{made['id']}", headers=headers, origin=False)
    assert removed.status == (204 if status == 201 else 403)
    assert by(site, "alice", "GET", "/team/v1/api-keys", headers=headers, origin=False).status == 200


def test_a_user_must_say_that_it_sends_json(site):
    """Forms of other sites can be sent as text/plain or without a type, but never as JSON."""
    for kind in (None, "text/plain", "multipart/form-data; boundary=x"):
        headers = {"Authorization": "Basic " + base64.b64encode(b"alice:x").decode(), "X-Requested-With": "x"}
        if kind:
            headers["Content-Type"] = kind
        answer = site.request("POST", "/team/v1/api-keys", body=b'{"name":"x"}', headers=headers)
        assert (answer.status, answer.code) == (415, "unsupported_media_type")


def test_a_budget_of_its_own(site):
    """Management calls use up no window of the key, and their own budget none of its requests."""
    key = site.make_key("api-keys:read tasks:read", account_id=site.account)["key"]
    site.configure("APIKeyManageLimit 5\n" + SITE.replace("ACCOUNT", site.account))
    answers = [site.get("/v1/api-keys", key) for _ in range(12)]  # over two minutes at most
    refused = [answer for answer in answers if answer.status != 200]
    assert 2 <= len(refused) <= 7 and answers[0].status == 200
    for answer in refused:
        assert (answer.status, answer.code) == (429, "rate_limit_exceeded")
        assert 1 <= int(answer.header("Retry-After")) <= 60
    spent = site.get("/v1/tasks", key)
    assert spent.status == 200
    assert int(spent.header("X-RateLimit-Limit")) - int(spent.header("X-RateLimit-Remaining")) == 1
