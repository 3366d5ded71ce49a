"""docs/libraries.md says what these tests run."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

from libraries.conftest import WHERE

ROOT = Path(__file__).parents[3]


def table() -> dict[str, list[str]]:
    """The rows of the table by library: version, TUN, simulated, what was exercised."""
    rows = re.findall(r"^\| ([a-z][\w.]*) +\|(.*)\|$", (ROOT / "docs/libraries.md").read_text(), re.MULTILINE)
    return {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows if name != "library"}


def test_versions_are_those_that_are_pinned_and_those_that_ran() -> None:
    project = tomllib.loads((ROOT / "python/pyproject.toml").read_text())["project"]
    pins = dict(each.split("==") for each in project["optional-dependencies"]["test"] if "==" in each)
    shown = {name: row[0] for name, row in table().items() if row[0] != "Python's"}
    assert shown == pins
    assert {name: importlib.metadata.version(name) for name in pins} == pins


def test_the_others_are_of_the_standard_library() -> None:
    for name, row in table().items():
        if row[0] == "Python's":
            assert name.split(".")[0] in sys.stdlib_module_names


def test_where_they_run() -> None:
    for name, (_, tun, simulated, what) in table().items():
        assert tun == "yes" and what
        assert simulated == ("never" if name == "uvloop" else "yes" if "sim" in WHERE else "no"), name
