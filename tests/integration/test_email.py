"""Alerts as mail, to a real SMTP server with STARTTLS and authentication"""
import email
import email.policy
import json
import signal
import ssl
import subprocess
import threading
import time

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from auditd import NOW, Auditd, event
from stack import free_port, wait

USER, PASSWORD = "alerts", "Open Sesame!"


class Mailbox:
    """What a server took: envelopes; answers: what DATA is answered with in turn, the last one for good."""

    def __init__(self, *answers):
        self.answers, self.taken, self.lock = list(answers) or ["250 OK"], [], threading.Lock()
        self.logins = []

    async def handle_DATA(self, server, session, envelope):
        with self.lock:
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            self.taken.append((answer, session.ssl is not None, envelope))
        return answer

    def authenticate(self, server, session, envelope, mechanism, data):
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        self.logins.append(good)
        return AuthResult(success=good, handled=False)

    def mails(self):
        """(recipients, message) of each that was taken with 250."""
        with self.lock:
            return [(envelope.rcpt_tos, email.message_from_bytes(envelope.content, policy=email.policy.default))
                    for answer, _, envelope in self.taken if answer.startswith("250")]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
    return folder


@pytest.fixture
def serve(certificate):
    """serve(mailbox, **options): a running server; its port."""
    mine = []

    def made(mailbox, *, port=None, tls=True, auth=False):
        context = None
        if tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        server = Controller(mailbox, hostname="127.0.0.1", port=port or free_port(), tls_context=context,
                            require_starttls=tls, auth_required=auth,
                            authenticator=mailbox.authenticate if auth else None)
        server.start()
        mine.append(server)
        return server.port

    yield made
    for server in mine:
        server.stop()


@pytest.fixture
def make(certificate, tmp_path):
    """make(port, **settings): a running auditd that mails to localhost:port."""
    mine = []

    def made(port, start=True, **settings):
        defaults = {"email_server": f"smtp://localhost:{port}", "email_from": "apikey@example.com",
                    "email_to": "security@example.com", "email_ca_file": certificate / "cert.pem",
                    "new_ip_learning_seconds": 0}
        wanted = {name: value for name, value in {**defaults, **settings}.items() if value is not None}
        mine.append(Auditd(**wanted))
        return mine[-1].start() if start else mine[-1]

    yield made
    for one in mine:
        one.remove()


@pytest.fixture
def password_file(tmp_path):
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    return path


def raise_alert(auditd, first=1, key="key_one"):
    before = {alert["id"] for alert in auditd.alerts()}
    auditd.post([event(first, time=NOW - 100, key=key), event(first + 1, key=key, address=f"203.0.{first}.9")])
    alert, = (alert for alert in auditd.alerts() if alert["id"] not in before)
    return alert


def emptied(auditd, seconds=60):
    wait(lambda: auditd.sql("SELECT * FROM outbox") == [], seconds, what="the outbox to be empty")


def text_of(message, kind="plain"):
    return message.get_body((kind,)).get_content()


# --- the message ----------------------------------------------------------------------------------------


def test_a_mail_over_starttls_with_a_login(make, serve, password_file):
    mailbox = Mailbox()
    auditd = make(serve(mailbox, auth=True), email_user=USER, email_password_file=password_file)
    auditd.add_key("key_one", name="Production App")
    alert = raise_alert(auditd)
    emptied(auditd)
    (_, encrypted, envelope), = mailbox.taken
    assert encrypted and mailbox.logins == [True]
    assert envelope.mail_from == "apikey@example.com" and envelope.rcpt_tos == ["security@example.com"]
    (_, message), = mailbox.mails()
    assert message["From"].addresses[0].addr_spec == "apikey@example.com"
    assert message["To"] == "<security@example.com>" or message["To"].addresses[0].addr_spec == "security@example.com"
    assert message["Subject"] == f"[warning] new_ip: {alert['subject']}"
    assert message["Message-ID"] == f"<{alert['id']}@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert abs(message["Date"].datetime.timestamp() - time.time()) < 300
    assert message.get_content_type() == "multipart/alternative" and not message.defects
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    for kind in ("plain", "html"):
        words = text_of(message, kind)
        for wanted in (alert["id"], "new_ip", "warning", "key_one", "acct_default", "203.0.1.0/24", "203.0.1.9"):
            assert wanted in words, (kind, wanted)
    assert text_of(message).startswith(alert["message"])
    assert max(map(len, envelope.content.split(b"\r\n"))) < 200
    assert PASSWORD not in auditd.log()


def test_to_the_account_s_contact(make, serve):
    """The contact of the moment, the account's own alerts only, and nothing where there is none."""
    mailbox = Mailbox()
    auditd = make(serve(mailbox), email_to=None)
    auditd.sql("INSERT INTO accounts (id, name, plan, contact, created_at) VALUES"
               " ('acct_other', 'Other', 'free', 'other@example.org', 0)")
    raise_alert(auditd)
    assert auditd.sql("SELECT * FROM outbox") == []
    auditd.sql("UPDATE accounts SET contact = 'ops@example.org' WHERE id = 'acct_default'")
    alert = raise_alert(auditd, 3, key="key_two")
    emptied(auditd)
    (to, message), = mailbox.mails()
    assert to == ["ops@example.org"] and message["Message-ID"] == f"<{alert['id']}@example.com>"


def test_both_or_only_the_global_address(make, serve):
    for accounts, wanted in (("on", {"ops@example.org", "security@example.com"}), ("off", {"security@example.com"})):
        mailbox = Mailbox()
        auditd = make(serve(mailbox), email_accounts=accounts)
        auditd.sql("UPDATE accounts SET contact = 'ops@example.org'")
        raise_alert(auditd)
        emptied(auditd)
        assert {address for to, _ in mailbox.mails() for address in to} == wanted


# --- strangers' words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x\r\nBcc: victim@example.net\r\n\r\nHello", "x\n.\nMAIL FROM:<a@b>", "<script>alert(1)</script>",
                                  "=?UTF-8?Q?x?=", "Schlüssel 🗝️ ключ", "\"quoted\" & <b>", ".", "x" * 1000])
def test_names_stay_words(make, serve, name):
    mailbox = Mailbox()
    auditd = make(serve(mailbox))
    auditd.add_key("key_one", name=name)
    raise_alert(auditd)
    emptied(auditd)
    (_, _, envelope), = mailbox.taken
    assert envelope.rcpt_tos == ["security@example.com"]
    (_, message), = mailbox.mails()
    assert message["Bcc"] is None and not message.defects
    assert set(message.keys()) == {"Date", "From", "To", "Subject", "Message-ID", "Auto-Submitted", "MIME-Version",
                                   "Content-Type", "X-Peer", "X-MailFrom", "X-RcptTo"} & set(message.keys())
    assert "<script" not in text_of(message, "html") and "<b>" not in text_of(message, "html")
    assert name.split("\r\n")[0].split("\n")[0] in text_of(message)


def test_a_subject_from_strangers_is_encoded(make, serve):
    """Even a subject that no detector makes, straight in the outbox."""
    mailbox = Mailbox()
    auditd = make(serve(mailbox))
    body = {"id": "alert_x", "kind": "new_ip\r\nBcc: victim@example.net", "severity": "warning", "message": "m",
            "subject": "ключ \r\nX-Evil: yes " + "ё" * 200, "last_seen": "2026-01-01T00:00:00Z"}
    auditd.sql("INSERT INTO outbox (sink, alert_id, body, next_at, created_at) VALUES ('email', 'alert_x', ?, 0, ?)",
               json.dumps(body), int(time.time()))
    emptied(auditd)
    (_, message), = mailbox.mails()
    assert message["Bcc"] is None and message["X-Evil"] is None
    assert message["Subject"].startswith("[warning] new_ip  Bcc: victim@example.net: ключ   X-Evil: yes ё")


@pytest.mark.parametrize("contact", ["a@example.org\r\nRCPT TO:<victim@example.net>", "a@example.org>,<b@example.org",
                                     "a b@example.org", "ключ@example.org", "nobody", "@", "a@", "@b", "a@b@c",
                                     "-oQ@example.org"])
def test_a_contact_that_is_no_address(make, serve, contact):
    mailbox = Mailbox()
    auditd = make(serve(mailbox))
    auditd.sql("UPDATE accounts SET contact = ?", contact)
    raise_alert(auditd)
    emptied(auditd)
    assert [to for to, _ in mailbox.mails()] == [["security@example.com"]]
    assert "no mail address" in auditd.log() and contact not in auditd.log()
    assert auditd.metric("notes_dropped_total") == 1


# --- servers that fail ---------------------------------------------------------------------------------------


def due_now(auditd, condition):
    def due():
        auditd.sql("UPDATE outbox SET next_at = 0 WHERE attempts > 0")
        return condition()
    wait(due, 60, what="another attempt")


def test_451_and_550_are_tried_again(make, serve):
    mailbox = Mailbox("451 Try again later", "550 Not now", "250 OK")
    auditd = make(serve(mailbox))
    alert = raise_alert(auditd)
    wait(lambda: auditd.sql("SELECT attempts FROM outbox") == [(1,)], 30, what="the first attempt")
    due_now(auditd, lambda: len(mailbox.taken) == 3)
    emptied(auditd)
    (_, message), = mailbox.mails()
    assert message["Message-ID"] == f"<{alert['id']}@example.com>"
    assert auditd.log().count("will be tried again") == 1


def test_a_server_that_comes_up_later(make, serve):
    port, mailbox = free_port(), Mailbox()
    auditd = make(port)
    raise_alert(auditd)
    wait(lambda: auditd.sql("SELECT attempts FROM outbox") == [(1,)], 30, what="the first attempt")
    serve(mailbox, port=port)
    due_now(auditd, mailbox.mails)
    emptied(auditd)
    assert len(mailbox.mails()) == 1


def test_killed_between_commit_and_delivery(make, serve):
    port, mailbox = free_port(), Mailbox()
    auditd = make(port)
    alert = raise_alert(auditd)
    auditd.stop(signal.SIGKILL)
    assert len(auditd.sql("SELECT * FROM outbox")) == 1
    serve(mailbox, port=port)
    auditd.sql("UPDATE outbox SET next_at = 0")
    auditd.start()
    emptied(auditd)
    assert {message["Message-ID"] for _, message in mailbox.mails()} == {f"<{alert['id']}@example.com>"}


def test_a_server_without_starttls_gets_nothing(make, serve, password_file):
    mailbox = Mailbox()
    auditd = make(serve(mailbox, tls=False), email_user=USER, email_password_file=password_file)
    raise_alert(auditd)
    wait(lambda: auditd.sql("SELECT attempts FROM outbox") == [(1,)], 30, what="the first attempt")
    assert mailbox.taken == [] and mailbox.logins == []


def test_a_certificate_that_nobody_vouches_for(make, serve):
    mailbox = Mailbox()
    auditd = make(serve(mailbox), email_ca_file=None)
    raise_alert(auditd)
    wait(lambda: auditd.sql("SELECT attempts FROM outbox") == [(1,)], 30, what="the first attempt")
    assert mailbox.taken == [] and "certificate" in auditd.log()


def test_a_wrong_password(make, serve, password_file):
    password_file.write_text("Close Sesame!\n")
    mailbox = Mailbox()
    auditd = make(serve(mailbox, auth=True), email_user=USER, email_password_file=password_file)
    raise_alert(auditd)
    wait(lambda: auditd.sql("SELECT attempts FROM outbox") == [(1,)], 30, what="the first attempt")
    assert mailbox.taken == [] and False in mailbox.logins and "Sesame" not in auditd.log()


def test_a_relay_without_tls_where_that_is_asked_for(make, serve):
    mailbox = Mailbox()
    auditd = make(serve(mailbox, tls=False), email_tls="off", email_ca_file=None)
    raise_alert(auditd)
    emptied(auditd)
    assert len(mailbox.mails()) == 1


# --- settings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong, words", [
    ({"email_server": "mail.example.com"}, "email_server: is no mail server"),
    ({"email_server": "http://mail.example.com"}, "email_server: is no mail server"),
    ({"email_server": "smtp://user:word@mail.example.com"}, "email_server: is no mail server"),
    ({"email_server": "smtp://"}, "email_server: is no mail server"),
    ({"email_from": None}, "email_from: must be the address"),
    ({"email_from": "a b@example.com"}, "email_from: must be the address"),
    ({"email_to": "nobody"}, "email_to: is no mail address"),
    ({"email_to": None, "email_accounts": "off"}, "email_to: is not set"),
    ({"email_accounts": "yes"}, "email_accounts must be on or off"),
    ({"email_user": "x"}, "email_user: needs email_password_file"),
    ({"email_ca_file": "/nonexistent"}, "email_ca_file: is not there"),
    ({"email_password_file": "/nonexistent"}, "email_password_file: /nonexistent cannot be read")])
def test_bad_settings_are_refused(make, wrong, words):
    done = make(25, start=False, **wrong).call("-n")
    assert done.returncode == 1 and words in done.stderr, done


def test_a_password_goes_over_tls_only(make, password_file):
    auditd = make(25, start=False, email_user=USER, email_password_file=password_file, email_tls="off")
    done = auditd.call("-n")
    assert done.returncode == 1 and "in the clear" in done.stderr
    auditd.settings["email_server"] = "smtps://mail.example.com"
    auditd.write_conf()
    assert auditd.call("-n").returncode == 0
    password_file.chmod(0o644)
    done = auditd.call("-n")
    assert done.returncode == 1 and "chmod 600" in done.stderr and PASSWORD not in done.stderr
