"""The examples of the guide, the README and docstrings, as they stand there: tests are run by pytest, others as programs."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

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


def examples(*pages: Path) -> list[Example]:
    """All blocks of pages."""
    found = []
    for page in pages:
        text = page.read_text()
        for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            found.append(Example(page.name, text.count("\n", 0, match.start()) + 2, match[1]))
    return found


EXAMPLES = examples(*PAGES)


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


# The README of the whole, and docstrings

BEFORE = """
import contextlib, functools, http.server, json, select, sys, threading, urllib.request
import usertcp.sim

Handler = http.server.SimpleHTTPRequestHandler

def serve():
    with http.server.HTTPServer(("", 80), Handler) as web:
        web.handle_request()

def network():
    net = usertcp.sim.Network(seed=1)
    client, server = net.host("client"), net.host("server")
    return net, client, server, net.link(client, server)
"""

WEB = "threading.Thread(target=http.server.HTTPServer(('', 80), Handler).handle_request).start()\n"
TWO = "net, client, server, link = network()\n"

AROUND = {
    "README 1": "usertcp.Stack = functools.partial(usertcp.Stack, host_addresses=['192.0.2.1/24'])\n"
    "sys.argv.append('192.0.2.1')\n" + WEB,
    "README 2": "",
    "usertcp": WEB,
    "PollSet": TWO + "server = server.create_server(('', 7))\nwith contextlib.suppress(usertcp.sim.Deadlock):\n",
    "poll": TWO + "a, b = (server.create_server(('', port)) for port in (7, 8))\n",
    "Stack.patch": TWO + "stack = server\nnet.spawn(serve, host=client)\n",
    "Stack.trace": TWO + "stack = server\n",
    "Stack.sockets": TWO + "stack = server\n",
    "usertcp.sim": "",
    "Host.patch": TWO,
    "Link.set": TWO,
    "Network": "",
    "Network.partition": "net, a, b, _ = network()\nc = net.host()\n",
}
"""What the examples of the README and of docstrings leave out."""


def documented() -> Iterator[tuple[str, str]]:
    """The indented blocks of docstrings, each with the name of what has it."""
    for module in (usertcp, usertcp.sim):
        things: dict[str, Any] = {module.__name__: module, **{name: getattr(module, name) for name in module.__all__}}
        classes = [(name, thing) for name, thing in things.items() if isinstance(thing, type)]
        own = ((name, each, value) for name, thing in classes for each, value in vars(thing).items())
        things |= {f"{name}.{each}": value for name, each, value in own if not each.startswith("_")}
        for name, thing in things.items():
            for match in re.finditer(r"\n\n((?: {4}.*\n|\n)+)", (inspect.getdoc(thing) or "") + "\n"):
                yield name, textwrap.dedent(match[1])


DOCUMENTED = [(f"README {number}", each.code) for number, each in enumerate(examples(ROOT / "README.md"), 1)]
DOCUMENTED += documented()


@pytest.mark.parametrize(("name", "code"), DOCUMENTED, ids=[name for name, _ in DOCUMENTED])
def test_an_example_of_the_readme_or_a_docstring_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], granted: None, name: str, code: str
) -> None:
    monkeypatch.chdir(tmp_path)
    around = BEFORE + AROUND[name]
    path = tmp_path / "example.py"
    path.write_text(around + textwrap.indent(code, " " * 4 if around.endswith(":\n") else ""))
    command: list[str | Path] = [sys.executable, "-W", "error", "-W", "ignore:unclosed:ResourceWarning", path]
    with usertcp.Sandbox() as sandbox, sandbox.spawn(command) as child:
        status, errors = child.wait(DEADLINE), capfd.readouterr().err
    assert (status, "Exception ignored" in errors) == (0, False), errors


def test_every_docstring_is_looked_at() -> None:
    assert {name for name, _ in DOCUMENTED} == AROUND.keys()
