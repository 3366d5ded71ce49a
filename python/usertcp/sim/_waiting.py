"""Waiting for descriptors in a network's time: what stands in for `select` and what an event loop sleeps in."""

from __future__ import annotations

import errno
import math
import os
import select
import selectors
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from usertcp import _usertcp
from usertcp._here import NETWORK
from usertcp._socket import simulated_by

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

    from usertcp.sim._network import Network

KERNEL_SELECT = select.select
KERNEL_POLL = select.poll
KERNEL_EPOLL = select.epoll

GLANCE = 10_000_000
"""Nanoseconds of the network's time between two looks at descriptors of the kernel, which know nothing of it."""

YIELD = 1000
"""Nanoseconds that what takes no time takes in the end, at first: who turns round waiting gets somewhere, as elsewhere."""

SPINS = 100
"""How often one may look in an instant before that."""

TURNS_AFTER_THE_END = 1000
"""Turns in which an event loop may cancel what is left when its network is closed."""

_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR
_WRITABLE = select.POLLOUT | select.POLLERR
_EVERY_EVENT = 0x7FFF
_EPOLL_ONLY = 0xFFFFFFFF ^ 0xFFFF
"""Flags of `epoll` that are no events."""


def nanoseconds(seconds: float) -> int:
    """A time as the network counts it, rounded up."""
    return math.ceil(seconds * 1e9)


class Watch:
    """Descriptors with what is awaited of each: of simulated sockets, and of the kernel's files among them."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._ours: dict[int, tuple[_usertcp.Socket, int]] = {}
        self._kernels: dict[int, int] = {}
        self._poller = KERNEL_POLL()

    def __contains__(self, fd: int) -> bool:
        return fd in self._ours or fd in self._kernels

    def put(self, fd: int, events: int) -> None:
        """Awaits events of a descriptor, instead of others if it is awaited already."""
        self.drop(fd)
        sock = simulated_by(fd)
        if sock is not None:
            self._ours[fd] = (sock._raw, events & _EVERY_EVENT)
        else:
            self._kernels[fd] = events
            self._poller.register(fd, events & _EVERY_EVENT)

    def drop(self, fd: int) -> None:
        """Awaits a descriptor no longer."""
        self._ours.pop(fd, None)
        if self._kernels.pop(fd, None) is not None:
            self._poller.unregister(fd)

    def wait(self, timeout: float | None, bell: _usertcp.Signal | None = None) -> list[tuple[int, int]]:
        """Sleeps until something is ready, `timeout` seconds of the network are over, or the bell has rung."""
        clock = self._network._raw
        begun = clock.now()
        until = None if timeout is None else begun + nanoseconds(max(timeout, 0.0))
        try:
            ready = self._wait(until, bell)
        except OSError:
            if bell is not None and self._network.closed:
                return []
            raise
        if clock.now() == begun:
            self._network._asked_without_waiting(begun)
        return ready

    def _wait(self, until: int | None, bell: _usertcp.Signal | None) -> list[tuple[int, int]]:
        clock = self._network._raw
        while True:
            ready = self._poller.poll(0) if self._kernels else []
            left = None if until is None else max(until - clock.now(), 0)
            if ready:
                left = 0
            elif self._kernels:
                left = GLANCE if left is None else min(left, GLANCE)
            ready += self._sleep(left, bell)
            # Sockets of a closed network are ready for ever: whoever serves for ever would never hear of the end.
            if bell is None and self._network.closed:
                raise OSError(errno.ECANCELED, "the network is closed")
            if ready or (until is not None and clock.now() >= until):
                return ready
            if bell is not None and bell.is_set():
                return ready

    def _sleep(self, left: int | None, bell: _usertcp.Signal | None) -> list[tuple[int, int]]:
        """Sleeps once, for so many nanoseconds at most."""
        if not self._ours and bell is None:
            if left != 0:
                self._network._raw.sleep(None if left is None else self._network._raw.now() + left)
            return []
        seconds = None if left is None else left / 1e9
        asked = list(self._ours.values())
        answers = _usertcp.poll(asked, seconds) if bell is None else _usertcp.poll(asked, seconds, bell)
        return [(fd, events) for fd, events in zip(list(self._ours), answers, strict=True) if events]


def _descriptor(file: Any) -> int:
    """The number of a file as `select` takes it."""
    number = file if isinstance(file, int) else file.fileno()
    if not isinstance(number, int):
        raise TypeError("argument must be an int, or have a fileno() method.")
    if number < 0:
        raise ValueError(f"file descriptor cannot be a negative integer ({number})")
    return number


def select_select(
    rlist: Iterable[Any], wlist: Iterable[Any], xlist: Iterable[Any], timeout: float | None = None, /
) -> tuple[list[Any], list[Any], list[Any]]:
    """`select.select`, in simulated code in the network's time."""
    network = NETWORK.get()
    if network is None:
        return KERNEL_SELECT(rlist, wlist, xlist, timeout)
    if timeout is not None and timeout < 0:
        raise ValueError("timeout must be non-negative")
    asked = [
        (list(files), awaited, shown)
        for files, awaited, shown in (
            (rlist, select.POLLIN, _READABLE),
            (wlist, select.POLLOUT, _WRITABLE),
            (xlist, select.POLLPRI, select.POLLPRI),
        )
    ]
    wanted: dict[int, int] = {}
    for files, awaited, _ in asked:
        for file in files:
            number = _descriptor(file)
            wanted[number] = wanted.get(number, 0) | awaited
    watch = Watch(network)
    for number, events in wanted.items():
        watch.put(number, events)
    ready = dict(watch.wait(timeout))
    if any(events & select.POLLNVAL for events in ready.values()):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    r, w, x = (
        [file for file in files if ready.get(_descriptor(file), 0) & shown] for files, _, shown in asked
    )
    return r, w, x


class Poll:
    """`select.poll` in a network's time."""

    def __new__(cls) -> Any:
        network = NETWORK.get()
        if network is None:
            return KERNEL_POLL()
        self = super().__new__(cls)
        self._watch = Watch(network)
        return self

    _watch: Watch

    def register(
        self, fd: FileDescriptorLike, eventmask: int = select.POLLIN | select.POLLPRI | select.POLLOUT, /
    ) -> None:
        """Awaits events of a file."""
        self._watch.put(_descriptor(fd), eventmask)

    def modify(self, fd: FileDescriptorLike, eventmask: int, /) -> None:
        """Awaits other events of a file."""
        number = _descriptor(fd)
        if number not in self._watch:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        self._watch.put(number, eventmask)

    def unregister(self, fd: FileDescriptorLike, /) -> None:
        """Awaits a file no longer."""
        number = _descriptor(fd)
        if number not in self._watch:
            raise KeyError(number)
        self._watch.drop(number)

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """The files that are ready and for what; waits for the first, `timeout` milliseconds at most."""
        seconds = None if timeout is None or timeout < 0 else timeout / 1e3
        return self._watch.wait(seconds)


class Epoll:
    """`select.epoll` in a network's time; level-triggered, and EPOLLONESHOT."""

    def __new__(cls, sizehint: int = -1, flags: int = 0) -> Any:
        network = NETWORK.get()
        if network is None:
            return KERNEL_EPOLL(sizehint, flags)
        self = super().__new__(cls)
        self._watch = Watch(network)
        self._masks = {}
        self._number = KERNEL_EPOLL(sizehint, flags)
        return self

    _watch: Watch
    _masks: dict[int, int]
    _number: select.epoll
    """What `fileno` is asked for; nothing is registered there."""

    @classmethod
    def fromfd(cls, fd: FileDescriptorLike, /) -> select.epoll:
        """The kernel's, whose descriptor it is."""
        return KERNEL_EPOLL.fromfd(fd)

    def register(
        self, fd: FileDescriptorLike, eventmask: int = select.EPOLLIN | select.EPOLLPRI | select.EPOLLOUT
    ) -> None:
        """Awaits events of a file."""
        number = self._checked(fd)
        if number in self._masks:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        self._put(number, eventmask)

    def modify(self, fd: FileDescriptorLike, eventmask: int) -> None:
        """Awaits other events of a file."""
        number = self._checked(fd)
        if number not in self._masks:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        self._put(number, eventmask)

    def unregister(self, fd: FileDescriptorLike) -> None:
        """Awaits a file no longer."""
        number = self._checked(fd)
        if self._masks.pop(number, None) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        self._watch.drop(number)

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        """The files that are ready and for what; waits for the first, `timeout` seconds at most."""
        self._checked(0)
        if maxevents == 0 or maxevents < -1:
            raise ValueError(f"maxevents must be greater than 0, got {maxevents}")
        ready = self._watch.wait(None if timeout is None or timeout < 0 else timeout)
        for fd, events in ready:
            if events & select.POLLNVAL:  # closed: an epoll has forgotten it
                self._masks.pop(fd, None)
                self._watch.drop(fd)
        ready = [(fd, events) for fd, events in ready if not events & select.POLLNVAL]
        ready = ready if maxevents == -1 else ready[:maxevents]
        for fd, _ in ready:
            if self._masks[fd] & select.EPOLLONESHOT:
                self._watch.drop(fd)
        return ready

    def fileno(self) -> int:
        """A descriptor that shows nothing: who waits for it waits in vain."""
        return self._number.fileno()

    def close(self) -> None:
        """Forgets all files."""
        self._number.close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._number.closed

    def __enter__(self) -> Self:
        self._checked(0)
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _checked(self, fd: FileDescriptorLike) -> int:
        if self._number.closed:
            raise ValueError("I/O operation on closed epoll object")
        return _descriptor(fd)

    def _put(self, number: int, mask: int) -> None:
        mask &= 0xFFFFFFFF
        if mask & select.EPOLLET:
            raise OSError(errno.EINVAL, "simulated sockets have no edges (EPOLLET) to wait for")
        self._watch.put(number, mask & ~_EPOLL_ONLY)
        self._masks[number] = mask


class Selector(selectors.BaseSelector):
    """What the event loop of a network sleeps in; `bell` ends a sleep."""

    def __init__(self, network: Network, bell: _usertcp.Signal) -> None:
        self._network = network
        self._watch = Watch(network)
        self._bell = bell
        self._keys: dict[int, selectors.SelectorKey] = {}
        self._turns_after_the_end = 0

    def register(
        self, fileobj: FileDescriptorLike, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        """Awaits events of a file."""
        if not events or events & ~(selectors.EVENT_READ | selectors.EVENT_WRITE):
            raise ValueError(f"Invalid events: {events!r}")
        number = _descriptor(fileobj)
        if number in self._keys:
            raise KeyError(f"{fileobj!r} (FD {number}) is already registered")
        return self._put(fileobj, number, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        """Awaits a file no longer."""
        key = self.get_key(fileobj)
        del self._keys[key.fd]
        self._watch.drop(key.fd)
        return key

    def modify(
        self, fileobj: FileDescriptorLike, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        """Awaits other events of a file."""
        key = self.get_key(fileobj)
        if events == key.events:
            key = self._keys[key.fd] = key._replace(data=data)
            return key
        return self._put(key.fileobj, key.fd, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """The files that are ready and for what; waits for the first, `timeout` seconds at most."""
        # The loop hears once of the end of its network, and then has some turns to cancel its coroutines in.
        if self._turns_after_the_end % TURNS_AFTER_THE_END:
            self._turns_after_the_end += 1
            return []
        answers = [] if self._network.closed else self._watch.wait(timeout, self._bell)
        if self._network.closed:
            self._turns_after_the_end += 1
            raise OSError(errno.ECANCELED, "the network of the event loop is closed")
        self._bell.clear()
        ready = []
        for number, shown in answers:
            key = self._keys[number]
            events = selectors.EVENT_WRITE if shown & ~select.POLLIN else 0
            events |= selectors.EVENT_READ if shown & ~select.POLLOUT else 0
            if events & key.events:
                ready.append((key, events & key.events))
        return ready

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        """The keys of all files, by descriptor."""
        return {each: key for each, key in self._keys.items()}

    def get_key(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        """The key of a file."""
        for key in self._keys.values() if not isinstance(fileobj, int) else ():
            if key.fileobj is fileobj:
                return key
        try:
            return self._keys[_descriptor(fileobj)]
        except KeyError:
            raise KeyError(f"{fileobj!r} is not registered") from None

    def close(self) -> None:
        """Forgets all files."""
        for number in list(self._keys):
            self._watch.drop(number)
        self._keys.clear()

    def _put(
        self, fileobj: FileDescriptorLike, number: int, events: int, data: Any
    ) -> selectors.SelectorKey:
        awaited = select.POLLIN if events & selectors.EVENT_READ else 0
        awaited |= select.POLLOUT if events & selectors.EVENT_WRITE else 0
        self._watch.put(number, awaited)
        key = self._keys[number] = selectors.SelectorKey(fileobj, number, events, data)
        return key
