"""Guards of the house style: simple mistakes that a script can see.

Each guard says how many items it looked at: one that sees nothing must not pass.
"""
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
C_FOLDERS = ("core", "mod_apikey", "auditd", "auditd/nab", "apikeyctl", "tests/unit")
FUNCTION_LINES = 100
FILE_LINES = 800
LINE_WIDTH = 120
BANNED = ("strcpy", "strcat", "sprintf", "vsprintf", "gets", "system", "popen", "strtok", "alloca",
          "tmpnam", "mktemp", "atoi", "atol", "atoll", "rand", "srand", "strncpy", "exit")
MAY_EXIT = ("auditd/main.c", "apikeyctl/main.c", "tests/unit/main.c")


def sources(*suffixes, folders=C_FOLDERS):
    return sorted(path for folder in folders for path in (ROOT / folder).glob("*")
                  if path.suffix in suffixes)


def name(path):
    return str(path.relative_to(ROOT))


def functions(text):
    """(first line, number of lines) of each function: a brace alone in column one to its mate."""
    lines = text.split("\n")
    begun = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            begun = number
        elif line == "}" and begun:
            yield begun, number - begun + 1
            begun = None


def code_only(text):
    """The text with comments and string literals blanked out, line by line."""
    blank = lambda match: re.sub(r"[^\n]", " ", match.group())
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def test_functions_are_short():
    seen, long = 0, []
    for path in sources(".c", ".h"):
        for begun, lines in functions(path.read_text()):
            seen += 1
            if lines > FUNCTION_LINES:
                long.append(f"{name(path)}:{begun}: {lines} lines")
    assert seen > 100, f"only {seen} functions seen"
    assert not long


def test_files_are_short():
    files = sources(".c", ".h") + sources(".py", folders=("tests/integration", "tests/guards"))
    long = [f"{name(path)}: {lines} lines" for path in files
            if (lines := path.read_text().count("\n")) > FILE_LINES]
    assert len(files) > 30, f"only {len(files)} files seen"
    assert not long


def test_sources_say_what_they_are():
    files = sources(".c", ".h")
    mute = [name(path) for path in files
            if not path.read_text().startswith((f"/* {path.name} - ", f"/* {path.stem} - "))]
    assert len(files) > 30, f"only {len(files)} files seen"
    assert not mute, "the first line is: /* NAME - purpose"


def test_lines_are_plain():
    files = sources(".c", ".h")
    bad = [f"{name(path)}:{number}" for path in files
           for number, line in enumerate(path.read_text().split("\n"), 1)
           if len(line) > LINE_WIDTH or "\t" in line or line != line.rstrip()]
    assert len(files) > 30, f"only {len(files)} files seen"
    assert not bad, f"over {LINE_WIDTH} characters, a tab, or blanks at the end"


def test_core_knows_no_server():
    httpd_headers = {path.name for path in Path("/usr/include/apache2").glob("*.h")}
    assert len(httpd_headers) > 50
    includes = [(name(path), header) for path in sources(".c", ".h", folders=("core", "auditd", "apikeyctl"))
                for header in re.findall(r'#\s*include\s*[<"]([^>"]+)', path.read_text())]
    assert len(includes) > 50, f"only {len(includes)} includes seen"
    assert not [pair for pair in includes if pair[1].split("/")[-1] in httpd_headers]


def test_no_banned_calls():
    call = re.compile(r"(?<![A-Za-z0-9_>.])(" + "|".join(BANNED) + r")\s*\(")
    calls, bad = 0, []
    for path in sources(".c", ".h"):
        for number, line in enumerate(code_only(path.read_text()).split("\n"), 1):
            calls += line.count("(")
            bad += [f"{name(path)}:{number}: {found}" for found in call.findall(line)
                    if not (found == "exit" and name(path) in MAY_EXIT)]
    assert calls > 1000, f"only {calls} calls seen"
    assert not bad


def test_sql_stands_in_its_folder():
    """A statement has one name and stands in sql/; code holds none in pieces."""
    statement = re.compile(r'"\s*(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|CREATE\s+TABLE)\b')
    files = sources(".c", ".h", folders=("core", "mod_apikey", "auditd", "apikeyctl"))
    assert len(files) > 30, f"only {len(files)} files seen"
    assert not [f"{name(path)}: {found}" for path in files for found in statement.findall(path.read_text())]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_compiles_without_warnings(compiler, tmp_path):
    """Every object from nothing, with the flags of the product (-Werror among them)."""
    done = subprocess.run(["make", "-j2", f"CC={compiler}", f"BUILD={tmp_path}", "build",
                           f"{tmp_path}/unit", f"{tmp_path}/nab-detector"],
                          cwd=ROOT, capture_output=True, text=True,
                          env={key: value for key, value in os.environ.items() if key != "MAKEFLAGS"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" -c ") > 30
    assert "warning:" not in done.stderr


def test_cppcheck_is_content():
    files = sources(".c")
    assert len(files) > 20, f"only {len(files)} files seen"
    done = subprocess.run(["cppcheck", "--quiet", "--std=c11", "--enable=warning,portability", "--inline-suppr",
                           "--suppress=missingInclude", "--suppress=unknownMacro", "--error-exitcode=1",
                           "-Icore", "-Imod_apikey", *map(str, files)],
                          cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def scripts(interpreter):
    """Files of ours whose first line names an interpreter."""
    files = [path for folder in (".ci", "conf", "packaging", "sql", "tests") for path in (ROOT / folder).rglob("*")
             if path.is_file() and "node_modules" not in path.parts]
    return [path for path in files if re.match(interpreter, path.read_bytes()[:32])]


def test_shell_scripts_are_clean():
    found = scripts(rb"#!/bin/(ba)?sh\b")
    assert len(found) >= 3, found
    done = subprocess.run(["shellcheck", *found], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_python_compiles():
    found = scripts(rb"#!/usr/bin/python3\b") + list((ROOT / "tests").rglob("*.py"))
    assert len(found) >= 5, found
    for path in found:
        compile(path.read_text(), path, "exec")
