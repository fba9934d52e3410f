"""The demo stack itself: start, run, stop, and what stands in the way."""
import os
import re
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from stack import Stack, process_state, wait


@pytest.fixture
def made():
    """A stack that is not started yet, and is gone afterwards however the test ends."""
    stack = Stack()
    yield stack
    stack.remove()


def processes_of(stack):
    """Command lines of all processes that were started for this RUN_DIR."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            environment = (folder / "environ").read_bytes() if folder.name.isdigit() else b""
            if f"RUN_DIR={stack.dir}".encode() in environment.split(b"\0") and process_state(folder.name) != "Z":
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def run_in_foreground(stack):
    process = subprocess.Popen([stack.conf("stack"), "run"], env=stack.env, text=True, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    said = ""
    while "Ctrl-C stops it." not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    return process, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_run_ends_with_all_that_it_started(made, number):
    process, said = run_in_foreground(made)
    assert f"http://127.0.0.1:{made.port}/dashboard/" in said
    assert str(made.dir / "admin.key") in said
    command = re.search(r"curl .*", said).group()
    assert '"environment": "live"' in subprocess.run(["bash", "-c", command], capture_output=True, text=True).stdout
    assert made.get("/dashboard/").status == 200
    assert len(processes_of(made)) > 5
    os.killpg(process.pid, number)
    assert process.wait(30) == 0
    assert processes_of(made) == []
    assert (made.dir / "apikey.db").exists() and (made.dir / "admin.key").exists()


def test_run_ends_when_a_part_ends(made):
    process, _ = run_in_foreground(made)
    made.kill("auditd")
    said = process.stdout.read()
    assert process.wait(30) == 1
    assert "auditd ended" in said
    assert processes_of(made) == []


def test_run_beside_a_running_stack(made):
    made.start()
    done = made.command("run")
    assert done.returncode == 0 and "already running" in done.stdout
    assert made.get("/open").status == 200


def test_start_twice_and_stop_twice(made):
    assert "The stack serves." in made.command("start").stdout
    parts = {name: made.pid(name) for name in ("auditd", "live", "sandbox", "syslog_ng", "httpd")}
    again = made.command("start")
    assert again.returncode == 0 and "already running" in again.stdout
    assert {name: made.pid(name) for name in parts} == parts
    assert made.command("status").returncode == 0
    assert "Stopped." in made.command("stop").stdout
    assert processes_of(made) == []
    assert made.command("stop").returncode == 0
    status = made.command("status")
    assert status.returncode == 1 and "does not run" in status.stdout


def test_data_stay(made):
    made.start()
    secret, key = made.admin_key, made.make_key()
    made.stop()
    made.start()
    assert made.admin_key == secret
    assert made.get("/v1/tasks", key["key"]).status == 200
    assert made.get("/v1/api-keys", secret).status == 200


def test_what_is_missing_is_started(made):
    made.start()
    httpd = made.pid("httpd")
    made.kill("syslog_ng")
    made.wait_gone("syslog_ng")
    assert made.command("status").returncode == 1
    made.start()
    assert made.command("status").returncode == 0 and made.pid("httpd") == httpd


def test_orphans_are_stopped_too(made):
    """Children of an httpd that was killed answer on; stop ends them."""
    made.start()
    children = made.children()
    made.kill("httpd")
    made.wait_gone("httpd")
    assert [pid for pid in children if process_state(pid) not in (None, "Z")]
    made.stop()
    assert processes_of(made) == []


def test_a_taken_port_is_refused(made):
    with socket.socket() as other:
        other.bind(("127.0.0.1", made.port))
        other.listen()
        done = made.command("start")
    assert done.returncode != 0
    assert f"port {made.port} is taken" in done.stdout and "PORT=" in done.stdout
    assert processes_of(made) == []


def test_a_port_that_is_taken_by_another_stack(stack, made):
    made.env["PORT"] = str(stack.port)
    done = made.command("start")
    assert done.returncode != 0 and "is taken" in done.stdout
    assert stack.get("/open").status == 200


def test_two_stacks_know_nothing_of_each_other(stack, made):
    made.start()
    mine, theirs = made.make_key(), stack.make_key()
    assert made.get("/v1/tasks", mine["key"]).status == 200
    assert made.get("/v1/tasks", theirs["key"], address="192.0.2.81").code == "unknown_key"
    assert stack.get("/v1/tasks", mine["key"], address="192.0.2.81").code == "unknown_key"
    made.stop()
    assert stack.get("/v1/tasks", theirs["key"]).status == 200


def test_nobody_elses_process_is_signalled(made):
    """A number in pids/ that was given to another process meanwhile means nothing."""
    made.start()
    made.stop()
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        (made.dir / "pids" / "auditd").write_text(f"{other.pid} 1\n")
        assert "does not run" in made.command("status").stdout
        made.stop()
        assert other.poll() is None
        other.kill()


def test_a_broken_part_is_told_and_nothing_is_left(made):
    made.site("NoSuchDirective On\n")
    done = made.command("start")
    assert done.returncode != 0
    assert "httpd does not serve" in done.stdout and "NoSuchDirective" in done.stdout
    assert processes_of(made) == []


def test_secrets_are_for_their_owner_only(made):
    made.start()
    for name in ("admin.key", "pepper", "ingest.token", "apikey.db", "apikey.table", "syslog-ng.conf"):
        assert stat.S_IMODE((made.dir / name).stat().st_mode) == 0o600, name
    assert (made.dir / "admin.key").stat().st_uid == os.getuid()
    secrets = [(made.dir / name).read_text().strip() for name in ("admin.key", "pepper", "ingest.token")]
    everything = "".join(line for line in processes_of(made))
    assert not [secret for secret in secrets if secret in everything or secret in made.last_words(1000)]


def test_nothing_runs_as_root(made):
    made.start()
    for part in ("auditd", "live", "sandbox", "syslog_ng", "httpd"):
        assert os.stat(f"/proc/{made.pid(part)}").st_uid != 0, part


def test_a_folder_that_others_may_not_enter(made):
    """As under /root: what runs as another user must still reach it."""
    made.dir.parent.chmod(0o700)
    made.start()
    assert made.get("/v1/tasks", made.make_key()["key"]).status == 200


@pytest.mark.parametrize("name, value, words", [
    ("RATE_STORE", "redis", "shm or memcached"), ("DB", "mysql", "sqlite3 or pgsql"),
    ("MPM", "itk", "event or worker or prefork"), ("PORT", "http", "a number from 1 to 65535"),
    ("PORT", "0", "a number from 1 to 65535"), ("RUN_DIR", "/tmp/" + "x" * 120, "shorter"),
    ("RUN_DIR", "/tmp/a\"b", "without quotes"), ("BUILD", "/nonexistent", "make build")])
def test_settings_are_checked(made, name, value, words):
    right = dict(made.env)
    made.env[name] = value
    done = made.command("start")
    made.env = right
    assert done.returncode != 0 and words in done.stdout and "Traceback" not in done.stdout


def test_make_help_names_every_target():
    makefile = (Path(__file__).resolve().parents[2] / "Makefile").read_text()
    done = subprocess.run(["make", "help"], cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True)
    assert done.returncode == 0
    for target in ("run", "start", "stop", "check", "deps", "clean-run", "lint", "asan", "install", "build"):
        assert re.search(rf"^  make {target} ", done.stdout, re.M), target
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_make_install(tmp_path):
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(["make", "install", f"DESTDIR={tmp_path}"], cwd=root, capture_output=True, text=True,
                          env={key: value for key, value in os.environ.items() if key != "MAKEFLAGS"})
    assert done.returncode == 0, done.stderr
    for name in ("usr/lib/apache2/modules/mod_apikey.so", "usr/bin/apikeyctl", "usr/sbin/apikey-auditd",
                 "etc/apache2/mods-available/apikey.load"):
        assert (tmp_path / name).is_file(), name
    wait(lambda: subprocess.run([tmp_path / "usr/bin/apikeyctl", "version"], capture_output=True).returncode == 0)
