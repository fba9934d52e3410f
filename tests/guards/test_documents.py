"""Guards of the documents: what the code offers is described, and nothing else is."""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENDPOINTS = (ROOT / "docs" / "endpoints.md").read_text()


def test_every_endpoint_is_described():
    source = (ROOT / "mod_apikey" / "mod_apikey_manage.c").read_text()
    routes = {f"{method} /v1/{path.replace('*', '{id}')}"
              for method, path in re.findall(r'\{"([A-Z]+)", "([a-z*/-]+)"', source)}
    assert len(routes) >= 18, routes
    table = ENDPOINTS[:ENDPOINTS.index("## What holds")]
    described = set(re.findall(r"`((?:GET|POST|PATCH|DELETE) /v1/[^`]+)`", table))
    assert routes == described


def test_every_parameter_is_described():
    source = (ROOT / "mod_apikey" / "mod_apikey_manage.c").read_text()
    seen = 0
    for path, names in re.findall(r'\{"GET", "([a-z-]+)", NULL, [^,]+, "([a-z_ ]+)"', source):
        seen += 1
        query = re.search(rf"`GET /v1/{path}\?([^`]+)`", ENDPOINTS)
        assert query, f"/v1/{path} takes {names}"
        assert {part.rstrip("=") for part in query[1].split("&")} == set(names.split()), path
    assert seen >= 5


def test_every_metric_is_described():
    source = (ROOT / "mod_apikey" / "mod_apikey_status.c").read_text()
    metrics = set(re.findall(r'"(apikey_[a-z_]+)"', source))
    assert len(metrics) >= 12, metrics
    assert metrics == set(re.findall(r"`(apikey_[a-z_]+)`", ENDPOINTS))


def test_every_code_of_a_problem_is_described():
    source = (ROOT / "core" / "ak_problem.c").read_text()
    slugs = [slug for _, slug in re.findall(r'\{AK_\w+, (\d+), "(\w+)"', source)]
    assert len(slugs) >= 25, slugs
    manage = "".join(path.read_text() for path in (ROOT / "mod_apikey").glob("mod_apikey_manage*.c"))
    used = [slug for slug in slugs if re.search(rf"\bAK_{slug.upper()}\b", manage)]
    assert len(used) >= 15, used
    missing = [slug for slug in used if slug != "internal_error" and f"`{slug}`" not in ENDPOINTS]
    assert not missing


def test_every_detector_is_described():
    """docs/auditd.md has a row or more for each, with its severity and technique."""
    row = re.compile(r'const detector_t detect_\w+ = \{\s*"(\w+)",\s*"(\w+)",\s*(?:"(T\d+)"|NULL)')
    detectors = {found for path in (ROOT / "auditd").glob("detect_*.c") for found in row.findall(path.read_text())}
    assert len(detectors) >= 12, detectors
    text = (ROOT / "docs" / "auditd.md").read_text()
    table = text[text.index("## Detectors"):text.index("## Alerts")]
    described = {(kind, severity, attack.partition(".")[0]) for kind, severity, attack
                 in re.findall(r"^\| `(\w+)` \| .* \| (\w+) \| ?(\S*) \|$", table, re.M)}
    assert detectors == described
