"""Alerts as signed webhooks: of the whole installation and of accounts, to receivers good and bad"""
import base64
import secrets
import signal
import time

import pytest

from auditd import NOW, Auditd, event
from receiver import Receiver
from stack import wait


def new_secret():
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


@pytest.fixture
def receive():
    """receive(**answers): a running receiver."""
    mine = []

    def made(**answers):
        mine.append(Receiver(**answers))
        return mine[-1]

    yield made
    for one in mine:
        one.close()


@pytest.fixture
def make(tmp_path):
    """make(url, *secrets, **settings): a running auditd; url is the global webhook's, or None."""
    mine = []

    def made(url=None, *signing, start=True, **settings):
        if url:
            file = tmp_path / f"webhook.secret.{len(mine)}"
            file.write_text("".join(secret + "\n" for secret in signing))
            file.chmod(0o600)
            settings = {"webhook": url, "webhook_secret_file": file, **settings}
        mine.append(Auditd(**{"new_ip_learning_seconds": 0, "webhook_private_addresses": "on", **settings}))
        return mine[-1].start() if start else mine[-1]

    yield made
    for one in mine:
        one.remove()


def add_hook(auditd, number, url, *, account="acct_default", secret=None, old=None, until=None):
    auditd.sql("INSERT INTO webhooks (id, account_id, url, secret, old_secret, old_secret_until, created_at,"
               " created_by) VALUES (?, ?, ?, ?, ?, ?, 0, 'test')",
               f"hook_{number:020}", account, url, secret or new_secret(), old, until)
    return f"hook_{number:020}"


def raise_alert(auditd, first=1, key="key_one", **fields):
    """A key is used from a second network: its alert."""
    before = {alert["id"] for alert in auditd.alerts()}
    auditd.post([event(first, time=NOW - 100, key=key, **fields),
                 event(first + 1, key=key, address=f"203.0.{first}.9", **fields)])
    alert, = (alert for alert in auditd.alerts() if alert["id"] not in before)
    return alert


def emptied(auditd, seconds=30):
    wait(lambda: auditd.sql("SELECT * FROM outbox") == [], seconds, what="the outbox to be empty")


def deliveries(auditd, hook):
    return auditd.sql("SELECT alert_id, attempt, outcome, http_status, next_at IS NOT NULL FROM webhook_deliveries"
                      " WHERE webhook_id = ? ORDER BY seq", hook)


def come_due(auditd, path_count):
    """Bring what waits for a retry forward until so many attempts have come."""
    def due():
        auditd.sql("UPDATE outbox SET next_at = 0 WHERE attempts > 0")
        return path_count()
    wait(due, 60, what="another attempt")


# --- the message -------------------------------------------------------------------------------------


def test_a_signed_alert(make, receive):
    receiver, secret = receive(), new_secret()
    auditd = make(receiver.url(), secret)
    auditd.add_key("key_one")
    alert = raise_alert(auditd)
    emptied(auditd)
    delivery, = receiver.got()
    assert delivery.id == alert["id"]
    assert delivery.signed_by(secret) and not delivery.signed_by(new_secret())
    assert len(delivery.signatures) == 1
    assert abs(delivery.timestamp - time.time()) < 300
    assert delivery.headers["Content-Type"] == "application/json"
    assert delivery.headers["User-Agent"].startswith("apikey-auditd/")
    body = delivery.json()
    assert set(body) == {"type", "timestamp", "data"} and body["type"] == "alert.new_ip"
    assert body["timestamp"] == body["data"]["last_seen"]
    for name in ("id", "kind", "severity", "account_id", "key_id", "subject", "message", "details", "count"):
        assert body["data"][name] == alert[name], name


def test_each_secret_of_the_file_signs(make, receive):
    receiver, fresh, old = receive(), new_secret(), new_secret()
    auditd = make(receiver.url(), fresh, old)
    raise_alert(auditd)
    emptied(auditd)
    delivery, = receiver.got()
    assert len(delivery.signatures) == 2 and delivery.signed_by(fresh) and delivery.signed_by(old)


def test_an_account_s_own_webhooks(make, receive):
    """Each active webhook of the alert's account gets it, signed with its own secret; nobody else's does."""
    receiver, mine, other = receive(), new_secret(), new_secret()
    auditd = make()
    auditd.sql("INSERT INTO accounts (id, name, plan, created_at) VALUES ('acct_other', 'Other', 'free', 0)")
    hook = add_hook(auditd, 1, receiver.url("one"), secret=mine)
    add_hook(auditd, 2, receiver.url("two"), secret=other)
    add_hook(auditd, 3, receiver.url("foreign"), account="acct_other")
    auditd.sql("UPDATE webhooks SET status = 'disabled' WHERE id = ?",
               add_hook(auditd, 4, receiver.url("disabled")))
    alert = raise_alert(auditd)
    emptied(auditd)
    one, = receiver.got("one")
    two, = receiver.got("two")
    assert one.id == two.id == alert["id"]
    assert one.signed_by(mine) and not one.signed_by(other)
    assert two.signed_by(other) and not two.signed_by(mine)
    assert receiver.got("foreign") == receiver.got("disabled") == []
    assert deliveries(auditd, hook) == [(alert["id"], 1, "delivered", 200, 0)]


def test_the_old_secret_signs_until_its_time(make, receive):
    receiver, fresh, old = receive(), new_secret(), new_secret()
    auditd = make()
    add_hook(auditd, 1, receiver.url("within"), secret=fresh, old=old, until=int(time.time()) + 3600)
    add_hook(auditd, 2, receiver.url("past"), secret=fresh, old=old, until=int(time.time()) - 1)
    raise_alert(auditd)
    emptied(auditd)
    within, = receiver.got("within")
    past, = receiver.got("past")
    assert within.signed_by(fresh) and within.signed_by(old)
    assert past.signed_by(fresh) and not past.signed_by(old)


# --- receivers that fail -----------------------------------------------------------------------------------


def test_500_is_tried_again_with_the_same_id(make, receive):
    receiver, secret = receive(hook=[500, 503, 200]), new_secret()
    auditd = make()
    hook = add_hook(auditd, 1, receiver.url("hook"), secret=secret)
    alert = raise_alert(auditd)
    wait(lambda: deliveries(auditd, hook) == [(alert["id"], 1, "failed", 500, 1)], what="the first attempt")
    due, = auditd.sql("SELECT next_at - at FROM webhook_deliveries")
    assert 4 <= due[0] <= 6
    come_due(auditd, lambda: len(receiver.got("hook")) == 3)
    emptied(auditd)
    assert {delivery.id for delivery in receiver.got("hook")} == {alert["id"]}
    assert all(delivery.signed_by(secret) for delivery in receiver.got("hook"))
    assert len({delivery.body for delivery in receiver.got("hook")}) == 1
    assert deliveries(auditd, hook) == [(alert["id"], 1, "failed", 500, 1), (alert["id"], 2, "failed", 503, 1),
                                        (alert["id"], 3, "delivered", 200, 0)]


def test_a_failing_receiver_is_held_and_then_gets_all(make, receive):
    """What waits behind a failure is not tried each by each; the first success brings all of it."""
    receiver = receive(hook=[500, 500, 200])
    auditd = make()
    hook = add_hook(auditd, 1, receiver.url("hook"))
    wanted = {raise_alert(auditd)["id"]}
    wait(lambda: len(deliveries(auditd, hook)) == 1, what="the first attempt")
    wanted.add(raise_alert(auditd, 3, key="key_two")["id"])
    wait(lambda: len(deliveries(auditd, hook)) == 2, what="the attempt of a fresh alert")
    auditd.sql("UPDATE outbox SET next_at = next_at + 100000")
    wanted.add(raise_alert(auditd, 5, key="key_three")["id"])
    emptied(auditd)
    assert {delivery.id for delivery in receiver.got("hook")} == wanted


def test_410_disables(make, receive):
    receiver = receive(hook=[410])
    auditd = make()
    hook = add_hook(auditd, 1, receiver.url("hook"))
    alert = raise_alert(auditd)
    emptied(auditd)
    assert auditd.sql("SELECT status FROM webhooks") == [("disabled",)]
    assert deliveries(auditd, hook) == [(alert["id"], 1, "disabled", 410, 0)]
    assert auditd.sql("SELECT actor, account_id, action, target FROM audit_log") == [
        ("auditd", "acct_default", "webhook.disable", hook)]
    raise_alert(auditd, 3, key="key_two")
    assert auditd.sql("SELECT * FROM outbox") == [] and len(receiver.got("hook")) == 1


def test_410_of_the_global_one_disables_it_until_the_settings_are_read_anew(make, receive):
    receiver = receive(hook=[410, 200])
    auditd = make(receiver.url("hook"), new_secret())
    raise_alert(auditd)
    emptied(auditd)
    raise_alert(auditd, 3, key="key_two")
    emptied(auditd)
    assert len(receiver.got("hook")) == 1 and "it answered that it is gone" in auditd.log()
    auditd.process.send_signal(signal.SIGHUP)
    wait(lambda: "was read anew" in auditd.log(), what="the configuration to be read")
    alert = raise_alert(auditd, 5, key="key_three")
    emptied(auditd)
    assert receiver.got("hook")[-1].id == alert["id"]


@pytest.mark.parametrize("status", [301, 307])
def test_redirects_are_not_followed(make, receive, status):
    receiver = receive(hook=[status])
    auditd = make()
    hook = add_hook(auditd, 1, receiver.url("hook"))
    alert = raise_alert(auditd)
    wait(lambda: deliveries(auditd, hook) == [(alert["id"], 1, "failed", status, 1)], what="the attempt")
    assert receiver.got("elsewhere") == []
    (error,), = auditd.sql("SELECT error FROM webhook_deliveries")
    assert "redirect" in error


def test_a_hanging_receiver_delays_nobody(make, receive, tmp_path):
    """Ingest, other sinks and other webhooks go on while receivers hang; the attempt ends by itself."""
    receiver = receive(**{f"hang{i}": ["hang"] for i in range(4)})
    auditd = make(alerts_file=tmp_path / "alerts.json")
    hanging = [add_hook(auditd, i + 1, receiver.url(f"hang{i}")) for i in range(4)]
    good = add_hook(auditd, 9, receiver.url("good"))
    alerts = [raise_alert(auditd, 2 * i + 1, key=f"key_{i}")["id"] for i in range(3)]
    wait(lambda: [delivery.id for delivery in receiver.got("good")] == alerts, what="the good receiver to have all")
    wait(lambda: (tmp_path / "alerts.json").read_text().count("\n") == 3, what="the file to have all")
    wait(lambda: deliveries(auditd, good) == [(alert, 1, "delivered", 200, 0) for alert in alerts], what="the log")
    assert all(deliveries(auditd, hook) == [] for hook in hanging)
    wait(lambda: all(deliveries(auditd, hook) for hook in hanging), 60, what="the attempts to end")
    assert all(deliveries(auditd, hook)[0] == (alerts[0], 1, "failed", None, 1) for hook in hanging)


def test_given_up_after_three_days(make, receive):
    receiver = receive(hook=[500])
    auditd = make()
    hook = add_hook(auditd, 1, receiver.url("hook"))
    alert = raise_alert(auditd)
    wait(lambda: deliveries(auditd, hook), what="the first attempt")
    auditd.sql("UPDATE outbox SET created_at = created_at - 3 * 86400, next_at = 0")
    emptied(auditd)
    assert deliveries(auditd, hook)[-1] == (alert["id"], 2, "given_up", 500, 0)
    assert auditd.metric("notes_dropped_total") == 1


def test_a_webhook_that_is_deleted_while_an_alert_waits(make, receive):
    receiver = receive(hook=[500])
    auditd = make()
    hook = add_hook(auditd, 1, receiver.url("hook"))
    raise_alert(auditd)
    wait(lambda: deliveries(auditd, hook), what="the first attempt")
    auditd.sql("DELETE FROM webhooks")
    auditd.sql("UPDATE outbox SET next_at = 0")
    emptied(auditd)
    assert len(receiver.got("hook")) == 1


# --- at least once -----------------------------------------------------------------------------------------


def test_killed_between_commit_and_delivery(make, receive):
    """kill -9 while a delivery is under way: it is made again, with the same id."""
    receiver = receive(hook=["hang", 200])
    auditd = make()
    add_hook(auditd, 1, receiver.url("hook"))
    alert = raise_alert(auditd)
    wait(lambda: len(receiver.got("hook")) == 1, what="the delivery to begin")
    auditd.stop(signal.SIGKILL)
    assert len(auditd.sql("SELECT * FROM outbox")) == 1
    auditd.start()
    emptied(auditd)
    assert [delivery.id for delivery in receiver.got("hook")] == [alert["id"]] * 2


def test_an_orderly_end_does_not_wait_for_a_hanging_receiver(make, receive):
    receiver = receive(hook=["hang", 200])
    auditd = make()
    add_hook(auditd, 1, receiver.url("hook"))
    alert = raise_alert(auditd)
    wait(lambda: len(receiver.got("hook")) == 1, what="the delivery to begin")
    assert auditd.stop() == 0
    assert len(auditd.sql("SELECT * FROM outbox")) == 1
    auditd.sql("UPDATE outbox SET next_at = 0")
    auditd.start()
    emptied(auditd)
    assert [delivery.id for delivery in receiver.got("hook")] == [alert["id"]] * 2


def test_a_receiver_that_comes_up_later(make, receive):
    receiver = receive()
    url = receiver.url()
    receiver.close()
    auditd = make()
    hook = add_hook(auditd, 1, url)
    alert = raise_alert(auditd)
    wait(lambda: deliveries(auditd, hook) == [(alert["id"], 1, "failed", None, 1)], what="the first attempt")
    auditd.stop()
    late = receive()
    auditd.sql("UPDATE webhooks SET url = ?", late.url())
    auditd.sql("UPDATE outbox SET next_at = 0")
    auditd.start()
    emptied(auditd)
    assert [delivery.id for delivery in late.got()] == [alert["id"]]


# --- where a webhook may lead --------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1",
                                  "2130706433"])
def test_private_addresses_are_refused(make, receive, host):
    """Whatever name or spelling leads to this machine, nothing is connected to."""
    receiver = receive()
    auditd = make(webhook_private_addresses="off")
    hook = add_hook(auditd, 1, receiver.url().replace("127.0.0.1", host))
    alert = raise_alert(auditd)
    wait(lambda: deliveries(auditd, hook) == [(alert["id"], 1, "failed", None, 1)], what="the attempt")
    (error,), = auditd.sql("SELECT error FROM webhook_deliveries")
    assert "not a public one" in error
    assert receiver.deliveries == []


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "file:///etc/passwd", "gopher://127.0.0.1:25/x", "nonsense"])
def test_only_http_is_spoken(make, url):
    """Even if something else stands in the database."""
    auditd = make()
    hook = add_hook(auditd, 1, url)
    alert = raise_alert(auditd)
    wait(lambda: deliveries(auditd, hook) == [(alert["id"], 1, "failed", None, 1)], what="the attempt")


def test_proxies_of_the_environment_are_not_used(make, receive, monkeypatch):
    receiver, proxy = receive(), receive()
    monkeypatch.setenv("http_proxy", proxy.url())
    auditd = make(receiver.url(), new_secret())
    raise_alert(auditd)
    emptied(auditd)
    assert len(receiver.got()) == 1 and proxy.deliveries == []


# --- settings ------------------------------------------------------------------------------------------------


GOOD = new_secret()


@pytest.mark.parametrize("url, signing, words", [
    ("ftp://example.com/", GOOD, "webhook: Must begin with https:// or http://."),
    ("https://user:word@example.com/", GOOD, "webhook: Must hold no user name"),
    ("https://example.com/", "", "webhook_secret_file: holds no secret"),
    ("https://example.com/", "Sesame", "webhook_secret_file: must hold secrets"),
    ("https://example.com/", "whsec_c2hvcnQ=", "webhook_secret_file: must hold secrets"),
    ("https://example.com/", "whsec_" + "A" * 31 + "!", "webhook_secret_file: must hold secrets"),
    ("https://example.com/", "\n".join([GOOD] * 5), "webhook_secret_file: holds more than 4")])
def test_bad_settings_are_refused_with_their_line(make, url, signing, words):
    done = make(url, signing, start=False).call("-n")
    assert done.returncode == 1
    assert words in done.stderr and "apikey.conf:" in done.stderr
    assert "Sesame" not in done.stderr and GOOD not in done.stderr


def test_a_secret_that_everybody_can_read_is_refused(make):
    auditd = make("https://example.com/", GOOD, start=False)
    auditd.settings["webhook_secret_file"].chmod(0o644)
    done = auditd.call("-n")
    assert done.returncode == 1 and "chmod 600" in done.stderr
    auditd.settings["webhook_secret_file"].chmod(0o600)
    assert auditd.call("-n").returncode == 0
    del auditd.settings["webhook_secret_file"]
    auditd.write_conf()
    done = auditd.call("-n")
    assert done.returncode == 1 and "needs webhook_secret_file" in done.stderr
