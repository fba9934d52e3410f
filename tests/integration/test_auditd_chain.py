"""Segment files, the shipped syslog-ng configuration, auditd: each event once through any kill -9"""
import random
import signal
import subprocess

import pytest

from auditd import TOKEN, Auditd, event, events
from stack import ROOT, wait


class Chain:
    def __init__(self):
        self.auditd = Auditd()
        self.dir = self.auditd.dir / "run"
        for name in ("events", "log"):
            (self.dir / name).mkdir(parents=True)
        self.auditd.settings["syslog"] = f"unix:{self.dir}/alerts.sock"
        self.auditd.write_conf()
        self.auditd.start()
        text = (ROOT / "conf" / "syslog-ng.conf.in").read_text()
        for name, value in {"RUN_DIR": self.dir, "INGEST_PORT": self.auditd.port, "INGEST_TOKEN": TOKEN,
                            "SITE_SYSLOG": ""}.items():
            text = text.replace(f"@{name}@", str(value))
        (self.dir / "syslog-ng.conf").write_text(text)
        self.start()

    def start(self):
        with open(self.dir / "out", "a") as out:
            self.process = subprocess.Popen(
                ["/usr/sbin/syslog-ng", "-F", "--no-caps", "-f", self.dir / "syslog-ng.conf",
                 "-R", self.dir / "persist", "-c", self.dir / "ctl", "-p", self.dir / "pid"], stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def kill(self):
        self.process.kill()
        self.process.wait(timeout=30)

    def write(self, producer, number, lines):
        with open(self.dir / "events" / f"{producer}.{number}.events", "a") as file:
            file.write("".join(line + "\n" for line in lines))

    def counted(self):
        return sum(self.auditd.requests().values())

    def remove(self):
        self.kill()
        self.auditd.remove()


@pytest.fixture
def chain():
    made = Chain()
    yield made
    made.remove()


def test_an_event_shows_without_waiting_for_others(chain):
    wait(lambda: (chain.dir / "ctl").exists(), what="syslog-ng")
    chain.write("n1.1.a", 1, [event(1, producer="n1.1.a")])
    wait(lambda: chain.counted() == 1, what="the first event")
    chain.write("n1.1.a", 1, [event(2, producer="n1.1.a")])
    wait(lambda: chain.counted() == 2, what="the second event")


def test_alerts_come_back(chain):
    """RFC 5424 as syslog-ng reads it, also after it was away."""
    file = chain.dir / "log" / "alerts.log"
    chain.auditd.post([event(1, decision="revoked_key", status=401)])
    wait(lambda: file.exists() and file.read_text().endswith("\n"), 60, "the first alert")
    chain.kill()
    chain.auditd.post([event(2, decision="expired_key", status=401)])
    chain.start()
    wait(lambda: file.read_text().count("\n") == 2, 60, "the second alert")
    for line, alert in zip(file.read_text().splitlines(), chain.auditd.alerts()):
        assert line.split(" ", 4)[1:] == [alert["severity"], alert["kind"], alert["id"], alert["message"]]


def test_many_events_of_many_files(chain):
    for child in range(1, 5):
        name = f"n1.{child}.a"
        chain.write(name, 1, events(10000, producer=name))
        chain.write(name, 2, events(5000, first=10001, producer=name))
    wait(lambda: chain.counted() == 60000, 60, "60,000 events")
    assert chain.auditd.sql("SELECT contiguous, beyond, lost FROM producers") == [(15000, "", 0)] * 4
    assert chain.auditd.alerts() == []
    assert chain.auditd.metric("quarantined_total") == 0


def test_kill_9_of_both(chain):
    dice = random.Random(17)
    written = 0
    for _ in range(6):
        chain.write("n1.1.a", 1, events(4000, first=written + 1, producer="n1.1.a"))
        written += 4000
        enough = chain.counted() + dice.randrange(4000)
        wait(lambda goal=min(enough, written): chain.counted() >= goal, 60, "some of the events")
        if dice.random() < 0.5:
            chain.auditd.stop(signal.SIGKILL)
            chain.auditd.start()
        else:
            chain.kill()
            chain.start()
    wait(lambda: chain.counted() >= written, 60, "all events")
    assert chain.counted() == written
    assert chain.auditd.sql("SELECT contiguous, beyond, lost FROM producers") == [(written, "", 0)]
    assert chain.auditd.alerts() == []


def test_a_torn_line_and_an_outage(chain):
    chain.auditd.stop()
    whole = event(3, producer="n1.1.a")
    chain.write("n1.1.a", 1, events(2, producer="n1.1.a"))
    chain.write("n1.1.a", 1, [whole[:90] + event(4, producer="n1.1.a")])
    chain.auditd.start()
    wait(lambda: chain.counted() == 3, 30, "three events")
    assert chain.auditd.metric("quarantined_total") == 1
    assert whole[:90] in (chain.auditd.dir / "quarantine").read_text()
