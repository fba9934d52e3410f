"""Guards of the dashboard: modules stay small, text stays text, and every outcome has words."""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "dashboard"
MODULES = sorted((DASHBOARD / "js").rglob("*.js"))
TESTS = sorted((ROOT / "tests/browser").glob("*.mjs"))
FILE_LINES = 350
LINE_WIDTH = 120

# What makes markup or a program of text, or a style that the policy would refuse.
UNSAFE = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|localStorage|"
                    r"setAttribute\(\"style\"|DOMParser|createContextualFragment|srcdoc")


def name(path):
    return str(path.relative_to(ROOT))


def test_modules_are_small_and_say_what_they_are():
    assert len(MODULES) > 25 and len(TESTS) > 8, (len(MODULES), len(TESTS))
    bad = [name(path) for path in MODULES + TESTS
           if path.read_text().count("\n") > FILE_LINES
           or not path.read_text().startswith(f"// {path.name.split('.')[0]} - ")
           or any(len(line) > LINE_WIDTH or line != line.rstrip() for line in path.read_text().split("\n"))]
    assert not bad


def test_text_stays_text():
    assert len(MODULES) > 25
    code = {name(path): re.sub(r"//[^\n]*", "", path.read_text()) for path in MODULES}
    assert not {file: found for file, text in code.items() if (found := UNSAFE.findall(text))}


def test_nothing_is_inline_and_nothing_comes_from_elsewhere():
    files = [DASHBOARD / "index.html", *DASHBOARD.glob("*.css"), *MODULES]
    assert len(files) > 28
    page = (DASHBOARD / "index.html").read_text()
    assert page.count("<script") == 1 and "<style" not in page and not re.search(r"\s(on\w+|style)=", page)
    for path in files:
        addresses = re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+[^\s\"'`)]*", re.sub(r"^\s*//.*", "", path.read_text(), flags=re.M))
        assert not [one for one in addresses if "www.w3.org" not in one], name(path)


def test_every_alert_and_refusal_has_words():
    kinds = {path.stem.removeprefix("detect_") for path in (ROOT / "auditd").glob("detect_*.c")}
    codes = set(re.findall(r'\{AK_\w+, (?:401|403|429|503), "(\w+)"', (ROOT / "core/ak_problem.c").read_text()))
    assert len(kinds) > 8 and len(codes) > 10, (kinds, codes)
    has = lambda file: set(re.findall(r"(\w+): \"", (DASHBOARD / "js" / file).read_text()))
    assert not kinds - has("alerts-view.js")
    assert not codes - has("usage-view.js")


def test_the_lock_file_names_no_registry():
    text = (ROOT / "tests/browser/package-lock.json").read_text()
    assert text.count('"integrity"') >= 2
    assert "://" not in text
