"""auditd - a real apikey-auditd of a test's own: its folder, database, configuration and process"""
import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

from stack import BUILD, ROOT, free_port, wait

TOKEN = "0123456789abcdef0123456789abcdef"
NOW = time.time()


def event(seq, *, producer="n1.10.abc", time=NOW, kind="api", key="key_one", account="acct_default",
          environment="live", address="192.0.2.7", method="GET", scope="tasks:read", decision="ok", status=200):
    """One line as mod_apikey writes it."""
    return json.dumps({
        "v": 1, "producer": producer, "seq": seq, "time": int(time * 1_000_000), "class": kind, "key": key,
        "account": account if key else "", "environment": environment if key else "", "address": address,
        "method": method, "scope": scope, "decision": decision, "status": status}, separators=(",", ":"))


def events(count, first=1, **fields):
    return [event(seq, **fields) for seq in range(first, first + count)]


class Auditd:
    """auditd with a SQLite database; start() runs it, settings are lines of its configuration."""

    def __init__(self, with_database=True, **settings):
        self.dir = Path(tempfile.mkdtemp(prefix="apikey-auditd-", dir="/tmp"))
        self.db = self.dir / "apikey.db"
        self.port = free_port()
        self.process = None
        self.wrapper = []   # a command to run auditd under
        token = self.dir / "ingest.token"
        token.write_text(TOKEN + "\n")
        token.chmod(0o600)
        self.settings = {"database": f"sqlite3 {self.db}", "ingest_listen": f"127.0.0.1:{self.port}",
                         "ingest_token_file": token, "quarantine_file": self.dir / "quarantine", **settings}
        self.write_conf()
        if with_database:
            self.make_database()

    @property
    def conf(self):
        return self.dir / "apikey.conf"

    def write_conf(self, extra=""):
        self.conf.write_text("# of a test\n" + "".join(f"{name} {value}\n" for name, value in self.settings.items())
                             + extra)

    def make_database(self):
        database = sqlite3.connect(self.db, isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript((ROOT / "sql" / "sqlite3" / "0001_init.sql").read_text())
        database.execute("INSERT INTO schema_version VALUES (1, 0)")
        database.execute("INSERT OR IGNORE INTO accounts (id, name, plan, created_at)"
                         " VALUES ('acct_default', 'Default', 'free', 0)")
        database.close()

    def add_key(self, key, account="acct_default", environment="live", expires_at=None,
                created_at=int(NOW) - 45 * 86400, name="Test key",
                rotated_to=None):
        self.sql("INSERT INTO api_keys (id, digest, account_id, environment, name, prefix, last_four, permissions,"
                 " created_at, created_by, expires_at, rotated_to) VALUES (?, ?, ?, ?, ?, 'sk_live_abc...', 'wxyz',"
                 " 'tasks:read', ?, 'test', ?, ?)",
                 key, key, account, environment, name, created_at, expires_at, rotated_to)

    # --- the process ---

    def command(self, *arguments):
        return [*self.wrapper, str(BUILD / "apikey-auditd"), "-c", str(self.conf), *map(str, arguments)]

    def call(self, *arguments):
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def launch(self):
        with open(self.dir / "log", "a") as log:
            self.process = subprocess.Popen(self.command("-f"), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def start(self):
        self.launch()
        wait(self.listens, 60, what="auditd to listen")
        return self

    def listens(self):
        assert self.process.poll() is None, self.log()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self, number=signal.SIGTERM):
        """The exit status."""
        if self.process is None:
            return None
        self.process.send_signal(number)
        status = self.process.wait(timeout=30)
        self.process = None
        return status

    def remove(self):
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.dir)

    def log(self):
        path = self.dir / "log"
        return path.read_text() if path.exists() else ""

    # --- HTTP ---

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), dict(answer.getheaders())
        finally:
            connection.close()

    def post_raw(self, body, token=TOKEN):
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        return self.request("POST", "/v1/events", body, headers)

    def post(self, lines):
        """The body of a 200."""
        status, body, _ = self.post_raw("\n".join(lines) + "\n")
        assert status == 200, (status, body, self.log())
        return json.loads(body)

    def metric(self, name):
        _, text, _ = self.request("GET", "/metrics")
        line, = (line for line in text.splitlines() if line.startswith(f"apikey_auditd_{name} "))
        return float(line.split()[1])

    # --- the database ---

    def sql(self, query, *arguments):
        database = sqlite3.connect(self.db, timeout=30)
        try:
            with database:
                return database.execute(query, arguments).fetchall()
        finally:
            database.close()

    def alerts(self, kind=None):
        columns = ("id", "kind", "severity", "status", "account_id", "key_id", "subject", "message", "details", "count",
                   "first_seen", "last_seen")
        rows = self.sql(f"SELECT {', '.join(columns)} FROM alerts ORDER BY seq")
        found = [dict(zip(columns, row)) for row in rows]
        for alert in found:
            alert["details"] = json.loads(alert["details"])
        return [alert for alert in found if kind in (None, alert["kind"])]

    def requests(self, key="key_one", table="usage_hour"):
        """{decision: requests} of a key."""
        return dict(self.sql(f"SELECT decision, SUM(requests) FROM {table} WHERE key_id = ? GROUP BY decision", key))
