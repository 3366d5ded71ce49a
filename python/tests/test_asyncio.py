"""asyncio over a stack, unmodified: streams, TLS, the loop's socket calls; and it sleeps while there is nothing to do."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
import usertcp
from conftest import DEADLINE, V4, Authority, Back, Family, connected, run, turn

DATA = random.Random(3).randbytes(2 << 20)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serves one client to its end."""
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(NotImplementedError):
        writer.write_eof()
    await over(writer)


async def over(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def echoed(streams: Streams, data: bytes) -> bytes:
    """Sends everything while it reads it back."""
    reader, writer = streams

    async def send() -> None:
        writer.write(data)
        await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    _, back = await asyncio.gather(send(), reader.readexactly(len(data)))
    if writer.can_write_eof():
        assert await reader.read() == b""
    await over(writer)
    return back


def test_streams_over_sockets_of_ours(back: Back, family: Family) -> None:
    async def main() -> None:
        listener = back.far.create_server((family.far, 0))
        address = listener.getsockname()
        async with await asyncio.start_server(echo, sock=listener) as server:
            assert server.sockets[0].getsockname() == address
            for _ in range(3):
                sock = back.near.create_connection(address[:2], DEADLINE)
                streams = await asyncio.open_connection(sock=sock)
                assert streams[1].get_extra_info("peername") == address
                assert streams[1].get_extra_info("sockname")[0] == family.near
                assert await echoed(streams, DATA) == DATA

    run(main)


def test_streams_made_by_stacks(back: Back, family: Family) -> None:
    async def main() -> None:
        async with await back.far.start_server(echo, family.far) as server:
            port = server.sockets[0].getsockname()[1]
            streams = await back.near.open_connection(
                family.far, port, local_addr=(family.near, 4321), limit=1 << 18
            )
            assert streams[1].get_extra_info("sockname")[:2] == (family.near, 4321)
            assert await echoed(streams, DATA) == DATA

    run(main)


def test_tls_streams(back: Back, authority: Authority) -> None:
    async def main() -> None:
        async with await back.far.start_server(echo, V4.far, ssl=authority.server) as server:
            port = server.sockets[0].getsockname()[1]
            streams = await back.near.open_connection(V4.far, port, ssl=authority.client)
            assert streams[1].get_extra_info("cipher")
            assert await echoed(streams, DATA) == DATA
            with pytest.raises(ssl.SSLCertVerificationError):
                await back.near.open_connection(V4.far, port, ssl=True)
            with pytest.raises(ssl.SSLCertVerificationError, match="192.0.2.9"):
                await back.near.open_connection(
                    V4.far, port, ssl=authority.client, server_hostname="192.0.2.9"
                )

    run(main)


def test_tls_begun_later(back: Back, authority: Authority) -> None:
    """As after STARTTLS: both ends upgrade a connection in use."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go\n")
        await writer.start_tls(authority.server)
        writer.write((await reader.readline()).upper())
        await over(writer)

    async def main() -> None:
        async with await back.far.start_server(serve, V4.far) as server:
            reader, writer = await back.near.open_connection(V4.far, server.sockets[0].getsockname()[1])
            writer.write(b"STARTTLS\n")
            assert await reader.readline() == b"go\n"
            await writer.start_tls(authority.client, server_hostname=V4.far)
            writer.write(b"secret\n")
            assert await reader.read() == b"SECRET\n"
            await over(writer)

    run(main)


def test_the_loops_socket_calls(back: Back, family: Family) -> None:
    async def serve(listener: socket.socket) -> bytes:
        loop, got = asyncio.get_running_loop(), bytearray()
        sock, _ = await loop.sock_accept(listener)
        assert isinstance(sock, usertcp.Socket)
        with sock:
            sock.setblocking(False)
            memory = bytearray(1 << 16)
            while count := await loop.sock_recv_into(sock, memory):
                got += memory[:count]
            await loop.sock_sendall(sock, b"thanks")
        return bytes(got)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with back.far.create_server((family.far, 0)) as listener, back.near.socket(family.number) as sock:
            listener.setblocking(False)
            sock.setblocking(False)
            task = asyncio.create_task(serve(listener))
            await turn()  # it waits already
            await loop.sock_connect(sock, listener.getsockname())
            await loop.sock_sendall(sock, DATA)
            sock.shutdown(socket.SHUT_WR)
            assert await loop.sock_recv(sock, 100) == b"thanks"
            assert await loop.sock_recv(sock, 100) == b""
            assert await task == DATA

    run(main)


def test_a_refusal(back: Back, family: Family) -> None:
    async def main() -> None:
        with pytest.raises(ConnectionRefusedError):
            await back.near.open_connection(family.far, 9)
        with back.near.socket(family.number) as sock:
            sock.setblocking(False)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.get_running_loop().sock_connect(sock, (family.far, 9))

    run(main)


def test_a_reset_ends_the_reader(back: Back) -> None:
    async def main() -> None:
        client, server = connected(back)
        reader, writer = await asyncio.open_connection(sock=client)
        task = asyncio.create_task(reader.read(1))
        await turn()
        server.abort()
        with pytest.raises(ConnectionResetError):
            await task
        await over(writer)

    run(main)


def test_the_end_of_the_stack_ends_the_reader(back: Back) -> None:
    async def main() -> None:
        client, server = connected(back)
        reader, writer = await asyncio.open_connection(sock=client)
        task = asyncio.create_task(reader.read(1))
        await turn()
        with contextlib.suppress(TimeoutError):
            await asyncio.to_thread(back.near.close, 0.0)
        with pytest.raises(OSError):
            await task
        await over(writer)
        server.abort()

    run(main)


def test_cancelling_leaves_the_socket_usable(back: Back) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        client, server = connected(back)
        with client, server:
            server.setblocking(False)
            task = asyncio.create_task(loop.sock_recv(server, 1))
            await turn()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            client.sendall(b"x")
            assert await loop.sock_recv(server, 1) == b"x"

    run(main)


class Calls:
    """How often the methods of `usertcp.Socket` were called, and would have blocked."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.made = 0
        self.would_block = 0
        for name in ("send", "sendmsg", "recv", "recv_into", "accept", "connect"):
            self.count(patch, name)

    def count(self, patch: pytest.MonkeyPatch, name: str) -> None:
        original = getattr(usertcp.Socket, name)

        def counting(*arguments: Any) -> Any:
            self.made += 1
            try:
                return original(*arguments)
            except BlockingIOError:
                self.would_block += 1
                raise

        patch.setattr(usertcp.Socket, name, counting)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    yield Calls(monkeypatch)


def test_a_loop_sleeps_while_a_peer_does_not_read(back: Back, calls: Calls) -> None:
    """One connection is full for as long as another makes five hundred turns. A loop that were told that the full one can be
    written to would try it in each of its iterations."""
    rounds = 500

    async def main() -> None:
        client, server = connected(back)
        _, writer = await asyncio.open_connection(sock=client)
        writer.write(bytes(64 << 20))
        one, other = connected(back)
        reader, busy = await asyncio.open_connection(sock=one)
        peer, answers = await asyncio.open_connection(sock=other)
        before = calls.would_block
        for _ in range(rounds):
            busy.write(b"x")
            assert await peer.readexactly(1) == b"x"
            answers.write(b"y")
            assert await reader.readexactly(1) == b"y"
        print(f"{calls.would_block - before} calls in vain, {calls.made} in all")
        assert calls.would_block - before < rounds / 10
        for stream in (busy, answers, writer):
            stream.transport.abort()
        server.abort()

    run(main)


def test_bulk_tries_in_vain_rarely(back: Back, calls: Calls) -> None:
    async def main() -> None:
        async with await back.far.start_server(echo, V4.far) as server:
            streams = await back.near.open_connection(V4.far, server.sockets[0].getsockname()[1])
            assert await echoed(streams, DATA) == DATA

    run(main)
    print(f"{calls.would_block} of {calls.made} calls in vain")
    assert calls.would_block <= calls.made / 2


def test_a_file_is_sent(back: Back, tmp_path: Any) -> None:
    """By sending, since the descriptor of a socket is for waiting only."""
    path = tmp_path / "file"
    path.write_bytes(DATA)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with path.open("rb") as file:
            await asyncio.get_running_loop().sendfile(writer.transport, file)
        await over(writer)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with await back.far.start_server(serve, V4.far) as server:
            reader, writer = await back.near.open_connection(V4.far, server.sockets[0].getsockname()[1])
            assert await reader.read(-1) == DATA
            await over(writer)
        client, peer = connected(back)
        with client, peer, path.open("rb") as file:
            client.setblocking(False)
            peer.setblocking(False)
            task = asyncio.create_task(loop.sock_sendfile(client, file))
            got = bytearray()
            while len(got) < len(DATA):
                got += await loop.sock_recv(peer, 1 << 16)
            assert await task == len(DATA)
            assert got == DATA

    run(main)
