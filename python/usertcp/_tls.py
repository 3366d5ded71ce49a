"""`TlsSocket`: what `ssl.SSLContext.wrap_socket` makes of a stack's socket in a simulation, and once `Stack.patch` was used.

Elsewhere it makes an `ssl.SSLSocket` of what the socket is detached as, which has no addresses and no options of TCP.
OpenSSL works in memory here, and what it reads and writes goes through the methods of our socket. Of the records of
the peer it gets one at a time, so that what is behind it still shows in `select`, and is there in the clear after `unwrap`,
as with a socket of the kernel.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import ssl
from _thread import RLock
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, cast

from usertcp import _usertcp
from usertcp._socket import Address, Socket

if TYPE_CHECKING:
    from _socket import _Address
    from socket import _SendableFile

    from _typeshed import ReadableBuffer, WriteableBuffer

_Answer = TypeVar("_Answer")

_HEADER = 5
"""Bytes before the body of a record: kind, version, and the length of the body in two of them (RFC 8446, 5.1)."""

_RECORD = 1 << 14
"""Most bytes of a program's that a record holds."""


class TlsSocket(Socket, ssl.SSLSocket):
    """A socket of a stack that speaks TLS, with the methods of `ssl.SSLSocket`; `ssl.SSLContext.wrap_socket` makes it.

    Any thread may use it at any time; as many as like may read and write at once.
    """

    _context: ssl.SSLContext
    _session: ssl.SSLSession | None
    _sslobj: Any
    _connected: bool
    _lock: RLock
    do_handshake_on_connect: bool
    suppress_ragged_eofs: bool

    def __init__(self, *arguments: Any, **options: Any) -> None:
        raise TypeError("a TlsSocket is made by SSLContext.wrap_socket()")

    @classmethod
    def _create(
        cls,
        sock: Socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        context: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
    ) -> Self:
        """What `SSLContext.wrap_socket` calls. The connection moves to the new socket, `sock` is closed."""
        assert context is not None
        if sock.type != socket.SOCK_STREAM:
            raise NotImplementedError("only stream sockets are supported")
        if server_side and server_hostname:
            raise ValueError("server_hostname can only be specified in client mode")
        if server_side and session is not None:
            raise ValueError("session can only be specified in client mode")
        if context.check_hostname and not server_hostname:
            raise ValueError("check_hostname requires server_hostname")
        name = cast(Any, context)._encode_hostname(server_hostname)
        spent = sock._stack._raw.socket(sock.family, sock.type, 0)
        spent.close()
        self = cls.__new__(cls)
        self._stack, self._raw, self._proto, self._polled = sock._stack, sock._raw, sock._proto, sock._polled
        self._users, sock._users = sock._users, None
        sock._raw, sock._closed = spent, True
        self._io_refs, self._closed = 0, False
        self._lock = RLock()
        self._context, self._session, self._sslobj = context, session, None
        self.server_side, self.server_hostname = server_side, name
        self.do_handshake_on_connect = do_handshake_on_connect
        self.suppress_ragged_eofs = suppress_ragged_eofs
        try:
            self._connected = self._has_peer()
            if self._connected:
                self._begin()
                if do_handshake_on_connect:
                    if self.gettimeout() == 0.0:
                        raise ValueError(
                            "do_handshake_on_connect should not be specified for non-blocking sockets"
                        )
                    self.do_handshake()
        except BaseException:
            self.close()
            raise
        return self

    def _has_peer(self) -> bool:
        """Whether there is a connection. One that is over, with bytes that nobody has authenticated, is an error."""
        try:
            self.getpeername()
            return True
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise
        try:
            data = self._raw.recv(1, socket.MSG_DONTWAIT)
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.EINVAL, errno.EAGAIN):
                raise
            return False
        if data:
            text = "Closed before TLS handshake with data in recv buffer."
            failure = ssl.SSLError(errno.ENOTCONN, text)
            failure.reason, failure.library = text, cast(Any, None)
            raise failure
        return False

    def _begin(self) -> None:
        """From here on the connection carries records."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._header = bytearray()
        self._lacking = _HEADER
        self._unsent = memoryview(b"")
        self._begun = 0
        self._sslobj = cast(Any, self._context)._wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=self.server_side,
            server_hostname=self.server_hostname,
            owner=self,
            session=self._session,
        )

    # The records

    def _fill(self) -> bool:
        """Gives OpenSSL what has come of the record under way; whether anything has."""
        came = False
        while not came or len(self._header) == _HEADER:
            try:
                data = self._raw.recv(self._lacking, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            came = True
            if not data:
                self._incoming.write_eof()
                break
            self._incoming.write(data)
            self._count(data)
        return came

    def _count(self, data: bytes) -> None:
        """How many bytes are lacking to the end of the header, or of the record."""
        self._lacking -= len(data)
        if len(self._header) < _HEADER:
            self._header += data
            if not self._lacking:
                self._lacking = int.from_bytes(self._header[3:])
        if not self._lacking:
            self._header.clear()
            self._lacking = _HEADER

    def _flush(self) -> bool:
        """Sends what OpenSSL has written, as far as there is room; whether that was all."""
        while True:
            if not self._unsent:
                self._unsent = memoryview(self._outgoing.read())
                if not self._unsent:
                    return True
            try:
                count = self._raw.send(self._unsent, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return False
            self._unsent = self._unsent[count:]

    def _run(self, what: str, step: Callable[[], _Answer]) -> _Answer:
        """Does a step of OpenSSL, carries records until it is done, and waits where it has to; never with the lock."""
        timeout = self._raw.gettimeout()
        end = None if timeout is None else self._stack._now() + timeout
        while True:
            with self._lock:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    if self._given_and_taken():
                        continue
                    events = select.POLLIN | (select.POLLOUT if self._unsent else 0)
                except ssl.SSLWantWriteError:
                    events = select.POLLOUT
                except ssl.SSLError:
                    with contextlib.suppress(OSError):
                        self._flush()  # the alert that tells the peer
                    raise
            if timeout == 0.0:
                raise _want_read() if events & select.POLLIN else _want_write()
            left = None if end is None else max(end - self._stack._now(), 0.0)
            if not any(_usertcp.poll([(self._raw, events)], left)) and left is not None:
                raise TimeoutError(f"The {what} operation timed out")

    def _given_and_taken(self) -> bool:
        """Sends first, since the peer may wait for it too; whether anything has come then."""
        try:
            self._flush()
        except OSError:
            # What the peer said before it went tells more.
            if not self._fill():
                raise
            return True
        return self._fill()

    def _sent(self) -> None:
        """Of a step that OpenSSL is done with, the last records have to be gone."""
        if not self._flush():
            raise _want_write()

    # Names and connections

    def do_handshake(self, block: bool = False) -> None:
        """Shakes hands. With `block` a socket that is non-blocking waits all the same."""
        self._check_connected()
        tls, timeout = self._sslobj, self.gettimeout()

        def step() -> None:
            tls.do_handshake()
            try:
                self._sent()
            except ConnectionError:
                # All that a server has left to send are tickets for other connections: a client may go without.
                if not self.server_side or tls.version() != "TLSv1.3":
                    raise

        try:
            if timeout == 0.0 and block:
                self.settimeout(None)
            self._run("handshake", step)
        finally:
            if timeout == 0.0 and block:
                self.settimeout(timeout)

    def _check_connected(self) -> None:
        if not self._connected:
            self.getpeername()

    def connect(self, address: _Address, /) -> None:
        """Connects, and shakes hands where `do_handshake_on_connect` says so."""
        self._connects(address, super().connect)

    def connect_ex(self, address: _Address, /) -> int:
        """Connects as `connect` does; returns the number of an error to connect instead of raising."""
        return cast(int, self._connects(address, super().connect_ex))

    def _connects(self, address: _Address, connect: Callable[[Any], int | None]) -> int | None:
        if self.server_side:
            raise ValueError("can't connect in server-side mode")
        if self._connected or self._sslobj is not None:
            raise ValueError("attempt to connect already-connected SSLSocket!")
        self._begin()
        try:
            failed = connect(address)
            if not failed:
                self._connected = True
                if self.do_handshake_on_connect:
                    self.do_handshake()
            return failed
        except (OSError, ValueError):
            self._sslobj = None
            raise

    def accept(self) -> tuple[Self, Address]:
        """The oldest waiting connection, in TLS, and the address of its peer."""
        sock, address = super().accept()
        tls = type(self)._create(
            sock,
            server_side=True,
            do_handshake_on_connect=self.do_handshake_on_connect,
            suppress_ragged_eofs=self.suppress_ragged_eofs,
            context=self._context,
        )
        return tls, address

    # Data

    def read(self, len: int = 1024, buffer: WriteableBuffer | None = None) -> Any:
        """Reads up to `len` bytes, into `buffer` if there is one; none is the end."""
        tls = self._sslobj
        if tls is None:
            raise ValueError("Read on closed or unwrapped SSL socket.")

        def step() -> Any:
            data = tls.read(len) if buffer is None else tls.read(len, buffer)
            with contextlib.suppress(OSError):
                self._flush()  # an answer to new keys
            return data

        try:
            return self._run("read", step)
        except ssl.SSLError as error:
            if error.args[0] == ssl.SSL_ERROR_EOF and self.suppress_ragged_eofs:
                return b"" if buffer is None else 0
            raise

    def write(self, data: ReadableBuffer) -> int:
        """Writes bytes; returns how many, which is all.

        After `SSLWantWriteError`, or a time-out, the next call is to have the same bytes: it goes on where this one ended.
        """
        tls = self._sslobj
        if tls is None:
            raise ValueError("Write on closed or unwrapped SSL socket.")
        with memoryview(data) as view, view.cast("B") as octets:
            with self._lock:
                done, self._begun = self._begun, 0
            if done > len(octets):
                self._begun = done
                raise ssl.SSLError(ssl.SSL_ERROR_SSL, "bad write retry")
            tried = False

            def step() -> int:
                nonlocal done, tried
                while True:
                    self._sent()
                    if done == len(octets) and (tried or done):
                        return done
                    done += tls.write(octets[done : done + _RECORD])
                    tried = True

            try:
                return self._run("write", step)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, TimeoutError):
                self._begun = done
                raise

    def recv(self, bufsize: int = 1024, flags: int = 0) -> bytes:
        """Receives up to `bufsize` bytes; none is the end."""
        if self._sslobj is None:
            return super().recv(bufsize, flags)
        self._without(flags, "recv")
        return cast(bytes, self.read(bufsize))

    def recv_into(self, buffer: WriteableBuffer, nbytes: int | None = None, flags: int = 0) -> int:
        """Receives into `buffer`, at most `nbytes` bytes or its size; returns how many came."""
        if self._sslobj is None:
            return super().recv_into(buffer, nbytes or 0, flags)
        self._without(flags, "recv_into")
        return cast(int, self.read(memoryview(buffer).nbytes if nbytes is None else nbytes, buffer))

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        """Sends bytes; returns how many, which is all."""
        if self._sslobj is None:
            return super().send(data, flags)
        self._without(flags, "send")
        return self.write(data)

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        """Sends all bytes."""
        if self._sslobj is None:
            return super().sendall(data, flags)
        self._without(flags, "sendall")
        if memoryview(data).nbytes:
            self.write(data)

    def sendfile(self, file: _SendableFile, offset: int = 0, count: int | None = None) -> int:
        """Sends a file from `offset` on, to its end or `count` bytes; returns how many were sent."""
        return cast(int, cast(Any, self)._sendfile_use_send(file, offset, count))

    def _without(self, flags: int, method: str) -> None:
        if flags:
            raise ValueError(f"non-zero flags not allowed in calls to {method}() on {type(self)}")

    def sendto(self, data: ReadableBuffer, /, *arguments: Any) -> int:
        """Raises `ValueError`: TLS has no datagrams."""
        if self._sslobj is not None:
            raise ValueError(f"sendto not allowed on instances of {type(self)}")
        return super().sendto(data, *arguments)

    def recvfrom(self, bufsize: int = 1024, flags: int = 0) -> tuple[bytes, Any]:
        """Raises `ValueError`: TLS has no datagrams."""
        if self._sslobj is not None:
            raise ValueError(f"recvfrom not allowed on instances of {type(self)}")
        return super().recvfrom(bufsize, flags)

    def recvfrom_into(
        self, buffer: WriteableBuffer, nbytes: int | None = None, flags: int = 0
    ) -> tuple[int, Any]:
        """Raises `ValueError`: TLS has no datagrams."""
        if self._sslobj is not None:
            raise ValueError(f"recvfrom_into not allowed on instances of {type(self)}")
        return super().recvfrom_into(buffer, nbytes or 0, flags)

    def sendmsg(self, *arguments: Any, **options: Any) -> NoReturn:
        """Raises `NotImplementedError`, as of every TLS socket: nobody is to send in the clear by mistake."""
        raise NotImplementedError(f"sendmsg not allowed on instances of {type(self)}")

    def recvmsg(self, *arguments: Any, **options: Any) -> NoReturn:
        """Raises `NotImplementedError`, as of every TLS socket."""
        raise NotImplementedError(f"recvmsg not allowed on instances of {type(self)}")

    def recvmsg_into(self, *arguments: Any, **options: Any) -> NoReturn:
        """Raises `NotImplementedError`, as of every TLS socket."""
        raise NotImplementedError(f"recvmsg_into not allowed on instances of {type(self)}")

    def verify_client_post_handshake(self) -> None:
        """Asks a client that has shaken hands for a certificate (TLS 1.3)."""
        tls = self._wrapped()

        def step() -> None:
            tls.verify_client_post_handshake()
            self._sent()

        self._run("write", step)

    # The end

    def unwrap(self) -> Self:
        """Ends TLS on both sides; returns the socket, which goes on in the clear."""
        tls = self._wrapped()

        def step() -> None:
            tls.shutdown()
            self._sent()

        self._run("shutdown", step)
        self._sslobj = None
        return self

    def _wrapped(self) -> Any:
        if self._sslobj is None:
            raise ValueError(f"No SSL wrapper around {self}")
        return self._sslobj

    def shutdown(self, how: int, /) -> None:
        """Shuts down one half of the connection or both, and ends TLS without a word to the peer."""
        self._sslobj = None
        super().shutdown(how)

    def _real_close(self) -> None:
        self._sslobj = None
        super()._real_close()

    def detach(self) -> int:
        """In the clear as of every socket. In TLS it raises `OSError`: the kernel cannot speak it for the program."""
        if self._sslobj is not None:
            raise OSError(errno.EOPNOTSUPP, "a connection in TLS has no stream of the kernel")
        return super().detach()

    def dup(self) -> NoReturn:
        """Raises `NotImplementedError`: a TLS connection has one socket."""
        raise NotImplementedError(f"Can't dup() {type(self).__name__} instances")


def _want_read() -> ssl.SSLError:
    return ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "The operation did not complete (read)")


def _want_write() -> ssl.SSLError:
    return ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "The operation did not complete (write)")


_class_before = ssl.SSLContext.sslsocket_class


class _Chosen(ssl.SSLSocket):
    """Stands for `ssl.SSLSocket` in contexts: makes a `TlsSocket` where a stack wants it, else what was made before."""

    @classmethod
    def _create(cls, sock: socket.socket, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        if isinstance(sock, Socket) and sock._stack._speaks_tls:
            return TlsSocket._create(sock, *arguments, **options)
        return cast(ssl.SSLSocket, cast(Any, _class_before)._create(sock, *arguments, **options))


def install() -> None:
    """From now on `SSLContext.wrap_socket` asks the stacks of sockets. Doing it twice is no error."""
    ssl.SSLContext.sslsocket_class = _Chosen
