"""The guide's examples, as they stand there: those with tests are run by pytest, the others as programs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import usertcp.sim  # before pytest runs in pytest, and forgets what it imported
from conftest import DEADLINE

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "docs/python.md", ROOT / "python/README.md")


SETTINGS = """[pytest]
asyncio_default_fixture_loop_scope = function
filterwarnings =
    error
    ignore:unclosed:ResourceWarning
"""
"""What is short on a page may leave sockets to their network."""


class Example(NamedTuple):
    """A block of Python of a page."""

    page: str
    line: int
    code: str


def examples() -> list[Example]:
    """All blocks of all pages."""
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            found.append(Example(page.name, text.count("\n", 0, match.start()) + 2, match[1]))
    return found


EXAMPLES = examples()


def shown(example: Example) -> str:
    """Where it is."""
    return f"{example.page}:{example.line}"


@pytest.mark.parametrize("example", EXAMPLES, ids=shown)
def test_an_example_works(pytester: pytest.Pytester, granted: None, example: Example) -> None:
    # So that errors name the line of the page.
    code = "\n" * (example.line - 1) + example.code
    if "def test_" in example.code:
        pytester.makeini(SETTINGS)
        path = pytester.makepyfile(test_example="")
        path.write_text(code)
        result = pytester.runpytest_inprocess("--usertcp-tun=require")
        outcomes = result.parseoutcomes()
        assert result.ret == 0 and set(outcomes) == {"passed"}, result.stdout.str()
        assert outcomes["passed"] >= example.code.count("def test_")
        return
    path = pytester.path / "example.py"
    path.write_text(code)
    done = subprocess.run(
        [sys.executable, "-W", "error", path], capture_output=True, text=True, timeout=3 * DEADLINE
    )
    assert (done.returncode, "Exception ignored" in done.stderr) == (0, False), done.stdout + done.stderr
    assert done.stdout or done.stderr


def test_there_are_examples_of_both_kinds() -> None:
    """Or nothing of the pages was found."""
    assert len(EXAMPLES) >= 15
    assert {"def test_" in example.code for example in EXAMPLES} == {True, False}
