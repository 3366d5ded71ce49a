"""How CPython's own tests are judged; `cpython/run.py` runs them."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "cpython"


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    """The program, as a module."""
    spec = importlib.util.spec_from_file_location("cpython_run", FOLDER / "run.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def records(**outcomes: str) -> list[dict[str, Any]]:
    """What a child writes of tests that used the stack; "elsewhere" is one that did not."""
    ended = [
        {
            "test": test,
            "outcome": "passed" if outcome == "elsewhere" else outcome,
            "ours": outcome != "elsewhere",
            "text": "",
        }
        for test, outcome in outcomes.items()
        if outcome != "not run"
    ]
    return [{"names": list(outcomes)}, *ended, {"end": True}]


def test_outcomes_are_compared_with_the_list(runner: ModuleType) -> None:
    listed = runner.Entry(patterns=("bad*",), why="so", run=True, either=False, since=(3, 11))
    either = runner.Entry(patterns=("either*",), why="so", run=True, either=True, since=(3, 11))
    found = records(
        good="passed",
        other="failed",
        bad="failed",
        bad_no_more="passed",
        either="passed",
        either_too="failed",
        own="skipped",
        unix="elsewhere",
        left="not run",
    )
    share = runner.judge(found, [listed, either])
    assert share.passed == ["good"]
    assert [test for test, _ in share.failed] == ["bad_no_more", "other"]
    assert share.expected == ["bad", "either", "either_too"]
    assert [test for test, _ in share.skipped] == ["own"]
    assert (share.others, share.not_run) == (["unix"], ["left"])
    assert share.applicable == 6


def test_every_entry_of_the_list_has_a_reason_and_tests_of_a_module(runner: ModuleType) -> None:
    entries = runner.left_out()
    assert entries
    for entry in entries:
        assert entry.why and entry.patterns
        for pattern in entry.patterns:
            assert pattern.startswith(("test_asyncio.", *(f"{module}." for module in runner.MODULES)))


def test_the_table(runner: ModuleType, tmp_path: Path) -> None:
    files = []
    for number, (passed, applicable) in enumerate([(1, 2), (3, 3)]):
        files.append(tmp_path / f"{number}.json")
        shares = {"test_socket": (passed, applicable), "all": (passed, applicable)}
        files[-1].write_text(json.dumps({"python": f"3.1{number}", "shares": shares}))
    lines = runner.table(files).splitlines()
    assert lines[0] == "| module | 3.10 | 3.11 |"
    assert lines[2] == "| test_socket | 1 / 2 | 3 / 3 |"
    assert lines[3].endswith("| - | - |")
    assert lines[-1] == "| all | 1 / 2 | 3 / 3 |"
