"""`Interceptor`: connection requests for any address and port of a prefix, which the program decides about."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import TYPE_CHECKING

from usertcp import _usertcp
from usertcp._socket import Address, Socket

if TYPE_CHECKING:
    from usertcp._stack import Stack


class Syn:
    """A connection request. Nothing is answered until one of `accept`, `refuse` and `drop` is called, from whatever
    thread, once; one that is forgotten is dropped. Deciding again raises `OSError` EBADF, too late `TimeoutError`,
    and after the interceptor was closed ECANCELED.
    """

    __slots__ = ("_raw", "_stack")

    def __init__(self, stack: Stack, raw: _usertcp.Syn) -> None:
        self._stack = stack
        self._raw = raw

    @property
    def local(self) -> Address:
        """The address and port that the peer wants."""
        return self._raw.local

    @property
    def peer(self) -> Address:
        """The peer's address and port."""
        return self._raw.peer

    @property
    def mss(self) -> int | None:
        """The largest segment that the peer takes, bytes, if it says so."""
        return self._raw.mss

    @property
    def ecn(self) -> bool:
        """Whether the peer asks for ECN."""
        return self._raw.ecn

    @property
    def age(self) -> float:
        """Seconds since the request came."""
        return self._raw.age

    def accept(self, timeout: float | None = None) -> Socket:
        """Accepts; waits `timeout` seconds for the peer to acknowledge that, and resets it then.

        0 does not wait: the socket is as one that connects, writable when done, and `SO_ERROR` has the outcome.
        `getsockname` of the socket is the address that the peer wanted.

        `ConnectionRefusedError`: the peer resets. `TimeoutError`: it does not answer, or nobody decided in time.
        """
        return Socket(self._stack, self._raw.accept(timeout))

    def refuse(self) -> None:
        """Refuses: the peer is reset, as if nobody listened."""
        self._raw.refuse()

    def drop(self) -> None:
        """Drops it: the peer is told nothing. When it tries again, that is a new request."""
        self._raw.drop()

    def __repr__(self) -> str:
        return repr(self._raw)


class Interceptor(Socket):
    """Connection requests for the addresses and ports that `Stack.intercept` names. As an iterator it ends when it is
    closed. It is readable while there are requests, and what is set on it holds for the connections that it accepts.
    """

    __slots__ = ()

    def next(self) -> Syn:
        """The oldest request that nobody has taken; waits for one as `settimeout` says."""
        return Syn(self._stack, self._raw.next_syn())

    def __iter__(self) -> Iterator[Syn]:
        while True:
            try:
                syn = self.next()
            except OSError as error:
                if error.errno in (errno.EBADF, errno.ECANCELED):
                    return
                raise
            yield syn
