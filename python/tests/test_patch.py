"""In the block of `Stack.patch`, programs that know nothing of stacks use one."""

from __future__ import annotations

import asyncio
import hashlib
import http.server
import os
import random
import socket
import socketserver
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import usertcp
from conftest import DEADLINE, V4, Authority, Back, Family, Task, run

DATA = random.Random(5).randbytes(1 << 20)
KERNEL = socket.socket


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    assert socket.socket is KERNEL


def test_what_becomes_the_stacks(back: Back) -> None:
    with back.near.patch():
        for arguments in (
            (),
            (socket.AF_INET,),
            (socket.AF_INET6, socket.SOCK_STREAM),
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP),
            (-1, -1, -1),
        ):
            with socket.socket(*arguments) as sock:
                assert type(sock) is usertcp.Socket
                assert sock.family == (arguments[0] if arguments and arguments[0] != -1 else socket.AF_INET)
        for proto in (0, socket.IPPROTO_UDP):
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, proto) as sock:
                assert type(sock) is usertcp.Socket and sock.type == socket.SOCK_DGRAM
        with socket.socket(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
            assert type(sock) is usertcp.Socket and sock.gettimeout() == 0
    with socket.socket() as sock:
        assert type(sock) is KERNEL


def test_what_stays_the_kernels(back: Back) -> None:
    with back.near.patch():
        one, other = socket.socketpair()
        with one, other:
            assert type(one) is type(other) is KERNEL
            with socket.fromfd(one.fileno(), one.family, one.type) as again, one.dup() as twice:
                assert type(again) is type(twice) is KERNEL
            with socket.socket(fileno=os.dup(one.fileno())) as found:
                assert (type(found), found.family) == (KERNEL, socket.AF_UNIX)
        with socket.socket(socket.AF_UNIX) as listener:
            assert type(listener) is KERNEL
            listener.bind(f"\0usertcp-{os.getpid()}-{threading.get_native_id()}")
            listener.listen()
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(listener.getsockname())
                with listener.accept()[0] as accepted:
                    assert type(accepted) is KERNEL


def test_the_class_is_still_the_class(back: Back) -> None:
    with KERNEL() as before, back.near.patch():
        with socket.socket() as ours, socket.socket(socket.AF_UNIX) as theirs:
            for sock in (before, ours, theirs):
                assert isinstance(sock, socket.socket)
        assert not isinstance(7, socket.socket)
        assert issubclass(ssl.SSLSocket, socket.socket) and issubclass(usertcp.Socket, socket.socket)
        assert not issubclass(int, socket.socket)

        class Own(socket.socket):
            """As some libraries derive one."""

        with Own(socket.AF_INET, socket.SOCK_STREAM) as own:
            assert isinstance(own, KERNEL) and own.fileno() >= 0
    with Own() as own:
        assert isinstance(own, socket.socket)


def test_whoever_keeps_the_class_gets_the_kernels_sockets_afterwards(back: Back) -> None:
    with back.near.patch():
        kept = socket.socket
        with kept() as sock:
            assert type(sock) is usertcp.Socket
    with kept(socket.AF_INET, socket.SOCK_STREAM) as sock:
        assert type(sock) is KERNEL


def test_one_at_a_time(back: Back) -> None:
    with back.near.patch():
        with pytest.raises(RuntimeError, match="already"), back.far.patch():
            pass
        with socket.socket() as sock:
            assert type(sock) is usertcp.Socket
    with pytest.raises(ZeroDivisionError), back.far.patch():
        raise ZeroDivisionError
    with back.far.patch(), socket.socket() as sock:
        assert type(sock) is usertcp.Socket


def test_the_functions_of_the_module(back: Back, family: Family) -> None:
    with back.far.patch():
        listener = socket.create_server((family.far, 0), family=family.number)
    with listener, back.near.patch():
        listener.settimeout(DEADLINE)
        with socket.create_connection(listener.getsockname()[:2], DEADLINE) as client:
            assert type(client) is type(listener) is usertcp.Socket
            with listener.accept()[0] as server:
                client.sendall(b"x")
                assert server.recv(1) == b"x"


class Pages(http.server.BaseHTTPRequestHandler):
    """Answers with what it is sent."""

    timeout = DEADLINE

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(hashlib.sha256(body).hexdigest().encode())

    def log_message(self, *arguments: Any) -> None:
        """Says nothing."""


class TlsPages(Pages):
    """The same over TLS."""

    context: ssl.SSLContext

    def setup(self) -> None:
        self.request = self.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        super().finish()
        self.request.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_web_server_and_urllib(
    back: Back, scheme: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TlsPages, "context", authority.server, raising=False)
    with back.far.patch():
        server = http.server.ThreadingHTTPServer((V4.far, 0), TlsPages if scheme == "https" else Pages)
    assert type(server.socket) is usertcp.Socket
    task = Task(server.serve_forever, 0.02)
    url = f"{scheme}://{V4.far}:{server.server_address[1]}/"
    try:
        with back.near.patch():
            context = authority.client if scheme == "https" else None
            with urllib.request.urlopen(url, DATA, DEADLINE, context=context) as answer:
                assert answer.read().decode() == hashlib.sha256(DATA).hexdigest()
    finally:
        server.shutdown()
        task.answer()
        server.server_close()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_asyncio_by_host_and_port(back: Back, family: Family, authority: Authority, tls: bool) -> None:
    """Loops, with the pipes to wake them, are made in the block, too."""
    ready = threading.Event()
    addresses: list[Any] = []
    finished: list[Any] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(len(DATA)))
        await writer.drain()
        writer.close()

    async def serve() -> None:
        finished.append((asyncio.get_running_loop(), asyncio.Event()))
        context = authority.server if tls else None
        async with await asyncio.start_server(echo, family.far, 0, ssl=context) as server:
            addresses.append(server.sockets[0].getsockname())
            ready.set()
            await finished[0][1].wait()

    async def talk() -> bytes:
        context = authority.client if tls else None
        reader, writer = await asyncio.open_connection(*addresses[0][:2], ssl=context)
        assert writer.get_extra_info("peername") == addresses[0]
        writer.write(DATA)
        got = await reader.readexactly(len(DATA))
        writer.close()
        return got

    with back.far.patch():
        server = Task(run, serve)
        assert ready.wait(DEADLINE)
    with back.near.patch():
        assert run(talk) == DATA
    loop, event = finished[0]
    loop.call_soon_threadsafe(event.set)
    server.answer()


def test_a_refused_connection_of_asyncio(back: Back) -> None:
    async def talk() -> None:
        await asyncio.open_connection(V4.far, 9)

    with back.near.patch(), pytest.raises(ConnectionRefusedError):
        run(talk)


def test_socketserver(back: Back) -> None:
    class Twice(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(self.request.recv(100) * 2)

    with back.far.patch():
        server = socketserver.ThreadingTCPServer((V4.far, 0), Twice)
    task = Task(server.serve_forever, 0.02)
    with back.near.patch(), socket.create_connection(server.socket.getsockname(), DEADLINE) as client:
        client.sendall(b"ab")
        assert client.recv(100) == b"abab"
    server.shutdown()
    task.answer()
    server.server_close()
