"""One module of CPython's tests in this process, with module `socket` making sockets of a stack.

    python child.py MODULE RESULTS LEFT_OUT DONE ONLY PART

The tests are those of the `test` package that is installed with this Python. RESULTS gets a line of JSON when a test
begins and another when it has ended, so that whoever reads it knows which one hung. LEFT_OUT is a file of patterns,
one a line, of tests that are not to be run, DONE one of tests that have been run already, ONLY the pattern of those
that are, PART "1/3" the second third of the module's classes.
"""

from __future__ import annotations

import asyncio
import faulthandler
import fnmatch
import functools
import http.server
import importlib
import json
import os
import socket
import socketserver
import ssl
import sys
import time
import traceback
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import usertcp

LIMIT = 60.0
"""Seconds after which a test hangs: the process ends, with every thread's stack on stderr."""

FIRST = (asyncio, http.server, socketserver, ssl)
"""What programs have imported before they patch anything: `ssl` derives a class from `socket.socket`."""


class Uses:
    """How often a stack was asked for a socket or the addresses of a host."""

    def __init__(self, stack: usertcp.Stack) -> None:
        self.count = 0
        for name in ("socket", "getaddrinfo"):
            setattr(stack, name, self._counted(getattr(stack, name)))

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def counted(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            return call(*arguments, **options)

        return counted


class Result(unittest.TestResult):
    """Writes what becomes of each test, and how often it used the stack."""

    def __init__(self, uses: Uses, output: TextIO) -> None:
        super().__init__()
        self.uses, self.output = uses, output
        self.outcome, self.text, self.before, self.began = "passed", "", 0, 0.0

    def write(self, **record: Any) -> None:
        self.output.write(json.dumps(record) + "\n")
        self.output.flush()

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.outcome, self.text, self.before = "passed", "", self.uses.count
        self.began = time.monotonic()
        faulthandler.dump_traceback_later(LIMIT, exit=True)
        self.write(test=name_of(test), began=True)

    def stopTest(self, test: unittest.TestCase) -> None:
        faulthandler.cancel_dump_traceback_later()
        ours, took = self.uses.count > self.before, time.monotonic() - self.began
        self.write(test=name_of(test), outcome=self.outcome, ours=ours, text=self.text, took=round(took, 3))
        super().stopTest(test)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self.outcome, self.text = "skipped", reason

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        self.outcome, self.text = "skipped", "CPython's own are expected to fail"

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self._failed("passes where CPython's own are expected to fail")

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._failed("".join(traceback.format_exception(*err)))

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        self.addFailure(test, err)
        if not isinstance(test, unittest.TestCase):  # of setUpClass and its like, outside of any test
            self.write(test=str(test), outcome="failed", ours=True, text=self.text)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        if err is not None:
            self._failed("".join(traceback.format_exception(*err)))

    def _failed(self, text: str) -> None:
        self.outcome = "failed"
        self.text += text


def name_of(test: unittest.TestCase) -> str:
    """A test's id without the name of the package."""
    return test.id().removeprefix("test.")


def tests_of(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """The tests in all suites of a suite."""
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from tests_of(each)
        else:
            yield each


def open_stack() -> usertcp.Stack:
    """A stack that talks to itself: over its loopback, where CPython's tests have their hosts, and its own addresses.
    Nobody is at the other end of its link.
    """
    link, _other = ENDS
    return usertcp.Stack(fd=link, addresses=["192.0.2.1/24", "2001:db8::1/64"])


ENDS = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def main(module: str, results: str, left_out: str, done: str, only: str, part: str) -> None:
    """Runs the tests of a module but for those that are left out."""
    patterns = Path(left_out).read_text().split()
    over = set(Path(done).read_text().split())
    this, parts = map(int, part.split("/"))
    stack = open_stack()
    uses = Uses(stack)
    with open(results, "a") as output, stack.patch():
        result = Result(uses, output)
        loaded = importlib.import_module(f"test.{module}")
        found = list(tests_of(unittest.TestLoader().loadTestsFromModule(loaded)))
        result.write(names=[name_of(test) for test in found if fnmatch.fnmatchcase(name_of(test), only)])
        classes = list(dict.fromkeys(map(type, found)))
        chosen = [
            test
            for test in found
            if classes.index(type(test)) % parts == this
            and fnmatch.fnmatchcase(name_of(test), only)
            and name_of(test) not in over
            and not any(fnmatch.fnmatchcase(name_of(test), pattern) for pattern in patterns)
        ]
        unittest.TestSuite(chosen).run(result)
        result.write(end=True)
    sys.stdout.flush()
    sys.stderr.flush()
    # A failed test may have left a thread behind that would never end.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
