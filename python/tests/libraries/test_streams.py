"""asyncio's own streams and servers by host and port, and uvloop by what a socket is detached as."""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from typing import Any, cast

import pytest
import usertcp
import uvloop
from conftest import DEADLINE

from libraries.conftest import DATA, SERVER, Trust, World

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends back what comes, until a connection is over."""
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def echoed(streams: Streams) -> None:
    """Sends data while it reads it back, and closes."""
    reader, writer = streams

    async def send() -> None:
        writer.write(DATA)
        await writer.drain()

    _, back = await asyncio.gather(send(), reader.readexactly(len(DATA)))
    assert back == DATA
    writer.close()
    await writer.wait_closed()


@pytest.mark.library("asyncio")
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_asyncio(world: World, trust: Trust, tls: bool) -> None:
    async def main() -> None:
        with world.server.patch():
            server = await asyncio.start_server(echo, world.address, 0, ssl=trust.server if tls else None)
        port = server.sockets[0].getsockname()[1]
        async with server:
            with world.client.patch():
                context = trust.client if tls else None
                await asyncio.gather(
                    *[echoed(await asyncio.open_connection(SERVER, port, ssl=context)) for _ in range(3)]
                )
                reader, writer = await asyncio.open_connection(SERVER, port, ssl=context)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(reader.read(1), world.patience)
                writer.transport.abort()
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection(world.address, 9)
                if tls:
                    with pytest.raises(ssl.SSLCertVerificationError):
                        await asyncio.open_connection(
                            SERVER, port, ssl=context, server_hostname="other.example"
                        )

    world.run(main)


@pytest.mark.library("asyncio")
def test_asyncio_begins_tls_later(world: World, trust: Trust) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go\n")
        await writer.start_tls(trust.server)
        await echo(reader, writer)

    async def main() -> None:
        with world.server.patch():
            server = await asyncio.start_server(serve, world.address, 0)
        async with server:
            with world.client.patch():
                reader, writer = await asyncio.open_connection(SERVER, server.sockets[0].getsockname()[1])
                writer.write(b"STARTTLS\n")
                assert await reader.readline() == b"go\n"
                await writer.start_tls(trust.client, server_hostname=SERVER)
                await echoed((reader, writer))

    world.run(main)


class Echo(asyncio.Protocol):
    """Sends back what comes, and tells when that was all."""

    transport: asyncio.Transport

    def __init__(self, ended: asyncio.Queue[Exception | None]) -> None:
        self.ended = ended

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.put_nowait(exc)


def of_the_kernel(sock: socket.socket) -> socket.socket:
    """What uvloop can have, which goes by the number of a descriptor: the stream that a socket of a stack becomes."""
    if isinstance(sock, usertcp.Socket):
        sock = socket.socket(fileno=sock.detach())
    sock.setblocking(False)
    return sock


@pytest.mark.library("uvloop")
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
@pytest.mark.parametrize("where", ["tun", "tun-server"], indirect=True)
def test_uvloop(world: World, trust: Trust, tls: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, uvloop.Loop)
        listener = world.listener()
        port = listener.getsockname()[1]
        listening = of_the_kernel(listener)
        context = trust.server if tls else None
        if listening.family == socket.AF_UNIX:
            # It has no file that anybody could clean up.
            serve: Any = functools.partial(cast(Any, loop).create_unix_server, cleanup_socket=False)
        else:
            serve = loop.create_server
        ended: asyncio.Queue[Exception | None] = asyncio.Queue()
        server = await serve(lambda: Echo(ended), sock=listening, ssl=context)
        for _ in range(3):
            sock = world.client.socket()
            sock.settimeout(DEADLINE)
            await loop.run_in_executor(None, sock.connect, (world.address, port))
            stream = of_the_kernel(sock)
            name = SERVER if tls else None
            context = trust.client if tls else None
            connect = (
                asyncio.open_unix_connection if stream.family == socket.AF_UNIX else asyncio.open_connection
            )
            await echoed(await connect(sock=stream, ssl=context, server_hostname=name))
            # uvloop does not close what is still open when it ends.
            assert await ended.get() is None
        server.close()
        await server.wait_closed()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(main(), DEADLINE))
