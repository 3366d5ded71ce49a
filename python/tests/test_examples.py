"""The examples that are tests themselves, each of their files a run of pytest."""

from __future__ import annotations

from pathlib import Path

import pytest
import usertcp.sim  # before pytest runs in pytest, and forgets what it imported

pytest_plugins = ["pytester"]

FILES = sorted((Path(__file__).parents[2] / "examples/python/testing").glob("test_*.py"))

SHOWN_BUGS = {"test_naive_client.py": 1, "test_reordering.py": 1}
"""Tests that are to fail, since they show what is wrong with the code under test."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_example_passes(pytester: pytest.Pytester, path: Path) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error")
    pytester.makepyfile(**{path.stem: path.read_text()})
    result = pytester.runpytest_inprocess("--strict-markers")
    outcomes = result.parseoutcomes()
    assert result.ret == 0, result.stdout.str()
    passed = outcomes.pop("passed", 0)
    assert passed >= 3 and outcomes == ({"xfailed": n} if (n := SHOWN_BUGS.get(path.name)) else {})


def test_there_are_examples() -> None:
    assert len(FILES) == 5
