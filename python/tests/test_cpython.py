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


def test_the_table_is_compared_with_the_one_that_is_shown(
    runner: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = runner.SHOWN.read_text()
    pythons = {python for python, _ in runner.columns(shown)}
    assert pythons and runner.columns(shown).keys() == {
        (python, module) for python in pythons for module in (*runner.MODULES, "all")
    }
    files = []
    for python in (*sorted(pythons), "3.99.0"):
        shares = {
            module: tuple(map(int, cell.split(" / ")))
            for (of, module), cell in runner.columns(shown).items()
            if of == python
        }
        files.append(tmp_path / f"{python}.json")
        files[-1].write_text(json.dumps({"python": python, "shares": shares}))
    monkeypatch.setattr(sys, "argv", ["run.py", "--table", *map(str, files)])
    assert runner.main() == 0, "the one of which nothing is shown does not count"
    files[0].write_text(files[0].read_text().replace("[1, 1]", "[0, 1]", 1))
    assert runner.main() == 1
    assert "0 / 1 here, 1 / 1 in the table" in capsys.readouterr().err
