"""Guard: docs/configuration.md and the table of settings in core/ak_conf.c say the same."""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UNITS = {"DAY": 86400}


def value(text):
    """A bound of the table: a number, DAY, or a product of them."""
    product = 1
    for factor in re.sub(r"\([a-z_0-9]+\)", "", text).split("*"):
        product *= UNITS.get(factor.strip()) or int(factor)
    return product


def settings():
    row = re.compile(r'\{"([a-z_]+)", (TYPE_\w+), (?:NULL|"([^"]*)"), ([^,]+), ([^,]+),\s*"')
    return {name: (kind, standard, least, most) for name, kind, standard, least, most
            in row.findall((ROOT / "core/ak_conf.c").read_text())}


def documented():
    """name → (default, the rest of its row)"""
    text = (ROOT / "docs/configuration.md").read_text()
    return {name: (standard, rest) for name, standard, rest
            in re.findall(r"^\| `([a-z_]+)` \| (`[^`]*`|none) \| (.*) \|$", text, re.M)}


def test_each_setting_is_documented_and_nothing_else_is():
    table, told = settings(), documented()
    assert len(table) >= 20, f"only {len(table)} settings seen"
    assert set(told) == set(table)
    for name, (kind, standard, least, most) in table.items():
        assert told[name][0] == (f"`{standard}`" if standard else "none"), name
        if kind == "TYPE_NUMBER":
            assert f"{value(least)} to {value(most)}" in told[name][1], name
