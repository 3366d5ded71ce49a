"""`Socket`: a TCP socket of a stack, with the manners of `socket.socket`."""

from __future__ import annotations

import builtins
import io
import socket
import warnings
from collections.abc import Iterable
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, cast, overload

from usertcp import _usertcp
from usertcp._usertcp import TcpInfo

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

    from usertcp._stack import Stack

Address = tuple[Any, ...]
"""(host, port), and (host, port, flowinfo, scope_id) for IPv6, as in module `socket`. Hosts are numeric."""


class Socket:
    """A TCP socket of a stack, made by `Stack.socket`, `create_connection`, `create_server` or by `accept`.

    Methods, time-outs and exceptions are those of `socket.socket`. Any thread may use a socket at any time;
    closing it wakes the threads that sleep in it with an `OSError`.
    """

    def __init__(self, stack: Stack, raw: _usertcp.Socket) -> None:
        self._stack = stack
        self._raw = raw
        self._io_refs = 0
        self._closed = False
        raw.settimeout(socket.getdefaulttimeout())

    @property
    def family(self) -> socket.AddressFamily:
        """`AF_INET` or `AF_INET6`."""
        return socket.AddressFamily(self._raw.family)

    @property
    def type(self) -> socket.SocketKind:
        """`SOCK_STREAM`."""
        return socket.SOCK_STREAM

    @property
    def proto(self) -> int:
        """`IPPROTO_TCP`."""
        return socket.IPPROTO_TCP

    # Names and connections

    def bind(self, address: Address, /) -> None:
        """Gives the socket its own address; host "" is any, port 0 picks one."""
        self._raw.bind(address)

    def listen(self, backlog: int = 128, /) -> None:
        """Listens; `backlog` connections may wait to be accepted."""
        self._raw.listen(backlog)

    def accept(self) -> tuple[Socket, Address]:
        """The oldest waiting connection and the address of its peer."""
        raw, address = self._raw.accept()
        return Socket(self._stack, raw), address

    def connect(self, address: Address, /) -> None:
        """Connects. Non-blocking it raises `BlockingIOError`; once writable, `SO_ERROR` has the outcome."""
        self._raw.connect(address)

    def connect_ex(self, address: Address, /) -> int:
        """Connects; returns the error number instead of raising, 0 for success."""
        return self._raw.connect_ex(address)

    def getsockname(self) -> Address:
        """The socket's own address."""
        return self._raw.getsockname()

    def getpeername(self) -> Address:
        """The peer's address."""
        return self._raw.getpeername()

    # Data

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        """Sends bytes; returns how many were taken: all of them without a time-out, else what fits."""
        return self._raw.send(data, flags)

    def sendall(self, data: ReadableBuffer, flags: int = 0, /) -> None:
        """Sends all bytes; the time-out is for the whole. After an error nobody knows how many were sent."""
        self._raw.sendall(data, flags)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receives up to `bufsize` bytes; none is the end of the stream."""
        return self._raw.recv(bufsize, flags)

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """Receives into `buffer`, at most `nbytes` bytes or its size; returns how many came."""
        return self._raw.recv_into(buffer, nbytes, flags)

    def makefile(
        self,
        mode: str = "r",
        buffering: int | None = None,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """A file object; the connection closes when the socket and all its files are closed."""
        make = cast(Any, socket.socket.makefile)
        return cast(IO[Any], make(self, mode, buffering, encoding=encoding, errors=errors, newline=newline))

    # The end

    def shutdown(self, how: int, /) -> None:
        """Shuts down one half or both: `SHUT_RD`, `SHUT_WR`, `SHUT_RDWR`."""
        self._raw.shutdown(how)

    def close(self) -> None:
        """Closes: what is queued is sent, then the end of the stream. Closing twice is no error."""
        self._closed = True
        if self._io_refs <= 0:
            self._real_close()

    def abort(self) -> None:
        """Closes the socket with a reset; what is queued is lost."""
        self._closed = True
        self._raw.abort()

    def _real_close(self) -> None:
        self._raw.close()

    def _decref_socketios(self) -> None:
        """A file of `makefile` is closed."""
        if self._io_refs > 0:
            self._io_refs -= 1
        if self._closed:
            self.close()

    # Settings

    @overload
    def setsockopt(
        self, level: int, optname: int, value: int | ReadableBuffer, optlen: None = None, /
    ) -> None: ...
    @overload
    def setsockopt(self, level: int, optname: int, value: None, optlen: int, /) -> None: ...
    def setsockopt(
        self, level: int, optname: int, value: int | ReadableBuffer | None, optlen: int | None = None, /
    ) -> None:
        """Sets an option by the numbers of module `socket`."""
        self._raw.setsockopt(level, optname, value, optlen)

    @overload
    def getsockopt(self, level: int, optname: int, /) -> int: ...
    @overload
    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes: ...
    def getsockopt(self, level: int, optname: int, buflen: int = 0, /) -> int | bytes:
        """Reads an option: a number, or with `buflen` its bytes."""
        return cast(int | bytes, self._raw.getsockopt(level, optname, buflen))

    def settimeout(self, value: float | None, /) -> None:
        """Most seconds that a call may wait; None waits for ever, 0 never (non-blocking)."""
        self._raw.settimeout(value)

    def gettimeout(self) -> float | None:
        """The time-out in seconds."""
        return self._raw.gettimeout()

    def setblocking(self, flag: bool, /) -> None:
        """True: no time-out. False: non-blocking."""
        self._raw.settimeout(None if flag else 0.0)

    def getblocking(self) -> bool:
        """Whether calls may wait."""
        return self._raw.gettimeout() != 0.0

    @property
    def timeout(self) -> float | None:
        """The time-out in seconds."""
        return self._raw.gettimeout()

    def tcp_info(self) -> TcpInfo:
        """The connection in figures."""
        return self._raw.tcp_info()

    def fileno(self) -> int:
        """Raises `io.UnsupportedOperation`: the connection lives in this process, not in the kernel."""
        raise io.UnsupportedOperation(
            "a usertcp socket has no file descriptor: usertcp.poll() waits, makefile() reads and writes"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: builtins.type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        if not self._closed:
            self.close()

    def __repr__(self) -> str:
        parts = [f"family={int(self.family)}", f"type={int(self.type)}", f"proto={self.proto}"]
        if self._closed:
            return f"<usertcp.Socket [closed] {', '.join(parts)}>"
        for name, ask in (("laddr", self.getsockname), ("raddr", self.getpeername)):
            try:
                parts.append(f"{name}={ask()}")
            except OSError:
                pass
        return f"<usertcp.Socket {', '.join(parts)}>"

    def __getstate__(self) -> object:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def __del__(self) -> None:
        if getattr(self, "_closed", True):
            return
        warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
        self._closed = True
        self._raw.close()


def poll(sockets: Iterable[tuple[Socket, int]], timeout: float | None = None) -> list[tuple[Socket, int]]:
    """Waits until a socket is ready for what stands beside it: `select.POLLIN`, `POLLOUT`, `POLLRDHUP`.

    Returns the sockets that are ready and for what; `POLLERR`, `POLLHUP` and `POLLNVAL` (closed) always
    count. An empty list: `timeout` seconds are over. The sockets may belong to several stacks.

        for sock, events in usertcp.poll([(a, select.POLLIN), (b, select.POLLIN)], timeout=1.0):
            ...
    """
    asked = list(sockets)
    ready = _usertcp.poll([(sock._raw, events) for sock, events in asked], timeout)
    return [(sock, events) for (sock, _), events in zip(asked, ready, strict=True) if events]
