"""docs/libraries.md says what these tests run."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest

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


class Places:
    """Where the libraries are run by the tests that pytest collects, by their marks."""

    def __init__(self) -> None:
        self.found: dict[str, set[str]] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Looks at what is to be run."""
        for item in session.items:
            for mark in item.iter_markers("library"):
                assert isinstance(item, pytest.Function)
                given = item.callspec.params
                places = {str(given[name]) for name in ("where", "own") if name in given}
                assert len(places) == 1, f"{item.nodeid} does not say where it runs"
                for name in mark.args:
                    self.found.setdefault(name, set()).update(places)


def test_where_they_run() -> None:
    places = Places()
    options = ["--collect-only", "-qq", "-p", "no:cacheprovider", str(Path(__file__).parent)]
    assert pytest.main(options, [places]) == 0
    assert table().keys() == places.found.keys()
    for name, (_, tun, simulated, what) in table().items():
        assert what
        assert (tun == "yes") == ({"tun", "tun-server"} <= places.found[name]), name
        assert (simulated == "yes") == ("sim" in places.found[name]), name
