"""For httpx: transports whose connections are made over a stack, as network backends of httpcore."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

# The stream over a socket of httpcore's own, which speaks TLS in TLS as well, for the proxies that want it.
from httpcore._backends.sync import SyncStream

from usertcp import aio

if TYPE_CHECKING:
    from usertcp._stack import Stack

_Options = Iterable[Any] | None


@contextlib.contextmanager
def _errors(over: type[Exception], late: type[Exception]) -> Iterator[None]:
    """Raises the exceptions of httpcore for those of sockets."""
    try:
        yield
    except TimeoutError as error:
        raise late(error) from error
    except OSError as error:
        raise over(error) from error


def _set(sock: Any, options: _Options) -> None:
    """Sets the options of a new socket, and no Nagle, as httpcore does."""
    for option in options or ():
        sock.setsockopt(*option)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _Backend(httpcore.NetworkBackend):
    """Connects over a stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _Options = None,
    ) -> httpcore.NetworkStream:
        """A connection to a host."""
        source = None if local_address is None else (local_address, 0)
        with _errors(httpcore.ConnectError, httpcore.ConnectTimeout):
            sock = self._stack.create_connection((host, port), timeout, source)
            try:
                _set(sock, socket_options)
            except BaseException:
                sock.close()
                raise
        return SyncStream(sock)

    def sleep(self, seconds: float) -> None:
        """Waits before another attempt."""
        self._stack._sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    """A connection as streams of asyncio."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Up to `max_bytes` bytes; none is the end."""
        with _errors(httpcore.ReadError, httpcore.ReadTimeout):
            async with asyncio.timeout(timeout):
                return await self._reader.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Writes all bytes."""
        if not buffer:
            return
        with _errors(httpcore.WriteError, httpcore.WriteTimeout):
            async with asyncio.timeout(timeout):
                self._writer.write(buffer)
                await self._writer.drain()

    async def aclose(self) -> None:
        """Closes, and waits until that is done."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Goes on in TLS."""
        with _errors(httpcore.ConnectError, httpcore.ConnectTimeout):
            try:
                async with asyncio.timeout(timeout):
                    await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
            except BaseException:
                self._writer.transport.abort()
                raise
        return self

    def get_extra_info(self, info: str) -> Any:
        """What httpcore and its users ask about a connection."""
        if info == "is_readable":
            # A connection that nobody expects anything from: its end, or something that does not belong there.
            return self._reader.at_eof() or self._writer.is_closing() or _readable(self._sock)
        if info == "socket":
            return self._sock
        names = {"ssl_object": "ssl_object", "client_addr": "sockname", "server_addr": "peername"}
        return self._writer.get_extra_info(names[info]) if info in names else None

    @property
    def _sock(self) -> Any:
        return self._writer.get_extra_info("socket")


def _readable(sock: Any) -> bool:
    """Whether there is something to be read, or a descriptor no more."""
    number = -1 if sock is None else sock.fileno()
    if number < 0:
        return True
    watcher = select.poll()
    watcher.register(number, select.POLLIN)
    return bool(watcher.poll(0))


class _AsyncBackend(httpcore.AsyncNetworkBackend):
    """Connects over a stack, in a loop of asyncio."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _Options = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to a host."""
        local = None if local_address is None else (local_address, 0)
        with _errors(httpcore.ConnectError, httpcore.ConnectTimeout):
            async with asyncio.timeout(timeout):
                reader, writer = await aio.open_connection(self._stack, host, port, local_addr=local)
            try:
                _set(writer.get_extra_info("socket"), socket_options)
            except BaseException:
                writer.transport.abort()
                raise
        return _Stream(reader, writer)

    async def sleep(self, seconds: float) -> None:
        """Waits before another attempt."""
        await asyncio.sleep(seconds)


def _over(transport: Any, backend: Any, options: dict[str, Any]) -> None:
    """Has the pool of a transport make its connections by a backend."""
    if options.get("uds") is not None:
        raise TypeError("a transport over a stack connects to no AF_UNIX socket")
    # Connections of the pool, and of a proxy's, are made by what stands here then.
    transport._pool._network_backend = backend


class Transport(httpx.HTTPTransport):
    """An `HTTPTransport` over a stack; `Stack.httpx_transport` makes it."""

    def __init__(self, stack: Stack, **options: Any) -> None:
        super().__init__(**options)
        _over(self, _Backend(stack), options)


class AsyncTransport(httpx.AsyncHTTPTransport):
    """An `AsyncHTTPTransport` over a stack; `Stack.httpx_async_transport` makes it."""

    def __init__(self, stack: Stack, **options: Any) -> None:
        super().__init__(**options)
        _over(self, _AsyncBackend(stack), options)
