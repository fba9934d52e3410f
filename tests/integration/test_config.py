"""A wrong setting is refused at start, with a line that says what to write instead."""
import pytest

WRONG = [
    # directive, words that httpd's message must hold
    ('APIKeyPrefix SK!', ["APIKeyPrefix"]),
    ('APIKeyPrefix ""', ["APIKeyPrefix"]),
    ('APIKeyPrefix averyverylongprefixindeed', ["APIKeyPrefix"]),
    ('APIKeyPepperFile /nonexistent/pepper', ["/nonexistent/pepper"]),
    ('APIKeyPepperFile /dev/null', ["pepper"]),
    ('APIKeyTable "${RUN_DIR}/other.table" 7', ["256"]),
    ('APIKeyTable "${RUN_DIR}/other.table" many', ["APIKeyTable"]),
    ('APIKeyTable /nonexistent/folder/x.table 1024', ["/nonexistent/folder"]),
    ('APIKeyRateStore redis', ["shm", "memcached"]),
    ('APIKeyRateStore memcached', ["APIKeyMemcached"]),
    ('APIKeyMemcached nonsense:port:x\nAPIKeyRateStore memcached\n', ["APIKeyMemcached"]),
    ('APIKeyEventLog /nonexistent/events', ["/nonexistent/events"]),
    ('APIKeyRevocationBound soon', ["APIKeyRevocationBound"]),
    ('APIKeyRevocationBound 0', ["APIKeyRevocationBound"]),
    ('APIKeyOnStoreFailure maybe', ["stale=", "deny"]),
    ('APIKeyOnStoreFailure stale=x', ["stale="]),
    ('APIKeyManageLimit -1', ["APIKeyManageLimit"]),
    ('APIKeyManageLimit x', ["APIKeyManageLimit"]),
    ('APIKeyDatabase mysql x', ["sqlite3", "pgsql"]),
    ('APIKeyDatabase sqlite3', ["APIKeyDatabase"]),
    ('APIKeyDatabase sqlite3 /nonexistent/folder/x.db', ["/nonexistent/folder/x.db"]),
    ('APIKeyDatabase sqlite3 "${RUN_DIR}/htdocs/empty.db"', ["apikeyctl"]),
    ('APIKeyDatabase sqlite3 "${RUN_DIR}/httpd.conf"', ["database"]),
    ('APIKeyRateLimit Maybe', ["On", "Off"]),
    ('APIKeyRateHeaders all', ["legacy", "ietf", "both", "none"]),
    ('APIKeyForward name', ["id", "account", "scopes", "environment", "plan"]),
    ('APIKeyStripCredentials perhaps', ["On", "Off"]),
    ('APIKeyAcceptImported perhaps', ["On", "Off"]),
    ('APIKeyProblemJSON perhaps', ["On", "Off"]),
    ('APIKeyFailureLimit many', ["APIKeyFailureLimit"]),
    ('APIKeyFailureLimit 10/0', ["APIKeyFailureLimit"]),
    ('APIKeyPreflight maybe', ["pass", "check"]),
    ('APIKeyHeader "bad header"', ["APIKeyHeader"]),
    ('<Location "/x">\nAuthType APIKey\nRequire apikey-scope tasks:fly\n</Location>', ["tasks:fly"]),
    ('<Location "/x">\nAuthType APIKey\nRequire apikey-scope\n</Location>', ["apikey-scope"]),
    ('<Location "/x">\nAuthType APIKey\nRequire apikey-scope Tasks!\n</Location>', ["resource:action"]),
    ('<Location "/x">\nAuthType APIKey\nRequire apikey-resource "a b!"\n</Location>', ["apikey-resource"]),
    ('<Location "/x">\nAuthType APIKey\nRequire apikey-env prod\n</Location>', ["live", "test"]),
    ('<Location "/x">\nAuthType APIKey\nRequire apikey-plan gold\n</Location>', ["free", "professional", "enterprise"]),
]


def config_test(stack, directives):
    """apache2 -t on the shipped configuration with some directives added at its end."""
    (stack.dir / "htdocs" / "wrong.conf").write_text(directives + "\n")
    return stack.httpd_command("-t", "-c", f"Include \"{stack.dir}/htdocs/wrong.conf\"")


def test_the_shipped_configuration_is_right(stack):
    done = config_test(stack, "# nothing")
    assert (done.returncode, done.stderr.strip()) == (0, "Syntax OK")


@pytest.mark.parametrize("directives, words", WRONG, ids=[directives.split("\n")[-2 if "\n" in directives else 0]
                                                          for directives, _ in WRONG])
def test_wrong_directives(stack, directives, words):
    (stack.dir / "htdocs" / "empty.db").touch()
    done = config_test(stack, directives)
    assert done.returncode != 0
    for word in words:
        assert word in done.stderr, done.stderr
    assert not (stack.dir / "other.table").exists()


def test_no_secret_is_told(stack):
    pepper = (stack.dir / "pepper").read_text().strip()
    done = config_test(stack, f'APIKeyPepperFile "{stack.dir}/pepper"\nAPIKeyPrefix SK!')
    assert done.returncode != 0 and pepper not in done.stderr


def test_auditd_checks_its_configuration(stack, tmp_path):
    done = stack.as_service(stack.auditd, "-n", "-c", stack.dir / "apikey.conf")
    assert done.returncode == 0, done.stderr
    wrong = stack.dir / "htdocs" / "wrong-apikey.conf"
    right = (stack.dir / "apikey.conf").read_text()
    for text, word in ((right + "nonsense 1\n", "nonsense"), (right + "database sqlite3 x\n", "already"),
                       (right.replace("sqlite3", "mysql"), "sqlite3")):
        wrong.write_text(text)
        done = stack.as_service(stack.auditd, "-n", "-c", wrong)
        assert done.returncode != 0 and word in done.stderr, done.stderr
        assert "wrong-apikey.conf" in done.stderr
    assert stack.as_service(stack.auditd, "-n", "-c", "/nonexistent.conf").returncode != 0
