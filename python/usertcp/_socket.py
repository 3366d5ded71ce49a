"""`Socket`: a socket of a stack, and a `socket.socket` to everybody who asks."""

from __future__ import annotations

import errno
import os
import socket
import threading
import warnings
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self, cast, overload

from usertcp import _usertcp
from usertcp._names import is_numeric
from usertcp._trace import TraceTarget, lent
from usertcp._usertcp import EndReason, TcpInfo

if TYPE_CHECKING:
    from _socket import _CMSG, _Address, _CMSGArg
    from socket import _SendableFile

    from _typeshed import ReadableBuffer, WriteableBuffer

    from usertcp._stack import Stack

Address = tuple[Any, ...]
"""(host, port), and (host, port, flowinfo, scope_id) for IPv6, as in module `socket`."""

GATHERED = 1 << 20
"""Most bytes that one `sendmsg` which may send a part puts together."""

_simulated: weakref.WeakValueDictionary[int, Socket] = weakref.WeakValueDictionary()
"""The simulated sockets whose descriptors were asked for."""


class Socket(socket.socket):
    """A socket of a stack, made by `Stack.socket`, `create_connection`, `create_server` or by `accept`.

    It is a `socket.socket` with the methods, time-outs and exceptions of one, but the connection lives in this
    process, not in the kernel. Any thread may use a socket at any time; closing it wakes the threads that sleep
    in it with an `OSError`.
    """

    __slots__ = ("_polled", "_proto", "_raw", "_stack", "_users")

    # The slots of the base class. Its own descriptor stays closed for ever: all that would use it is here.
    _io_refs: int
    _closed: bool

    def __init__(self, stack: Stack, raw: _usertcp.Socket, proto: int | None = None) -> None:
        self._stack = stack
        self._raw = raw
        self._proto = raw.proto if proto is None else proto
        self._polled = False
        self._users: _Users | None = None
        self._io_refs = 0
        self._closed = False
        raw.settimeout(socket.getdefaulttimeout())

    @property
    def family(self) -> socket.AddressFamily:
        """`AF_INET` or `AF_INET6`."""
        return socket.AddressFamily(self._raw.family)

    @property
    def type(self) -> socket.SocketKind:
        """`SOCK_STREAM` or `SOCK_DGRAM`."""
        return socket.SocketKind(self._raw.type)

    @property
    def proto(self) -> int:
        """`IPPROTO_TCP` or `IPPROTO_UDP`; 0 where the socket was asked for without."""
        return self._proto

    # Names and connections

    def bind(self, address: _Address, /) -> None:
        """Gives the socket its own address; host "" is any, port 0 picks one."""
        self._raw.bind(self._numeric(address))

    def listen(self, backlog: int = 128, /) -> None:
        """Listens; `backlog` connections may wait to be accepted."""
        self._raw.listen(backlog)

    def accept(self) -> tuple[Socket, Address]:
        """The oldest waiting connection and the address of its peer."""
        raw, address = self._raw.accept()
        return Socket(self._stack, raw, self._proto), address

    def connect(self, address: _Address, /) -> None:
        """Connects. Non-blocking it raises `BlockingIOError`; once writable, `SO_ERROR` has the outcome.

        Here and wherever an address is given, the name of a host is looked up first, as `Stack.getaddrinfo` does,
        and its first address is taken; that waits whatever the time-out says. `socket.gaierror`: it has none.
        """
        self._raw.connect(self._numeric(address))

    def connect_ex(self, address: _Address, /) -> int:
        """Connects; returns the error number instead of raising, 0 for success."""
        return self._raw.connect_ex(self._numeric(address))

    def getsockname(self) -> Address:
        """The socket's own address."""
        return self._raw.getsockname()

    def getpeername(self) -> Address:
        """The peer's address."""
        return self._raw.getpeername()

    # Data

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        """Sends bytes; returns how many were taken: all of them without a time-out, else what fits.

        With `socket.MSG_OOB` the last byte is urgent.
        """
        return self._raw.send(data, flags)

    def sendall(self, data: ReadableBuffer, flags: int = 0, /) -> None:
        """Sends all bytes; the time-out is for the whole. After an error nobody knows how many were sent."""
        self._raw.sendall(data, flags)

    @overload
    def sendto(self, data: ReadableBuffer, address: _Address, /) -> int: ...
    @overload
    def sendto(self, data: ReadableBuffer, flags: int, address: _Address, /) -> int: ...
    def sendto(self, data: ReadableBuffer, /, *arguments: Any) -> int:
        """Sends a datagram to an address. A stream has its peer, whatever the address says."""
        if len(arguments) not in (1, 2):
            raise TypeError(f"sendto() takes 2 or 3 arguments ({len(arguments) + 1} given)")
        flags = arguments[0] if len(arguments) == 2 else 0
        try:
            return self._raw.sendto(data, flags, arguments[-1])
        except (socket.gaierror, TypeError):  # nothing is sent: most hosts are in numbers, and this one may be a name
            address = self._numeric(arguments[-1])
            if address is arguments[-1]:
                raise
        return self._raw.sendto(data, flags, address)

    def sendmsg(
        self,
        buffers: Iterable[ReadableBuffer],
        ancdata: Iterable[_CMSGArg] = (),
        flags: int = 0,
        address: _Address | None = None,
        /,
    ) -> int:
        """Sends the bytes of several buffers as `send` does, or as `sendto` with an address.

        Ancillary data, (level, type, bytes), says what is asked for this datagram alone: IPPROTO_IP with IP_PKTINFO
        (the address to send from), IP_TTL and IP_TOS; IPPROTO_IPV6 with IPV6_PKTINFO, IPV6_HOPLIMIT and IPV6_TCLASS, of
        which -1 stands for what the socket's options say. Others, and any with a stream, are EINVAL.
        """
        views = [memoryview(buffer) for buffer in buffers]
        control = list(ancdata)
        destination = None if address is None else self._numeric(address)
        if self.type == socket.SOCK_DGRAM:
            return self._raw.sendmsg(_gathered(views, None), control, flags, destination)
        # Whoever takes a part may be about to offer the rest again, and again: gather no more than may go.
        room = None if self._raw.gettimeout() is None and not flags & socket.MSG_DONTWAIT else GATHERED
        data = views[0] if len(views) == 1 else _gathered(views, room)
        if control or destination is not None:
            return self._raw.sendmsg(data, control, flags, destination)
        return self._raw.send(data, flags)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receives up to `bufsize` bytes; none is the end of the stream.

        Urgent data comes in line (SO_OOBINLINE is on by default, unlike the system's), and a call stops before its
        last byte. With SO_OOBINLINE off that byte is passed over, and `socket.MSG_OOB` receives it, without waiting.
        """
        return self._raw.recv(bufsize, flags)

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """Receives into `buffer`, at most `nbytes` bytes or its size; returns how many came."""
        return self._raw.recv_into(buffer, nbytes, flags)

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Any]:
        """Receives a datagram and the address of its sender, which of a stream is None."""
        return self._raw.recvfrom(bufsize, flags)

    def recvfrom_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """Receives as `recv_into` does; returns how many bytes came and the address of the sender as well."""
        return self._raw.recvfrom_into(buffer, nbytes, flags)

    def recvmsg(
        self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[bytes, list[_CMSG], int, Any]:
        """Receives as `recvfrom` does: bytes, ancillary data, flags, and the address of the sender.

        Ancillary data, (level, type, bytes), is what options of a datagram socket ask for: IP_PKTINFO for the address
        that it came to (an `in_pktinfo`), IP_RECVTTL for IP_TTL (an int), IP_RECVTOS for IP_TOS (a byte); with `AF_INET6`
        IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT and IPV6_RECVTCLASS likewise. The flags are `MSG_TRUNC` if more of a datagram
        came than there was room for, `MSG_CTRUNC` if ancillary data was left out that did not fit into `ancbufsize`
        bytes, of which `socket.CMSG_SPACE` tells how many it takes, and `MSG_OOB` for an urgent byte.
        """
        data, _, control, told, sender = self._raw.recvmsg(bufsize, _room(ancbufsize), flags)
        return data, control, told, sender

    def recvmsg_into(
        self, buffers: Iterable[WriteableBuffer], ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[int, list[_CMSG], int, Any]:
        """Receives into several buffers, one filled after the other; else as `recvmsg`."""
        room = _room(ancbufsize)
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        if any(view.readonly for view in views):
            raise TypeError("recvmsg_into() argument 1 must be an iterable of read-write buffers")
        received, count, control, told, sender = self._raw.recvmsg(sum(map(len, views)), room, flags)
        data = memoryview(received)
        for view in views:
            piece = data[: len(view)]
            view[: len(piece)] = piece
            data = data[len(piece) :]
        return count, control, told, sender

    def sendfile(self, file: _SendableFile, offset: int = 0, count: int | None = None) -> int:
        """Sends a file from `offset` on, to its end or `count` bytes; returns how many were sent."""
        # Never os.sendfile(), which would write to the descriptor that fileno() is for waiting with.
        return cast(int, self._sendfile_use_send(file, offset, count))  # type: ignore[attr-defined]

    # The end

    def shutdown(self, how: int, /) -> None:
        """Shuts down one half or both: `SHUT_RD`, `SHUT_WR`, `SHUT_RDWR`."""
        self._raw.shutdown(how)

    def cancel(self) -> None:
        """Calls off the threads that wait in this socket now, in whichever call, `usertcp.poll` included: each raises
        `OSError` ECANCELED. The socket goes on, and so does a connection that is being made; calls that begin later
        wait again. Who waits by a `PollSet` or by `fileno` is not called off. EBADF: the socket is closed.
        """
        self._raw.cancel()

    def close(self) -> None:
        """Closes: what is queued is sent, then the end of the stream. Closing twice is no error."""
        super().close()

    def abort(self) -> None:
        """Closes the socket with a reset, and all its duplicates; what is queued is lost."""
        self._closed = True
        self._raw.abort()

    def _real_close(self) -> None:
        """Called by the base class once the socket and the files made from it are closed."""
        users, self._users = self._users, None
        if users is None or users.leave():
            self._raw.close()
            return
        # The others go on; this object must not.
        try:
            self._raw = self._stack._raw.socket(self._raw.family, self._raw.type, 0)
        except OSError:  # of a stack that is closed: so are they
            return
        self._raw.close()

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
        self._show_blocking()

    def gettimeout(self) -> float | None:
        """The time-out in seconds."""
        return self._raw.gettimeout()

    def setblocking(self, flag: bool, /) -> None:
        """True: no time-out. False: non-blocking."""
        self.settimeout(None if flag else 0.0)

    def getblocking(self) -> bool:
        """Whether calls may wait."""
        return self._raw.gettimeout() != 0.0

    @property
    def timeout(self) -> float | None:
        """The time-out in seconds."""
        return self._raw.gettimeout()

    def ioctl(self, request: int, /) -> int:
        """How much waits, by the numbers of module `termios`: `FIONREAD` to be read, `TIOCOUTQ` to be
        acknowledged. 0x8905 (SIOCATMARK): 1 if the next byte is the last urgent one."""
        return self._raw.ioctl(request)

    @property
    def end_reason(self) -> EndReason | None:
        """Why the connection is over; None while it is not. Still known after `close`."""
        return self._raw.end_reason

    def tcp_info(self) -> TcpInfo:
        """The connection in figures."""
        return self._raw.tcp_info()

    def trace(self, target: TraceTarget | None) -> None:
        """Writes what happens to this connection to `target` from now on, instead of where its stack's trace
        goes; None: no more.

        Before `connect` it has all of the connection; of a listening socket, the connections that it accepts from
        then on. `Stack.trace` says what a target is and what is written.
        """
        with lent(target) as fd:
            self._raw.trace(fd)

    # The descriptor

    def fileno(self) -> int:
        """The descriptor to wait with, by `select`, `poll`, `epoll` or an event loop; -1 once the socket is closed.

        It shows when the socket can be read and written, and its end. It is made when it is first asked for, and
        is the socket's: not to be read, written or closed.
        """
        try:
            number = self._raw.fd()
        except OSError as error:
            if error.errno == errno.EBADF:
                return -1
            raise
        if not self._polled:
            self._polled = True
            self._show_blocking()
        if self._stack.SIMULATED:
            _simulated[number] = self
        return number

    def _show_blocking(self) -> None:
        """The descriptor has `O_NONBLOCK` as one of the system's sockets has it: where there is a time-out."""
        if self._polled and (number := self.fileno()) >= 0:
            os.set_blocking(number, self._raw.gettimeout() is None)

    def detach(self) -> int:
        """Turns the connection into a stream of bytes of the kernel, closes the socket, and returns the stream's
        descriptor: the caller's, under the number that `fileno` had.

        It can be read, written, duplicated, and handed to C libraries and other programs; the stack moves the bytes.
        A listener becomes a listening socket of AF_UNIX, where such streams are accepted: so `ssl` wraps it too.
        `usertcp.exported_addresses` tells the addresses of either. Others raise `OSError`. A closed socket returns -1.
        """
        if self._users is not None and not self._closed and self._users.several:
            raise OSError(errno.EOPNOTSUPP, "the connection has another socket, a duplicate that is open")
        blocking = self._raw.gettimeout() is None
        try:
            number = self._raw.export_fd()
        except OSError as error:
            if error.errno == errno.EBADF:
                return -1
            raise
        self._closed = True
        os.set_blocking(number, blocking)
        return number

    def get_inheritable(self) -> bool:
        """False: no other process can have the connection."""
        return False

    def set_inheritable(self, inheritable: bool) -> None:
        """Takes False only: no other process can have the connection."""
        if inheritable:
            raise OSError(errno.EOPNOTSUPP, "the connection of a stack cannot be inherited")

    def dup(self) -> Self:
        """Another object for the same socket, which is closed when both are. Each has a time-out of its own, and
        closes for itself; all else, the descriptor that `fileno` tells too, they have in common.
        """
        twin = type(self)(self._stack, self._raw.twin(), self._proto)
        twin.settimeout(self.gettimeout())
        if self._users is None:
            self._users = _Users()
        twin._users = self._users
        self._users.enter()
        return twin

    def __repr__(self) -> str:
        parts = [f"family={int(self.family)}", f"type={int(self.type)}", f"proto={self.proto}"]
        if self._polled and not self._closed:
            parts.insert(0, f"fd={self.fileno()}")
        if self._closed:
            return f"<usertcp.Socket [closed] {', '.join(parts)}>"
        for name, ask in (("laddr", self.getsockname), ("raddr", self.getpeername)):
            try:
                parts.append(f"{name}={ask()}")
            except OSError:
                pass
        return f"<usertcp.Socket {', '.join(parts)}>"

    def _numeric(self, address: Any) -> Any:
        """An address whose host is in numbers; what is none is for the call to refuse."""
        if not isinstance(address, tuple) or not address or not isinstance(address[0], (str, bytes, bytearray)):
            return address
        host = address[0] if isinstance(address[0], str) else bytes(address[0]).decode("ascii", "surrogateescape")
        if host == "<broadcast>" and self.family == socket.AF_INET:
            host = "255.255.255.255"
        elif host and not is_numeric(host):
            host = self._stack.getaddrinfo(host, 0, self.family, self.type)[0][4][0]
        elif host is address[0]:
            return address
        return host, *address[1:]

    def __del__(self) -> None:
        if getattr(self, "_closed", True):
            return
        warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
        self._closed = True
        self._real_close()


class _Users:
    """How many objects there are for one socket."""

    __slots__ = ("_count", "_lock")

    def __init__(self) -> None:
        self._count = 1
        self._lock = threading.Lock()

    def enter(self) -> None:
        """There is one more."""
        with self._lock:
            self._count += 1

    def leave(self) -> bool:
        """There is one less; whether it was the last."""
        with self._lock:
            self._count -= 1
            return self._count <= 0

    @property
    def several(self) -> bool:
        """Whether there are others than the one that asks."""
        return self._count > 1


def _room(ancbufsize: int) -> int:
    if ancbufsize < 0:
        raise ValueError("invalid ancillary data buffer length")
    return ancbufsize


def simulated_by(fd: int) -> Socket | None:
    """The simulated socket that a descriptor is of, if it is of one."""
    sock = _simulated.get(fd)
    return sock if sock is not None and sock.fileno() == fd else None


def _gathered(views: list[memoryview], room: int | None) -> bytes:
    """The bytes of all, as far as there is room."""
    if room is None:
        return b"".join(views)
    pieces = []
    for view in views:
        pieces.append(view.cast("B")[:room])
        room -= len(pieces[-1])
        if not room:
            break
    return b"".join(pieces)


def poll(sockets: Iterable[tuple[Socket, int]], timeout: float | None = None) -> list[tuple[Socket, int]]:
    """Waits until a socket is ready for what stands beside it: `select.POLLIN`, `POLLPRI` (urgent data),
    `POLLOUT`, `POLLRDHUP`.

    Returns the sockets that are ready and for what; `POLLERR`, `POLLHUP` and `POLLNVAL` (closed) always
    count. An empty list: `timeout` seconds are over. The sockets may belong to several stacks.

        for sock, events in usertcp.poll([(a, select.POLLIN), (b, select.POLLIN)], timeout=1.0):
            ...
    """
    asked = list(sockets)
    ready = _usertcp.poll([(sock._raw, events) for sock, events in asked], timeout)
    return [(sock, events) for (sock, _), events in zip(asked, ready, strict=True) if events]
