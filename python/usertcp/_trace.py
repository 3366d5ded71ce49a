"""Where an event trace is written to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Protocol


class HasDescriptor(Protocol):
    """An open file, pipe or socket."""

    def fileno(self) -> int: ...


TraceTarget = str | os.PathLike[str] | int | HasDescriptor
"""A path, a descriptor, or an object that has one."""


@contextlib.contextmanager
def lent(target: TraceTarget | None) -> Iterator[int | None]:
    """The descriptor of a target, for a call that makes a duplicate of it; a file that is named is made anew."""
    match target:
        case None:
            yield None
        case int():
            yield target
        case str() | os.PathLike():
            fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            try:
                yield fd
            finally:
                os.close(fd)
        case _:
            yield target.fileno()
