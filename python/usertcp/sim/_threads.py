"""Threads and locks of simulated code: a thread is a task of the network, and who waits for a lock hands the baton on.

Everything else of module `threading` is built of locks: conditions, events, semaphores, queues, executors.
"""

from __future__ import annotations

import contextvars
import functools
import queue
import threading
from typing import TYPE_CHECKING, Any

from usertcp import _usertcp
from usertcp._here import NETWORK, belonging

if TYPE_CHECKING:
    from types import TracebackType

    from usertcp.sim._network import Network

KERNEL_LOCK = threading._allocate_lock  # type: ignore[attr-defined]
KERNEL_LOCK_TYPE = threading.Lock  # from 3.13 on a class, and not the same
KERNEL_RLOCK = threading.RLock
KERNEL_START = threading.Thread.start
KERNEL_JOIN = threading.Thread.join
KERNEL_IS_ALIVE = threading.Thread.is_alive
KERNEL_SIMPLE_QUEUE = queue.SimpleQueue

_MEMBER = "_usertcp_member"
"""The attribute of a `Thread` that is a task."""


class Member:
    """A thread that takes part in a network."""

    def __init__(self, network: Network, name: str) -> None:
        self.network = network
        self.name = name
        self.ident = 0
        self.over = False
        self.ended = _usertcp.Signal(network._raw)

    def wait(self, timeout: float | None) -> bool:
        """Waits for its end in the network's time, at most `timeout` seconds; whether it has ended."""
        if self.over:
            return True
        self.ended.wait(self.network._until(timeout))
        return self.over


class Lock:
    """What `threading.Lock` makes: in simulated code a lock whose waiters hand the baton on."""

    __slots__ = ("__weakref__", "_freed", "_kernels", "_network")

    _kernels: Any
    _network: Network
    _freed: _usertcp.Signal | None

    def __new__(cls) -> Any:
        network = NETWORK.get()
        if network is None:
            return KERNEL_LOCK()
        self = super().__new__(cls)
        self._kernels = KERNEL_LOCK()
        self._network = network
        self._freed = None
        return self

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Locks; waits, at most `timeout` seconds of the network, unless it is not to block."""
        if timeout != -1 and (not blocking or timeout < 0):
            return bool(self._kernels.acquire(blocking, timeout))  # raises
        if self._kernels.acquire(False):
            return True
        if not blocking:
            return False
        here = NETWORK.get()
        if here is not None and self._network.closed:
            self._network, self._freed = here, None  # of a module that a test before this one imported
        if not self._network._takes_part():
            return bool(self._kernels.acquire(True, timeout))
        until = None if timeout == -1 else self._network._until(timeout)
        if self._freed is None:
            self._freed = _usertcp.Signal(self._network._raw)
        while True:
            self._freed.clear()
            if self._kernels.acquire(False):
                return True
            if not self._freed.wait(until):
                return bool(self._kernels.acquire(False))

    def release(self) -> None:
        """Unlocks, from any thread."""
        self._kernels.release()
        if self._freed is not None:
            self._freed.set()

    def locked(self) -> bool:
        """Whether it is locked."""
        return bool(self._kernels.locked())

    acquire_lock = acquire
    release_lock = release
    locked_lock = locked

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self._kernels._at_fork_reinit()
        self._freed = None

    def __repr__(self) -> str:
        return f"<{'locked' if self.locked() else 'unlocked'} usertcp.sim lock at {id(self):#x}>"


def rlock() -> Any:
    """`threading.RLock`; in simulated code the one of Python, which is built of `Lock`."""
    return KERNEL_RLOCK() if NETWORK.get() is None else threading._PyRLock()  # type: ignore[attr-defined]


class SimpleQueue:
    """`queue.SimpleQueue`; in simulated code the one of Python, which is built of `Lock`."""

    def __new__(cls) -> Any:
        if NETWORK.get() is None:
            return KERNEL_SIMPLE_QUEUE()
        return queue._PySimpleQueue()  # type: ignore[attr-defined]

    __class_getitem__ = classmethod(lambda cls, item: cls)


def start(self: threading.Thread) -> None:
    """`Thread.start`; of simulated code the thread is a task of its network."""
    network = NETWORK.get()
    inside: Any = self
    if network is None or network.closed or not inside._initialized or inside._started.is_set():
        KERNEL_START(self)
        return
    from usertcp.sim import _world  # which stands in with this very function

    member = Member(network, self.name)
    run, context = self.run, contextvars.copy_context()
    daemonic = inside._daemonic

    def body() -> None:
        try:
            context.run(run)
        except BaseException:
            if not network.closed:  # what is cut off by the end is no news
                inside._invoke_excepthook(self)

    def carried() -> None:
        del self.run  # the attribute, which hides the method
        network._carry(number, member, body, _world.remove)

    self.run = carried  # type: ignore[method-assign]
    number = network._raw.task()
    _world.install()
    setattr(self, _MEMBER, member)
    self.is_alive = functools.partial(is_alive, self)  # type: ignore[method-assign]  # after the block, too
    with belonging(None, None):
        # The interpreter does not wait for it at its end: it may sleep for ever.
        inside._started = threading.Event()
        inside._daemonic = True
        try:
            KERNEL_START(self)
        except BaseException:
            network._raw.leave(number)
            _world.remove()
            raise
        finally:
            inside._daemonic = daemonic


def join(self: threading.Thread, timeout: float | None = None) -> None:
    """`Thread.join`; for a task in the time of its network."""
    member: Member | None = getattr(self, _MEMBER, None)
    if member is not None and member.network._takes_part() and self is not threading.current_thread():
        if not member.wait(max(timeout, 0.0) if timeout is not None else None):
            return
        timeout = None  # its last steps, which take no time
    KERNEL_JOIN(self, timeout)


def is_alive(self: threading.Thread) -> bool:
    """`Thread.is_alive`; a task is over when its `run` is."""
    member: Member | None = getattr(self, _MEMBER, None)
    if member is None or not member.over:
        return KERNEL_IS_ALIVE(self)
    if self is not threading.current_thread():
        KERNEL_JOIN(self)
    return False


STAND_INS: list[tuple[Any, Any]] = [
    (KERNEL_LOCK, Lock),
    (KERNEL_LOCK_TYPE, Lock),
    (KERNEL_RLOCK, rlock),
    (KERNEL_SIMPLE_QUEUE, SimpleQueue),
]
"""What stands in for what."""
