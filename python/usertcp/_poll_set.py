"""`PollSet`: sockets to wait for, with the methods and the meaning of `select.epoll`."""

from __future__ import annotations

import itertools
import select
from types import TracebackType
from weakref import WeakKeyDictionary, WeakValueDictionary

from usertcp import _usertcp
from usertcp._socket import Socket

_DEFAULT = select.EPOLLIN | select.EPOLLPRI | select.EPOLLOUT
_MOST = 1023


class PollSet:
    """Sockets to wait for, of any number of stacks: waiting costs what is ready, not what is there.

    It is to the sockets of stacks what `select.epoll` is to descriptors, with the same numbers for events:
    `select.EPOLLIN`, `EPOLLOUT`, `EPOLLPRI`, `EPOLLRDHUP`, `EPOLLET`, `EPOLLONESHOT`; `EPOLLERR` and `EPOLLHUP` are
    told in any case. A socket that is closed is in no set any more, and a set keeps no socket from being collected.
    Any thread may use a set at any time; of several that wait in one, each edge is told to one.

        with usertcp.PollSet() as ready:
            ready.register(server, select.EPOLLIN)
            while True:
                for sock, events in ready.poll():
                    ...
    """

    __slots__ = ("__weakref__", "_closed", "_next", "_numbers", "_raw", "_sockets")

    def __init__(self) -> None:
        self._raw = _usertcp.PollSet()
        self._closed = False
        self._next = itertools.count()
        # A number for each socket, for as long as it lives: what the set knows it by.
        self._numbers: WeakKeyDictionary[Socket, int] = WeakKeyDictionary()
        self._sockets: WeakValueDictionary[int, Socket] = WeakValueDictionary()

    def register(self, sock: Socket, eventmask: int = _DEFAULT) -> None:
        """Puts a socket into the set. What it is ready for already is told.

        `FileExistsError`: it is in the set. `OSError` EBADF: it is closed; EINVAL: `eventmask` has other bits.
        """
        self._open()
        self._raw.register(sock._raw, eventmask, self._number(sock))

    def modify(self, sock: Socket, eventmask: int) -> None:
        """Changes what is asked of a socket, and asks again for one that `EPOLLONESHOT` has silenced. What it is
        ready for already is told. `FileNotFoundError`: it is not in the set. Else as `register`.
        """
        self._open()
        self._raw.modify(sock._raw, eventmask, self._number(sock))

    def unregister(self, sock: Socket) -> None:
        """Takes a socket out of the set. `FileNotFoundError`: it is not in it; `OSError` EBADF: it is closed."""
        self._open()
        self._raw.unregister(sock._raw)

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[Socket, int]]:
        """Waits until a socket is ready; returns at most `maxevents` (-1: 1023) with what each is ready for, those
        first that have waited for longest.

        An empty list: `timeout` seconds are over (None or negative: no limit; 0: does not wait), or another thread
        called `wake`. `OSError` ECANCELED: another thread closed the set.
        """
        self._open()
        if maxevents == -1:
            maxevents = _MOST
        if maxevents <= 0:
            raise ValueError(f"maxevents must be greater than 0, not {maxevents}")
        if timeout is not None and timeout < 0:
            timeout = None
        ready = self._raw.poll(timeout, maxevents)
        found = ((self._sockets.get(number), events) for number, events in ready)
        return [(sock, events) for sock, events in found if sock is not None]

    def wake(self) -> None:
        """Ends one `poll` before its time: one that waits, or else the next one."""
        self._open()
        self._raw.wake()

    def fileno(self) -> int:
        """A descriptor that is readable while `poll` may find something, for `select`, `poll`, `epoll` and event
        loops (`loop.add_reader`): then call `poll` with a time-out of 0.

        It is the set's: not to be read, written or closed.
        """
        self._open()
        return self._raw.fd()

    def close(self) -> None:
        """Closes the set; its sockets stay as they are. Closing twice is no error."""
        self._closed = True
        self._raw.close()

    @property
    def closed(self) -> bool:
        """Whether the set is closed."""
        return self._closed

    def __enter__(self) -> PollSet:
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _number(self, sock: Socket) -> int:
        number = self._numbers.setdefault(sock, next(self._next))
        self._sockets[number] = sock
        return number

    def _open(self) -> None:
        if self._closed:
            raise ValueError("I/O operation on closed poll set")
