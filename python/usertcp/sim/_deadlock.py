"""`Deadlock`: all tasks of a network wait, and nothing is left that could happen."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import traceback
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from usertcp.sim._network import Network

_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class Deadlock(RuntimeError):
    """All tasks of a network wait without a time-out, and no packet or timer is left that could wake one.

    The main task gets it from the call that it waits in: the thread that made the network, or the oldest task if that has
    ended. Its text has the stack of every task. It is no `OSError`, so that nobody takes it for a failure of the network.
    """

    def __init__(self, text: str, stacks: dict[str, str]) -> None:
        super().__init__(text)
        self.stacks = stacks
        """The stack of each task, by the name of the task, as text."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.stacks)


def deadlock(network: Network) -> Deadlock:
    """What stands still in a network, and where."""
    stacks: dict[str, str] = {}
    frames = sys._current_frames()
    for member in network._members.values():
        _put(stacks, member.name, _written(_outwards(frames.get(member.ident))))
    for loop in network._loops:
        for task in _tasks(loop()):
            coroutine = task.get_coro()
            _put(stacks, f"{task.get_name()} (asyncio)", _written(_inwards(coroutine)))
    parts = ["every task waits, and nothing is left that could happen"]
    parts += [f"task {name!r}:\n{stack}" for name, stack in stacks.items()]
    for each in network._tasks:
        if each._error is not None:
            told = "".join(traceback.format_exception(type(each._error), each._error, _below(each._error)))
            parts.append(f"task {each.name!r} has failed:\n{told}")
    return Deadlock("\n\n".join(part.rstrip() for part in parts), stacks)


def _tasks(loop: asyncio.AbstractEventLoop | None) -> list[asyncio.Task[Any]]:
    """The tasks of a loop that are not over, in order of their names' numbers and so of their making."""
    found = asyncio.all_tasks(loop) if loop is not None and not loop.is_closed() else set()
    return sorted(found, key=lambda task: (len(task.get_name()), task.get_name()))


def _put(stacks: dict[str, str], name: str, stack: str) -> None:
    """Names that are not the only ones of their kind get numbers."""
    title, number = name, 1
    while title in stacks:
        number += 1
        title = f"{name} {number}"
    stacks[title] = stack


def _outwards(frame: FrameType | None) -> list[tuple[FrameType, int]]:
    """The frames of a thread, the outermost first, without what the interpreter and this package add at the ends."""
    frames = list(traceback.walk_stack(frame))[::-1]
    shown = [(each, line) for each, line in frames if not _is_plumbing(each)]
    return shown or frames


def _below(error: BaseException) -> TracebackType | None:
    """Where an error came from, without what this package has above a task's function."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and _is_plumbing(trace.tb_frame):
        trace = trace.tb_next
    return trace


def _is_plumbing(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    top = frame.f_globals.get("__name__", "").partition(".")[0]
    return file.startswith(_OWN) or file == threading.__file__ or top in ("_pytest", "pluggy", "pytest", "runpy")


def _inwards(awaited: Any) -> list[tuple[FrameType, int]]:
    """The frames of a suspended coroutine and of what it awaits."""
    frames: list[tuple[FrameType, int]] = []
    while awaited is not None:
        for prefix in ("cr", "gi", "ag"):
            frame = getattr(awaited, f"{prefix}_frame", None)
            if frame is not None:
                frames.append((frame, frame.f_lineno))
                awaited = getattr(awaited, f"{prefix}_await", getattr(awaited, f"{prefix}_yieldfrom", None))
                break
        else:
            return frames
    return frames


def _written(frames: Iterable[tuple[FrameType, int]]) -> str:
    return "".join(traceback.StackSummary.extract(iter(frames)).format()) or "  (not begun)\n"
