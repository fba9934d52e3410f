"""The README's commands, run as they stand; their answers as they are shown.

In a "console" block a line that begins with "$ " is a command, and the lines up to the
next one are what it prints; "…" stands for whatever differs from run to run.
"""
import re
import subprocess

from stack import ROOT, Stack


def examples(text):
    """(command, expected output) in order."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.M | re.S):
        for example in re.split(r"^\$ ", block, flags=re.M)[1:]:
            lines = example.rstrip("\n").split("\n")
            size = 1
            while subprocess.run(["bash", "-n", "-c", "\n".join(lines[:size])], capture_output=True).returncode:
                size += 1
            found.append(("\n".join(lines[:size]), lines[size:]))
    return found


def matches(expected, output):
    """Is output what the lines say, with … for any text, of several lines where it stands alone?"""
    pattern = ""
    for line in expected:
        if line == "…":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += ".*?".join(re.escape(part) for part in line.split("…")) + r"\n"
    return re.fullmatch(pattern, output.replace("\r\n", "\n").rstrip("\n") + "\n")


def test_readme(tmp_path):
    found = examples((ROOT / "README.md").read_text())
    assert len(found) >= 15
    stack = Stack()
    try:
        stack.start()
        (tmp_path / "run").symlink_to(stack.dir)
        script = "exec 2>&1\n"
        for number, (command, _) in enumerate(found):
            script += f"{command}\nprintf '\\n=== {number}\\n'\n"
        done = subprocess.run(["bash", "-c", script.replace(":8080", f":{stack.port}")], cwd=tmp_path,
                              stdout=subprocess.PIPE, text=True, timeout=120)
        outputs = re.split(r"\n=== \d+\n", done.stdout)
        assert len(outputs) == len(found) + 1, done.stdout
        for (command, expected), output in zip(found, outputs):
            assert not expected or matches(expected, output), (command, expected, output)
    finally:
        stack.remove()


def test_nothing_else_matches():
    assert matches(["HTTP/1.1 200 OK", "…", "X: 1"], "HTTP/1.1 200 OK\r\nA: b\r\nX: 1\r\n")
    assert matches(['{"a":"…"}'], '{"a":"b"}')
    for wrong in ("HTTP/1.1 201 OK\nX: 1\n", "HTTP/1.1 200 OK\nX: 2\n", "HTTP/1.1 200 OK\nX: 1\nmore\n"):
        assert not matches(["HTTP/1.1 200 OK", "…", "X: 1"], wrong)
