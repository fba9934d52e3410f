"""stack - a real stack of the product for tests: the shipped scripts and configuration

A Stack is started by conf/stack in a folder of its own, on a port of its own.  What a
test wants beyond the shipped configuration goes into RUN_DIR/conf.d/test.conf.
"""
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BUILD", ROOT / "build")).absolute()
SANITIZE = os.environ.get("SANITIZE", "")

# What a crash leaves in a log, httpd's or a sanitizer's.
CRASH = re.compile(r"exit signal|AddressSanitizer|runtime error:|ThreadSanitizer|assert|stack smashing"
                   r"|core dumped|Segmentation|double free|corrupt(?:ed|ion) (?:size|heap|double)")


class Answer:
    """What came back: status, all header fields in order, the body's bytes."""

    def __init__(self, status, fields, body):
        self.status = status
        self.fields = fields
        self.body = body

    def header(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def all(self, name):
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The stable code of a problem."""
        assert self.header("Content-Type") == "application/problem+json", (self.status, self.fields, self.body)
        return self.json()["code"]

    def seen_by_backend(self, name):
        """Values of a request header that reached the demo backend, - and _ taken as the same."""
        wanted = name.lower().replace("_", "-")
        return [value for field, value in self.json()["headers"] if field.lower().replace("_", "-") == wanted]

    def __repr__(self):
        return f"<{self.status} {self.fields} {self.body[:300]!r}>"


def wait(condition, seconds=15, what="it"):
    """The first true value of condition(), asked again and again for at most so long."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)
    return value


def process_state(pid):
    """R, S, Z and so on; None: there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


def free_port():
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port := 20000 + secrets.randbelow(12000)))
                return port
            except OSError:
                pass


def parse_answers(data):
    """Every HTTP/1.1 answer in a stream of bytes that ended."""
    answers = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
        answer = Answer(int(lines[0].split()[1]), fields, b"")
        length = answer.header("Content-Length")
        size = len(data) if length is None else int(length)
        answer.body, data = data[:size], data[size:]
        answers.append(answer)
    return answers


class Stack:
    def __init__(self, site="", *, mpm="event", rate_store="shm", db=None):
        self.dir = Path(tempfile.mkdtemp(prefix="apikey-", dir="/tmp")) / "run"
        self.dir.parent.chmod(0o755)
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.env = dict(os.environ, RUN_DIR=str(self.dir), PORT=str(self.port), BUILD=str(BUILD), MPM=mpm,
                        RATE_STORE=rate_store, SANITIZE=SANITIZE, DB=db or os.environ.get("DB", "sqlite3"))
        self.site(site)
        self.read_so_far = {}

    # --- life ---

    def command(self, name):
        return subprocess.run([self.conf("stack"), name], env=self.env, text=True, cwd=ROOT,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def start(self):
        done = self.command("start")
        assert done.returncode == 0, done.stdout
        return self

    def stop(self):
        done = self.command("stop")
        assert done.returncode == 0, done.stdout

    def remove(self):
        self.stop()
        shutil.rmtree(self.dir.parent)

    def site(self, text):
        """Set the directives that this test adds to the shipped configuration."""
        (self.dir / "conf.d").mkdir(parents=True, exist_ok=True)
        (self.dir / "conf.d" / "test.conf").write_text(text)

    def configure(self, text):
        """Other directives for the running stack."""
        self.site(text)
        self.restart()

    def pid(self, part):
        return int((self.dir / "pids" / part).read_text().split()[0])

    def kill(self, part, number=signal.SIGKILL):
        os.kill(self.pid(part), number)

    def wait_gone(self, part):
        """Until a part that was told to end has ended."""
        pid = self.pid(part)
        wait(lambda: process_state(pid) in (None, "Z"), what=f"{part} to end")

    def kill_child(self, pid=None):
        """kill -9 a process of httpd's."""
        pid = pid or self.children()[0]
        os.kill(pid, signal.SIGKILL)
        wait(lambda: process_state(pid) in (None, "Z"), what="the child to end")

    def children(self):
        """Pids of the httpd processes that answer."""
        parent = self.pid("httpd")
        return [int(pid) for pid in
                Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]

    def restart(self, graceful=True):
        """Restart httpd by signal; returns when the new children answer."""
        seen = self.log("error.log").count("resuming normal operations")
        before = set(self.children())
        self.kill("httpd", signal.SIGUSR1 if graceful else signal.SIGHUP)
        wait(lambda: self.log("error.log").count("resuming normal operations") > seen, what="the restart")
        wait(lambda: set(self.children()) - before, what="new children")
        wait(lambda: self.request("GET", "/readyz").status == 200, what="httpd to serve")

    # --- requests ---

    @property
    def admin_key(self):
        return (self.dir / "admin.key").read_text().strip()

    def request(self, method, path, key=None, headers=None, body=None, json=None, address=None):
        """One request on a connection of its own; json is sent as a JSON body, address is the client's."""
        fields = dict(headers or {})
        if key:
            fields.setdefault("Authorization", f"Bearer {key}")
        if address:
            fields["X-Forwarded-For"] = address
        if json is not None:
            body = dumps(json)
            fields.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body=body, headers=fields)
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()

    def get(self, path, key=None, **more):
        return self.request("GET", path, key, **more)

    def manage(self, method, path, json=None, key=None, **more):
        """A request to a management endpoint, by the administrator unless a key is given."""
        return self.request(method, path, key or self.admin_key, json=json, **more)

    def raw(self, data):
        """Send bytes as they are, close our side, and return every answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
        return parse_answers(received)

    # --- tools ---

    auditd = BUILD / "apikey-auditd"

    @staticmethod
    def conf(name):
        return str(ROOT / "conf" / name)

    def as_service(self, *command, stdin=None):
        return subprocess.run([self.conf("as-service"), *map(str, command)], env=self.env, text=True,
                              input=stdin or "", capture_output=True)

    def ctl_raw(self, *arguments, stdin=None):
        return self.as_service(BUILD / "apikeyctl", "-c", self.dir / "apikey.conf", *arguments, stdin=stdin)

    def ctl(self, *arguments, stdin=None):
        """apikeyctl's answer as JSON; it must succeed."""
        done = self.ctl_raw("--json", *arguments, stdin=stdin)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def sql(self, query):
        """Rows of a query, each a list of text."""
        if self.env["DB"] == "pgsql":
            done = self.as_service("psql", "-h", self.dir, "-d", "apikey", "-At", "-F", "\x1f", "-c", query)
        else:
            done = self.as_service("sqlite3", "-cmd", ".timeout 10000", "-separator", "\x1f",
                                   self.dir / "apikey.db", query)
        assert done.returncode == 0, done.stderr
        return [line.split("\x1f") for line in done.stdout.split("\n") if line]

    def make_account(self, plan="professional", name="Test account"):
        return self.ctl("account", "create", "--name", name, "--plan", plan)["id"]

    def make_key(self, permissions="tasks:read", **fields):
        """A new key as the administrator makes it: the whole answer, with its secret in "key"."""
        if isinstance(permissions, str):
            permissions = permissions.split()
        made = self.manage("POST", "/v1/api-keys",
                           {"name": "Test key", "permissions": permissions, **fields})
        assert made.status == 201, made
        return made.json()

    def httpd_command(self, *arguments):
        """Run httpd on this stack's configuration, as with -t to check it."""
        command = ["apache2", "-f", self.dir / "httpd.conf", *arguments]
        if SANITIZE:
            library = subprocess.check_output(["gcc", "-print-file-name=libasan.so"], text=True).strip()
            command = ["env", f"LD_PRELOAD={library}", "ASAN_OPTIONS=detect_leaks=0", *command]
        return self.as_service(*command)

    # --- logs ---

    def log(self, name):
        path = self.dir / "log" / name
        return path.read_text(errors="replace") if path.exists() else ""

    def events(self):
        """Every usage event written so far, in the order of their times."""
        lines = [line for path in sorted((self.dir / "events").glob("*.events"))
                 for line in path.read_text().splitlines()]
        return sorted(map(json.loads, lines), key=lambda event: event["time"])

    def new_trouble(self):
        """Lines that tell of a crash, of those that were logged since the last call."""
        trouble = []
        for path in sorted((self.dir / "log").glob("*")):
            text = path.read_text(errors="replace")
            fresh = text[self.read_so_far.get(path, 0):]
            self.read_so_far[path] = len(text)
            if path.name.startswith("asan"):
                trouble.append(fresh)
            else:
                trouble += [line for line in fresh.splitlines() if CRASH.search(line)]
        return [line for line in trouble if line]

    def last_words(self, lines=30):
        return "\n".join(f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
                         for path in sorted((self.dir / "log").glob("*")) if path.name != "access.log")


def dumps(value):
    return json.dumps(value).encode()
