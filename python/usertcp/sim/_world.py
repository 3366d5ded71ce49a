"""What simulated code finds in place of the standard library's clock, threads, locks, sockets and waits.

It is put in place for as long as there is simulated code that needs it, counted, for the whole process: in
modules that have taken a function by name as well. Each piece asks by context variable whether it is simulated code
that calls, and does what the original does if not.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from usertcp import _patch
from usertcp._here import NETWORK, belonging
from usertcp.sim import _clock, _threads, _waiting

if TYPE_CHECKING:
    from usertcp.sim._host import Host
    from usertcp.sim._network import Network

_STAND_INS: list[tuple[Any, Any]] = [
    *_clock.STAND_INS,
    *_threads.STAND_INS,
    *_patch.STAND_INS,
    (_waiting.KERNEL_SELECT, _waiting.select_select),
    (_waiting.KERNEL_POLL, _waiting.Poll),
    (_waiting.KERNEL_EPOLL, _waiting.Epoll),
]


class _KernelSelector(selectors.PollSelector):
    """What `subprocess` waits with: other programs live in real time."""

    _selector_cls = _waiting.KERNEL_POLL


_ATTRIBUTES: list[tuple[Any, str, Any]] = [
    (threading.Thread, "start", _threads.start),
    (threading.Thread, "join", _threads.join),
    (threading.Thread, "is_alive", _threads.is_alive),
    (selectors.SelectSelector, "_select", staticmethod(_waiting.select_select)),
    (selectors.PollSelector, "_selector_cls", _waiting.Poll),
    (selectors.EpollSelector, "_selector_cls", _waiting.Epoll),
    (subprocess, "_PopenSelector", _KernelSelector),
]
"""Attributes of classes, with what stands in."""

_LEFT_ALONE = {
    *("_thread", "_socket", "_queue", "importlib", "_frozen_importlib"),
    *("subprocess", "multiprocessing"),
    *("_pytest", "pytest", "pluggy"),
    *("socket", "usertcp"),
}
"""Modules, with those inside them, that keep what they have: the interpreter's own, those that wait for other processes, those
that measure tests, module `socket`, whose names are `_patch`'s, and this package."""

_WITHOUT_RENAMED = {id(_patch.KERNEL)}
"""What is left alone under another name than its own: who renames the class means this class."""

_lock = threading.Lock()
_count = 0
_undo: list[tuple[Any, str, Any]] = []
_seen: dict[str, ModuleType] = {}
_places: list[tuple[ModuleType, str, Any, Any]] = []


def install() -> None:
    """Puts everything in place, unless it is; to be followed by `remove`."""
    global _count
    with _lock:
        _count += 1
        if _count > 1:
            return
        _patch.install()
        _look()
        for module, name, original, stand_in in _places:
            if module.__dict__.get(name) is original:
                _put(module, name, stand_in)
        for owner, name, stand_in in _ATTRIBUTES:
            _put(owner, name, stand_in)
        policy: Any = getattr(asyncio.unix_events, "_UnixDefaultEventLoopPolicy", None)
        if policy is not None:
            _put(policy, "_loop_factory", staticmethod(_loop))


def remove() -> None:
    """Puts everything back, if nobody else needs it."""
    global _count
    with _lock:
        _count -= 1
        if _count == 0:
            _patch.remove()
            for owner, name, original in reversed(_undo):
                setattr(owner, name, original)
            _undo.clear()


@contextlib.contextmanager
def inside(network: Network, host: Host | None) -> Iterator[None]:
    """Has the code of the block be simulated code of a network, on a host of it or on none."""
    install()
    try:
        with belonging(network, host):
            yield
    finally:
        remove()


def _put(owner: Any, name: str, stand_in: Any) -> None:
    _undo.append((owner, name, owner.__dict__[name]))
    setattr(owner, name, stand_in)


def _look() -> None:
    """Looks through the modules that were not seen before for what they have taken by name."""
    stand_ins = {id(original): (original, stand_in) for original, stand_in in _STAND_INS}
    for title, module in list(sys.modules.items()):
        if _seen.get(title) is module or not isinstance(module, ModuleType):
            continue
        _seen[title] = module
        if title.partition(".")[0] in _LEFT_ALONE:
            continue
        for name, value in list(module.__dict__.items()):
            found = stand_ins.get(id(value))
            if found is None or (id(value) in _WITHOUT_RENAMED and name != value.__name__):
                continue
            _places.append((module, name, *found))


def _loop() -> asyncio.AbstractEventLoop:
    """The event loop that asyncio makes when it is not told which."""
    network = NETWORK.get()
    if network is None:
        return asyncio.SelectorEventLoop()
    from usertcp.sim._loop import EventLoop

    return EventLoop(network)
