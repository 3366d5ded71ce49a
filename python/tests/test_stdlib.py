"""The standard library's modules run over a stack, unmodified."""

from __future__ import annotations

import contextlib
import errno
import functools
import gc
import hashlib
import http.client
import http.server
import io
import os
import random
import select
import selectors
import socket
import socketserver
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import usertcp
from conftest import (
    DEADLINE,
    V4,
    Authority,
    Back,
    Family,
    Pair,
    Task,
    connected,
    descriptors,
    drain,
    fill,
)

DATA = random.Random(4).randbytes(3 << 20)


@contextlib.contextmanager
def serving(server: socketserver.TCPServer, listener: usertcp.Socket) -> Iterator[Any]:
    """A server that listens with a socket of a stack, until the end of the block; the address."""
    server.socket.close()
    server.socket = listener
    server.server_address = listener.getsockname()
    task = Task(server.serve_forever, 0.02)
    try:
        yield listener.getsockname()[:2]
    finally:
        server.shutdown()
        task.answer()
        server.server_close()


class Echo(socketserver.StreamRequestHandler):
    """Sends back what comes, by lines."""

    timeout = DEADLINE

    def handle(self) -> None:
        assert isinstance(self.connection, usertcp.Socket)
        for line in self.rfile:
            self.wfile.write(line.upper())


def test_socketserver(back: Back, family: Family) -> None:
    def talk(address: Any, number: int) -> bool:
        with back.near.create_connection(address, DEADLINE) as sock, sock.makefile("rwb") as file:
            for word in (b"one", b"two", b"three"):
                file.write(b"%s %d\n" % (word, number))
                file.flush()
                if file.readline() != b"%s %d\n" % (word.upper(), number):
                    return False
        return True

    server = socketserver.ThreadingTCPServer(("", 0), Echo, bind_and_activate=False)
    with serving(server, back.far.create_server((family.far, 0), family=family.number)) as address:
        assert all(task.answer() for task in [Task(talk, address, number) for number in range(10)])


class Pages(http.server.BaseHTTPRequestHandler):
    """One page, and a place to post to."""

    protocol_version = "HTTP/1.1"
    timeout = DEADLINE

    def do_GET(self) -> None:
        if self.path != "/data":
            self.send_error(404)
            return
        self.answer(DATA)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(hashlib.sha256(body).hexdigest().encode())

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Says nothing."""


class TlsServer(http.server.ThreadingHTTPServer):
    """Speaks TLS with whom it accepts."""

    context: ssl.SSLContext

    def get_request(self) -> tuple[socket.socket, Any]:
        sock, address = super().get_request()
        return self.context.wrap_socket(sock, server_side=True), address


def over(stack: usertcp.Stack, kind: Any, *arguments: Any, **options: Any) -> Any:
    """A connection of http.client that connects over the stack."""
    connection = kind(*arguments, **options)
    connection._create_connection = stack.create_connection
    return connection


class Handler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """For urllib: it connects over a stack."""

    def __init__(self, stack: usertcp.Stack, context: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self.stack, self.tls = stack, context

    def http_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(functools.partial(over, self.stack, http.client.HTTPConnection), request)

    def https_open(self, request: urllib.request.Request) -> Any:
        make = functools.partial(over, self.stack, http.client.HTTPSConnection)
        return self.do_open(make, request, context=self.tls)


@pytest.fixture(params=["http", "https"])
def web(request: pytest.FixtureRequest, back: Back, family: Family, authority: Authority) -> Iterator[str]:
    """The address of a web server on the far stack."""
    if request.param == "http":
        server = http.server.ThreadingHTTPServer(("", 0), Pages, bind_and_activate=False)
    else:
        server = TlsServer(("", 0), Pages, bind_and_activate=False)
        server.context = authority.server
    with serving(server, back.far.create_server((family.far, 0))) as (host, port):
        yield f"{request.param}://{f'[{host}]' if ':' in host else host}:{port}"


def test_urllib(back: Back, web: str, authority: Authority) -> None:
    opener = urllib.request.build_opener(Handler(back.near, authority.client))
    with opener.open(f"{web}/data", timeout=DEADLINE) as answer:
        assert answer.read() == DATA
    with opener.open(f"{web}/data", data=DATA, timeout=DEADLINE) as answer:
        assert answer.read().decode() == hashlib.sha256(DATA).hexdigest()
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        opener.open(f"{web}/none", timeout=DEADLINE)
    caught.value.close()


def test_http_client_keeps_its_connection(back: Back, web: str, authority: Authority) -> None:
    scheme, place = web.split("://")
    if scheme == "http":
        connection = over(back.near, http.client.HTTPConnection, place, timeout=DEADLINE)
    else:
        connection = over(
            back.near, http.client.HTTPSConnection, place, timeout=DEADLINE, context=authority.client
        )
    with contextlib.closing(connection):
        for _ in range(3):
            connection.request("GET", "/data")
            assert connection.getresponse().read() == DATA
            sock = connection.sock
        assert connection.sock is sock
        connection.request("POST", "/data", body=io.BytesIO(DATA), headers={"Content-Length": str(len(DATA))})
        assert connection.getresponse().read().decode() == hashlib.sha256(DATA).hexdigest()


def test_urllib_is_refused(back: Back) -> None:
    opener = urllib.request.build_opener(Handler(back.near))
    with pytest.raises(urllib.error.URLError) as caught:
        opener.open(f"http://{V4.far}:9/", timeout=DEADLINE)
    assert isinstance(caught.value.reason, ConnectionRefusedError)


def test_tls_both_ways(back: Back, family: Family, authority: Authority) -> None:
    for warm in connected(back, family):  # what a stack has for streams, it keeps
        os.close(warm.detach())
    before = descriptors()
    client, server = connected(back, family)
    task = Task(functools.partial(authority.server.wrap_socket, server, server_side=True))
    with authority.client.wrap_socket(client, server_hostname=family.far) as ours, task.answer() as theirs:
        assert ours.version() == theirs.version() == "TLSv1.3"
        assert (client.fileno(), server.fileno()) == (-1, -1)
        assert ours.gettimeout() == DEADLINE
        # One direction after the other: a TLS object is for one thread at a time.
        for sender, receiver in ((ours, theirs), (theirs, ours)):
            task = Task(sender.sendall, DATA)
            got = bytearray()
            while len(got) < len(DATA):
                got += receiver.recv(1 << 16)
            assert got == DATA
            task.answer()
        ours.settimeout(0.01)
        with pytest.raises(TimeoutError):
            ours.recv(1)
        ours.settimeout(DEADLINE)
        end = Task(theirs.unwrap)
        ours.unwrap().close()
        end.answer().close()
    end_of_wait = time.monotonic() + DEADLINE
    while descriptors() > before:  # the stack's ends are closed once they see the end of these
        assert time.monotonic() < end_of_wait


def test_tls_without_waiting(back: Back, authority: Authority) -> None:
    """The descriptor that an event loop watched before is watched after, under the same number."""
    client, server = connected(back)
    number = client.fileno()
    task = Task(functools.partial(authority.server.wrap_socket, server, server_side=True))
    client.setblocking(False)
    with authority.client.wrap_socket(client, server_hostname=V4.far, do_handshake_on_connect=False) as ours:
        assert ours.fileno() == number
        waits = 0

        def patient(call: Any) -> Any:
            nonlocal waits
            while True:
                try:
                    return call()
                except ssl.SSLWantReadError:
                    assert select.select([ours], [], [], DEADLINE)[0]
                waits += 1

        patient(ours.do_handshake)
        with task.answer() as theirs:
            theirs.sendall(b"x")
            assert patient(lambda: ours.recv(1)) == b"x"
        assert waits < 100


def test_tls_in_memory(pair: Pair, authority: Authority) -> None:
    """MemoryBIO: the descriptor is not touched at all."""

    def step(sock: socket.socket, into: ssl.MemoryBIO, out: ssl.MemoryBIO, call: Any) -> Any:
        while True:
            try:
                done = call()
            except ssl.SSLWantReadError:
                sock.sendall(out.read())
                into.write(sock.recv(1 << 16))
                continue
            sock.sendall(out.read())
            return done

    def serve() -> bytes:
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = authority.server.wrap_bio(into, out, server_side=True)
        step(pair.server, into, out, tls.do_handshake)
        return bytes(step(pair.server, into, out, lambda: tls.read(100)))

    before = descriptors()
    task = Task(serve)
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = authority.client.wrap_bio(into, out, server_hostname=V4.far)
    step(pair.client, into, out, tls.do_handshake)
    step(pair.client, into, out, lambda: tls.write(b"secret"))
    assert task.answer() == b"secret"
    assert descriptors() == before


@pytest.mark.parametrize("state", ["fresh", "reset"])
def test_what_is_no_connection_is_no_stream(back: Back, authority: Authority, state: str) -> None:
    """ssl takes the descriptor's number before it asks for a stream, and closes it when it gets none. So the number is ssl's, and
    nobody closes it a second time, when it may be anybody's."""
    client, server = connected(back)
    with client, back.far.socket() as fresh, server:
        sock = {"fresh": fresh, "reset": server}[state]
        if state == "reset":
            client.abort()
            assert usertcp.poll([(server, select.POLLERR)], DEADLINE)
        number = sock.fileno()
        with pytest.warns(ResourceWarning, match="unclosed <ssl.SSLSocket"):
            with pytest.raises(OSError) as caught:
                authority.server.wrap_socket(sock, server_side=True)
            assert caught.value.errno in (errno.EINVAL, errno.ENOTCONN, errno.ECONNRESET)
            del caught
            gc.collect()
        with pytest.raises(OSError):
            os.fstat(number)
        other = os.open("/dev/null", os.O_RDONLY)
        if other != number:
            os.dup2(other, number)
            os.close(other)
        assert sock.fileno() != number
        assert select.select([sock], [], [], 0)[0] == ([sock] if state == "reset" else [])
        sock.close()
        os.fstat(number)
        os.close(number)


def test_programs_read_and_write_what_was_detached(back: Back) -> None:
    client, server = connected(back)
    server.settimeout(None)
    number = server.detach()
    assert os.get_blocking(number)
    assert (server.fileno(), server.detach()) == (-1, -1)
    with pytest.raises(OSError):
        server.recv(1)
    server.close()
    with subprocess.Popen(["cat"], stdin=number, stdout=number):
        os.close(number)
        task = Task(fill, client, DATA)
        assert drain(client) == task.answer()
    client.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_a_listener_is_detached_as_one_of_the_kernel(back: Back, host: str) -> None:
    listener = back.near.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    address = listener.getsockname()
    with socket.socket(fileno=listener.detach()) as kernel:
        assert (listener.fileno(), listener.detach()) == (-1, -1)
        assert usertcp.exported_addresses(kernel.fileno()) == (address, None)
        with back.far.create_connection(address[:2], timeout=DEADLINE) as client:
            kernel.settimeout(DEADLINE)
            stream, _ = kernel.accept()
            with stream:
                assert usertcp.exported_addresses(stream.fileno()) == (address, client.getsockname())
                client.sendall(b"to")
                assert stream.recv(2) == b"to"
            assert client.recv(1) == b""
    one, two = socket.socketpair()
    with one, two, pytest.raises(OSError, match="Invalid argument"):
        usertcp.exported_addresses(one.fileno())


def test_ssl_wraps_a_listener(back: Back, authority: Authority) -> None:
    """As servers do that wrap their socket once: ssl takes the number first, and goes on with what it names after that."""
    listener = back.far.create_server((V4.far, 0))
    address, number = listener.getsockname(), listener.fileno()
    with authority.server.wrap_socket(listener, server_side=True) as server:
        assert server.fileno() == number

        def serve() -> bytes:
            server.settimeout(DEADLINE)
            with server.accept()[0] as stream:
                heard = stream.recv(6)
                stream.sendall(heard.upper())
                return heard

        task = Task(serve)
        client = back.near.create_connection(address, timeout=DEADLINE)
        with authority.client.wrap_socket(client, server_hostname=V4.far) as tls:
            tls.sendall(b"secret")
            assert tls.recv(6) == b"SECRET"
        assert task.answer() == b"secret"


def test_files_are_sent_into_streams_only(back: Back, tmp_path: Path) -> None:
    """Event loops that send a file by the number of a socket are refused before they have sent anything, and fall back."""
    path = tmp_path / "file"
    path.write_bytes(DATA)
    client, server = connected(back)
    with client, path.open("rb") as file:
        with pytest.raises(OSError) as caught:
            os.sendfile(server.fileno(), file.fileno(), 0, 1000)
        assert caught.value.errno == errno.EINVAL
        with socket.socket(fileno=server.detach()) as stream:
            stream.settimeout(DEADLINE)
            task = Task(drain, client)
            assert stream.sendfile(file) == len(DATA)
            stream.shutdown(socket.SHUT_WR)
            assert task.answer() == hashlib.sha256(DATA).hexdigest()


def test_what_was_detached_is_a_socket_of_the_kernel(back: Back) -> None:
    client, server = connected(back)
    with client, socket.socket(fileno=server.detach()) as stream:
        assert not os.get_blocking(stream.fileno())
        stream.settimeout(DEADLINE)
        task = Task(fill, client, DATA)
        assert drain(stream) == task.answer()
        task = Task(fill, stream, DATA)
        assert drain(client) == task.answer()


SELECTORS = [selectors.SelectSelector, selectors.PollSelector, selectors.EpollSelector]


@pytest.mark.parametrize("kind", SELECTORS)
def test_selectors(back: Back, kind: type[selectors.BaseSelector]) -> None:
    def ready(timeout: float = 0) -> dict[Any, int]:
        return {key.fileobj: events for key, events in selector.select(timeout)}

    both = selectors.EVENT_READ | selectors.EVENT_WRITE
    with kind() as selector, back.far.create_server((V4.far, 0)) as listener, back.near.socket() as client:
        client.setblocking(False)
        selector.register(listener, both)
        assert ready() == {}
        selector.register(client, both)
        client.connect_ex(listener.getsockname())
        while not (found := ready(DEADLINE)).get(client):
            pass
        assert found[client] == selectors.EVENT_WRITE
        selector.modify(client, selectors.EVENT_READ)
        assert ready(DEADLINE) == {listener: selectors.EVENT_READ}
        server, _ = listener.accept()
        with server:
            assert ready() == {}
            selector.register(server, both)
            assert ready() == {server: selectors.EVENT_WRITE}
            client.send(b"ab")
            selector.modify(server, selectors.EVENT_READ)
            assert ready(DEADLINE) == {server: selectors.EVENT_READ}
            assert server.recv(1) == b"a"
            assert ready() == {server: selectors.EVENT_READ}
            assert server.recv(1) == b"b"
            assert ready() == {}
            selector.modify(client, both)
            with contextlib.suppress(BlockingIOError):
                while True:
                    client.send(bytes(1 << 20))
            while client in ready():
                with contextlib.suppress(BlockingIOError):
                    client.send(bytes(1 << 20))
            task = Task(drain, server)
            while client not in ready(DEADLINE):
                pass
            selector.unregister(server)
            client.shutdown(socket.SHUT_WR)
            task.answer()
            server.close()
            selector.modify(client, selectors.EVENT_READ)
            assert ready(DEADLINE) == {client: selectors.EVENT_READ}
            assert client.recv(1) == b""
            selector.unregister(client)


def test_edges(back: Back) -> None:
    """EPOLLET: one event for each arrival, none in between."""
    client, server = connected(back)
    with client, server, select.epoll() as epoll:
        epoll.register(server, select.EPOLLIN | select.EPOLLET)
        for _ in range(10):
            assert epoll.poll(0) == []
            client.sendall(b"x")
            assert epoll.poll(DEADLINE) == [(server.fileno(), select.EPOLLIN)]
            assert epoll.poll(0) == []
            assert server.recv(1) == b"x"


def test_a_descriptor_tells_errors_and_ends(back: Back) -> None:
    client, server = connected(back)
    with client, server:
        watcher = select.poll()
        watcher.register(server, select.POLLIN | select.POLLRDHUP)
        client.abort()
        ((number, events),) = watcher.poll(DEADLINE * 1000)
        assert number == server.fileno()
        assert events & select.POLLERR and events & select.POLLHUP
        assert server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET


def test_one_thread_closes_what_another_watches(back: Back) -> None:
    client, server = connected(back)
    number = server.fileno()
    before = descriptors()
    with select.epoll() as epoll:
        epoll.register(number, select.EPOLLIN)
        server.close()
        assert server.fileno() == -1
        assert epoll.poll(0) == []
    with pytest.raises(OSError):
        os.fstat(number)
    assert descriptors() < before
    client.close()


def test_descriptors_end_with_the_stack(back: Back) -> None:
    client, server = connected(back)
    number = client.fileno()
    task = Task(select.select, [number], [], [], DEADLINE)
    with contextlib.suppress(TimeoutError):
        back.near.close(timeout=0)
    assert task.answer()[0] == [number]
    client.close()
    with pytest.raises(OSError):
        os.fstat(number)
    server.abort()


def test_threads_and_selectors_at_once(back: Back) -> None:
    """Descriptors are made while other threads work with the sockets, and tell the truth."""
    pairs = [connected(back) for _ in range(16)]
    tasks = [Task(fill, client, DATA) for client, _ in pairs]
    digests: dict[Any, Any] = {server: hashlib.sha256() for _, server in pairs}
    with selectors.DefaultSelector() as selector:
        for server in digests:
            server.setblocking(False)
            selector.register(server, selectors.EVENT_READ)
        while selector.get_map():
            found = selector.select(DEADLINE)
            assert found
            for key, _ in found:
                sock = cast(usertcp.Socket, key.fileobj)
                with contextlib.suppress(BlockingIOError):
                    piece = sock.recv(1 << 16)
                    digests[sock].update(piece)
                    if not piece:
                        selector.unregister(sock)
    sent = [task.answer() for task in tasks]
    assert [digest.hexdigest() for digest in digests.values()] == sent
    for client, server in pairs:
        client.close()
        server.close()
