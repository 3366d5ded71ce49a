#!/usr/bin/env python3
"""CPython's own tests of sockets, run against the sockets of a stack.

    python run.py [--only PATTERN] [--verbose] [--results FILE]
    python run.py --table FILE...

The tests are those of the `test` package that is installed with the Python that runs this; nothing of it is copied.
`left_out.toml` names those that are not for a stack, with the reason, and those that a stack cannot pass. A test that
fails and is not named there is a failure; one that is named there and passes is one too, unless it says "either".
A test that never asked a stack for a socket or for a host's addresses says nothing about it and is not counted.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import fnmatch
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SHOWN = HERE.parents[2] / "docs/cpython-tests.md"
"""Has the table of several Pythons."""
MODULES = (
    "test_socket",
    "test_asyncio.test_streams",
    "test_asyncio.test_sock_lowlevel",
    "test_asyncio.test_sendfile",
    "test_asyncio.test_events",
    "test_asyncio.test_server",
    "test_asyncio.test_buffered_proto",
    "test_asyncio.test_ssl",
    "test_asyncio.test_sslproto",
)
PARTS = {"test_socket": 3}
"""In how many processes the tests of a module run side by side: most of their time they sleep."""
LEAST = 0.9
"""The share of the applicable tests that must pass, whatever the list says."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """Tests that are left out."""

    patterns: tuple[str, ...]
    why: str
    run: bool
    """Whether they are run to see that they still fail."""
    either: bool
    """Whether they may pass too: it depends on the machine."""
    since: tuple[int, ...]
    """The first version of Python that has them."""

    def names(self, test: str) -> bool:
        """Whether a test is one of them."""
        return any(fnmatch.fnmatchcase(test, pattern) for pattern in self.patterns)


@dataclasses.dataclass
class Share:
    """What became of the tests of a module."""

    passed: list[str] = dataclasses.field(default_factory=list)
    failed: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    expected: list[str] = dataclasses.field(default_factory=list)
    """They fail, and the list says why."""
    not_run: list[str] = dataclasses.field(default_factory=list)
    """The list says why."""
    skipped: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    """By themselves, with their reason."""
    others: list[str] = dataclasses.field(default_factory=list)
    """They did not use the stack."""

    @property
    def applicable(self) -> int:
        """How many say something about a stack."""
        return len(self.passed) + len(self.failed) + len(self.expected)


def left_out() -> list[Entry]:
    """The list."""
    with open(HERE / "left_out.toml", "rb") as file:
        entries = tomllib.load(file)["left_out"]
    return [
        Entry(
            patterns=tuple(each["tests"]),
            why=each["why"],
            run=each.get("run", True),
            either=each.get("either", False),
            since=tuple(map(int, each.get("since", "3.11").split("."))),
        )
        for each in entries
    ]


def run_part(module: str, part: int, entries: Iterable[Entry], folder: Path, only: str) -> list[dict[str, Any]]:
    """Runs a part of a module in processes of its own, another one after each test that hangs; the records that they
    wrote.
    """
    results, patterns, done = (folder / f"{module}.{part}.{name}" for name in ("json", "out", "done"))
    results.touch()
    patterns.write_text("\n".join(pattern for entry in entries if not entry.run for pattern in entry.patterns))
    while True:
        records = [json.loads(line) for line in results.read_text().splitlines()]
        begun = [record["test"] for record in records if record.get("began")]
        done.write_text("\n".join(begun))
        command = [
            sys.executable,
            "-X",
            "faulthandler",
            str(HERE / "child.py"),
            module,
            *map(str, (results, patterns, done)),
            only,
        ]
        command.append(f"{part}/{PARTS.get(module, 1)}")
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        after = [json.loads(line) for line in results.read_text().splitlines()]
        if after and after[-1].get("end"):
            return after
        said = (ended.stdout + ended.stderr)[-6000:]
        hung = after[-1]["test"] if after and after[-1].get("began") else None
        if hung is None:
            after.append({"test": f"{module}.(all)", "outcome": "failed", "ours": True, "text": said})
            return after
        with open(results, "a") as file:
            text = f"hung, or ended the process with {ended.returncode}:\n{said}"
            file.write(json.dumps({"test": hung, "outcome": "failed", "ours": True, "text": text}) + "\n")


def judge(records: Iterable[dict[str, Any]], entries: Iterable[Entry]) -> Share:
    """Sorts what became of the tests of a module."""
    share = Share()
    ended = {record["test"]: record for record in records if "outcome" in record}
    names = [name for record in records for name in record.get("names", ())]
    for test in sorted({*names, *ended}):
        entry = next((entry for entry in entries if entry.names(test)), None)
        record = ended.get(test)
        if record is None:
            share.not_run.append(test)
        elif record["outcome"] == "skipped":
            share.skipped.append((test, record["text"]))
        elif not record["ours"]:
            share.others.append(test)
        elif entry is None and record["outcome"] == "passed":
            share.passed.append(test)
        elif entry is None:
            share.failed.append((test, record["text"]))
        elif record["outcome"] == "failed" or entry.either:
            share.expected.append(test)
        else:
            share.failed.append((test, f"passes, and is left out because it does not: {entry.why}"))
    return share


def table(files: Iterable[Path]) -> str:
    """Results of several Pythons as a table in Markdown."""
    results = [json.loads(file.read_text()) for file in files]
    lines = [
        "| module | " + " | ".join(each["python"] for each in results) + " |",
        "|---" * (len(results) + 1) + "|",
    ]
    for module in (*MODULES, "all"):
        cells = []
        for each in results:
            passed, applicable = each["shares"].get(module, (0, 0))
            cells.append(f"{passed} / {applicable}" if applicable else "-")
        lines.append(f"| {module} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def columns(text: str) -> dict[tuple[str, str], str]:
    """The shares of the first table in a text, by Python and module."""
    lines = itertools.dropwhile(lambda line: not line.startswith("| module |"), text.splitlines())
    head, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in itertools.takewhile(lambda line: line.startswith("|"), lines)
    )
    return {(python, row[0]): cell for row in rows for python, cell in zip(head[1:], row[1:], strict=True)}


def differences(found: str, shown: str) -> list[str]:
    """Where a table differs from the one that is shown, as to the Pythons that both have."""
    here, there = columns(found), columns(shown)
    both = {python for python, _ in here} & {python for python, _ in there}
    return [
        f"{python} {module}: {here.get((python, module))} here, {there.get((python, module))} in the table"
        for python, module in sorted(here | there)
        if python in both and here.get((python, module)) != there.get((python, module))
    ]


def main() -> int:
    """Runs all modules side by side and prints the shares; 0 if all is as the list says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--only", metavar="PATTERN", help="the tests that match, such as 'test_socket.BasicTCPTest.*'"
    )
    parser.add_argument(
        "--verbose", action="store_true", help="names every test that is left out, skipped or not counted"
    )
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="where the shares are written to, for --table"
    )
    parser.add_argument(
        "--table",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="prints the shares of several Pythons; fails if docs/cpython-tests.md has others for them",
    )
    options = parser.parse_args()
    if options.table:
        found = table(options.table)
        print(found)
        different = differences(found, SHOWN.read_text())
        print("".join(f"{SHOWN.name}: {each}\n" for each in different), end="", file=sys.stderr)
        return 1 if different else 0
    version = sys.version.split()[0]
    missing = [module for module in MODULES if not installed(module)]
    if missing:
        print(
            f"CPython's tests are not installed with Python {version}: there is no test.{missing[0]}; passed over"
        )
        return 0
    entries = left_out()
    only = options.only or "*"
    shares: dict[str, Share] = {}
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(
        max(6, os.cpu_count() or 1)
    ) as pool:
        modules = [each for each in MODULES if only.startswith((f"{each}.", "*"))]
        futures = {
            module: [
                pool.submit(run_part, module, part, entries, Path(folder), only)
                for part in range(PARTS.get(module, 1))
            ]
            for module in modules
        }
        for module, parts in futures.items():
            shares[module] = judge([record for part in parts for record in part.result()], entries)
    return report(version, shares, entries if not options.only else (), options)


def installed(module: str) -> bool:
    """Whether a module of CPython's tests is there."""
    try:
        return importlib.util.find_spec(f"test.{module}") is not None
    except ImportError:
        return False


def report(
    version: str, shares: dict[str, Share], entries: Iterable[Entry], options: argparse.Namespace
) -> int:
    """Prints what came of it."""
    seen = [test for share in shares.values() for test in judged(share)]
    wrong = 0
    counts: dict[str, tuple[int, int]] = {}
    for module, share in shares.items():
        counts[module] = len(share.passed), share.applicable
        rest = f"{len(share.expected)} fail and {len(share.not_run)} are not run as left_out.toml says, "
        rest += f"{len(share.skipped)} skip themselves, {len(share.others)} do without a stack"
        print(f"{version} {module}: {len(share.passed)} of {share.applicable} passed; {rest}")
        for test, text in share.failed:
            wrong += 1
            print(f"FAILED {test}\n{text.rstrip()}", file=sys.stderr)
        if options.verbose:
            for kind, tests in (
                ("fails", share.expected),
                ("not run", share.not_run),
                ("without", share.others),
            ):
                print("".join(f"  {kind}: {test}\n" for test in tests), end="")
            print("".join(f"  skipped: {test}: {reason}\n" for test, reason in share.skipped), end="")
    for entry in entries:
        for pattern in entry.patterns if sys.version_info >= entry.since else ():
            if not fnmatch.filter(seen, pattern):
                print(f"{version}: no test is named {pattern}, which left_out.toml leaves out", file=sys.stderr)
                wrong += 1
    passed, applicable = (sum(each[at] for each in counts.values()) for at in (0, 1))
    counts["all"] = passed, applicable
    print(
        f"{version} all: {passed} of {applicable} applicable tests passed ({passed / max(applicable, 1):.1%})"
    )
    if options.results:
        options.results.write_text(json.dumps({"python": version, "shares": counts}))
    return 1 if wrong or passed < LEAST * applicable or not applicable else 0


def judged(share: Share) -> list[str]:
    """Every test that a module has."""
    pairs = [*share.failed, *share.skipped]
    return [*share.passed, *share.expected, *share.not_run, *share.others, *(test for test, _ in pairs)]


if __name__ == "__main__":
    sys.exit(main())
