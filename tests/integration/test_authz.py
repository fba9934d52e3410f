"""May they?  Scopes, methods, environments, plans, addresses, and what a refusal looks like."""
import json

import pytest

SITE = """
<Location "/scope">
    AuthType APIKey
    Require apikey-scope tasks:read
    ProxyPass "${LIVE}/scope"
</Location>
<Location "/either">
    AuthType APIKey
    Require apikey-scope tasks:read projects:read
    ProxyPass "${LIVE}/either"
</Location>
<Location "/both">
    AuthType APIKey
    <RequireAll>
        Require apikey-scope tasks:read
        Require apikey-scope projects:read
    </RequireAll>
    ProxyPass "${LIVE}/both"
</Location>
<Location "/any">
    AuthType APIKey
    <RequireAny>
        Require apikey-scope projects:write
        Require apikey-env test
    </RequireAny>
    ProxyPass "${LIVE}/any"
</Location>
<Location "/none">
    AuthType APIKey
    <RequireAll>
        Require valid-user
        <RequireNone>
            Require apikey-env test
        </RequireNone>
    </RequireAll>
    ProxyPass "${LIVE}/none"
</Location>
<Location "/live">
    AuthType APIKey
    Require apikey-env live
    ProxyPass "${LIVE}/live"
</Location>
<Location "/test">
    AuthType APIKey
    Require apikey-env test
    ProxyPass "${LIVE}/test"
</Location>
<Location "/plan">
    AuthType APIKey
    Require apikey-plan enterprise professional
    ProxyPass "${LIVE}/plan"
</Location>
<Location "/denied">
    AuthType APIKey
    Require user nobody
    ProxyPass "${LIVE}/denied"
</Location>
<Location "/nested">
    AuthType APIKey
    Require apikey-scope tasks:read
    ProxyPass "${LIVE}/nested"
</Location>
<Location "/nested/deeper">
    Require apikey-scope projects:read
</Location>
<Location "/document">
    AuthType APIKey
    ErrorDocument 403 "/refused.txt"
    Require apikey-scope tasks:read
</Location>
<Location "/refused.txt">
    Require all granted
</Location>
<Location "/page">
    AuthType APIKey
    APIKeyProblemJSON Off
    Require apikey-scope tasks:read
</Location>
"""


@pytest.fixture(scope="module")
def site(start_stack):
    made = start_stack(SITE)
    (made.dir / "htdocs" / "refused.txt").write_text("The site's own words.\n")
    return made


def key(stack, permissions="tasks:read", **fields):
    return stack.make_key(permissions, **fields)["key"]


def expect_403(answer, code, scope=None):
    assert (answer.status, answer.code) == (403, code), answer
    challenge = answer.header("WWW-Authenticate")
    if code == "insufficient_scope":
        assert challenge.startswith('Bearer realm="') and 'error="insufficient_scope"' in challenge
        assert f'scope="{scope}"' in challenge
    else:
        assert challenge is None


def test_scope(site):
    assert site.get("/scope", key(site)).status == 200
    expect_403(site.get("/scope", key(site, "projects:read")), "insufficient_scope", "tasks:read")
    assert site.get("/scope", key(site, "tasks:*")).status == 200
    assert site.get("/scope", key(site, "admin:*")).status == 200


def test_one_of_several_scopes(site):
    assert site.get("/either", key(site, "tasks:read")).status == 200
    assert site.get("/either", key(site, "projects:read")).status == 200
    answer = site.get("/either", key(site, "users:read"))
    expect_403(answer, "insufficient_scope", "tasks:read projects:read")


def test_all_of_several_scopes(site):
    assert site.get("/both", key(site, "tasks:read projects:read")).status == 200
    expect_403(site.get("/both", key(site, "tasks:read")), "insufficient_scope", "projects:read")
    expect_403(site.get("/both", key(site, "projects:read")), "insufficient_scope", "tasks:read")


def test_any_of_several_rules(site):
    assert site.get("/any", key(site, "projects:write")).status == 200
    assert site.get("/any", key(site, environment="test")).status == 200
    answer = site.get("/any", key(site))
    assert answer.status == 403
    assert answer.code in ("insufficient_scope", "environment_mismatch")


def test_none_of_the_rules(site):
    assert site.get("/none", key(site)).status == 200
    assert site.get("/none", key(site, environment="test")).status == 403


@pytest.mark.parametrize("path, right, wrong", [("/live", "live", "test"), ("/test", "test", "live")])
def test_environment(site, path, right, wrong):
    assert site.get(path, key(site, environment=right)).status == 200
    expect_403(site.get(path, key(site, environment=wrong)), "environment_mismatch")


def test_plan(site):
    for plan, status in (("enterprise", 200), ("professional", 200), ("free", 403)):
        answer = site.get("/plan", key(site, account_id=site.make_account(plan)))
        assert answer.status == status
        if status == 403:
            expect_403(answer, "plan_required")


def test_the_sites_own_refusal(site):
    expect_403(site.get("/denied", key(site)), "forbidden")


def test_a_deeper_folder_has_its_own_rule(site):
    assert site.get("/nested", key(site, "tasks:read")).status == 200
    expect_403(site.get("/nested/deeper", key(site, "tasks:read")), "insufficient_scope", "projects:read")
    assert site.get("/nested/deeper/still", key(site, "projects:read")).status == 200


@pytest.mark.parametrize("method, scope", [
    ("GET", "read"), ("HEAD", "read"), ("POST", "write"), ("PUT", "write"), ("PATCH", "write"), ("DELETE", "delete")])
def test_resource_by_method(stack, method, scope):
    for held in ("read", "write", "delete"):
        answer = stack.request(method, "/v1/tasks/7", key(stack, f"tasks:{held}"))
        if held == scope:
            assert answer.status in (200, 201)
        else:
            assert answer.status == 403
            assert f'scope="tasks:{scope}"' in answer.header("WWW-Authenticate")


def test_unheard_of_methods_need_more_than_any_scope(stack):
    for method in ("PROPFIND", "FOO", "LOCK"):
        answer = stack.request(method, "/v1/tasks", key(stack, "tasks:read tasks:write tasks:delete"))
        assert answer.status in (403, 405, 501), (method, answer)


def test_encoded_and_doubled_paths_meet_the_same_rule(stack):
    reader = key(stack, "users:read")
    for path in ("/v1/%74asks", "//v1//tasks", "/v1/./tasks", "/v1/x/../tasks", "/v1/tasks/", "/v1/tasks?x=1"):
        assert stack.get(path, reader).status == 403, path
        assert stack.get(path, address="203.0.113.60").status == 401, path


def test_allowed_ips(stack):
    bound = key(stack, allowed_ips=["203.0.113.0/24", "2001:db8::/32"])
    assert stack.get("/v1/tasks", bound, address="203.0.113.77").status == 200
    assert stack.get("/v1/tasks", bound, address="2001:db8::7").status == 200
    expect_403(stack.get("/v1/tasks", bound, address="203.0.114.1"), "ip_not_allowed")
    expect_403(stack.get("/v1/tasks", bound), "ip_not_allowed")


def test_a_long_list_of_allowed_ips(stack):
    bound = key(stack, allowed_ips=[f"198.18.{number}.0/24" for number in range(20)])
    assert stack.get("/v1/tasks", bound, address="198.18.19.5").status == 200
    expect_403(stack.get("/v1/tasks", bound, address="198.18.20.5"), "ip_not_allowed")


def test_the_body_of_a_refusal(stack):
    answer = stack.request("DELETE", "/v1/tasks/1", key(stack))
    body = json.loads(answer.body.decode("utf-8"))
    assert {"type": "about:blank", "title": "Forbidden", "status": 403, "code": "insufficient_scope"}.items() \
        <= body.items()
    assert body["message"] and body["detail"]
    assert int(answer.header("Content-Length")) == len(answer.body)


def test_a_refused_head_has_no_body(stack):
    answer, = stack.raw(f"HEAD /v1/users HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                        f"Authorization: Bearer {key(stack)}\r\n\r\n".encode())
    assert (answer.status, answer.body) == (403, b"")


def test_an_error_document_is_honoured(site):
    answer = site.get("/document", key(site, "users:read"))
    assert answer.status == 403
    assert answer.body == b"The site's own words.\n"
    assert 'error="insufficient_scope"' in answer.header("WWW-Authenticate")


def test_httpds_own_page_where_problem_json_is_off(site):
    answer = site.get("/page", key(site, "users:read"))
    assert answer.status == 403
    assert answer.header("Content-Type").startswith("text/html")
    assert b"problem" not in answer.body and b"Forbidden" in answer.body
    assert 'error="insufficient_scope"' in answer.header("WWW-Authenticate")
