"""In the block of `Host.patch`, programs that know nothing of networks run on a host of one."""

from __future__ import annotations

import contextvars
import http.server
import os
import random
import select
import selectors
import socket
import socketserver
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from socket import create_connection as by_name
from typing import Any, NamedTuple

import pytest
import usertcp
from usertcp import sim

DATA = random.Random(6).randbytes(200_000)
KERNEL = socket.socket


class Two(NamedTuple):
    """Two hosts with a link."""

    net: sim.Network
    client: sim.Host
    server: sim.Host
    link: sim.Link


@pytest.fixture
def two() -> Iterator[Two]:
    with sim.Network(seed=5) as net:
        client, server = net.host("client"), net.host("server")
        yield Two(net, client, server, net.link(client, server, delay=0.01))


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    assert socket.socket is KERNEL
    assert "usertcp" not in repr(socket.gethostname)


def connected(two: Two) -> tuple[usertcp.Socket, usertcp.Socket]:
    with two.server.create_server(("", 0)) as listener:
        client = two.client.create_connection((two.server.address, listener.getsockname()[1]))
        return client, listener.accept()[0]


def test_what_becomes_the_hosts(two: Two) -> None:
    with two.client.patch():
        for arguments in ((), (socket.AF_INET6,), (socket.AF_INET, socket.SOCK_DGRAM), (-1, -1, -1)):
            with socket.socket(*arguments) as sock:
                assert type(sock) is usertcp.Socket and sock._stack is two.client
        with socket.socket(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
            assert sock.gettimeout() == 0
    with socket.socket() as sock:
        assert type(sock) is KERNEL


def test_what_stays_the_kernels(two: Two) -> None:
    with two.client.patch():
        one, other = socket.socketpair()
        with one, other, socket.socket(fileno=os.dup(one.fileno())) as again, one.dup() as twice:
            assert {type(each) for each in (one, other, again, twice)} == {KERNEL}
        with socket.socket(socket.AF_UNIX) as listener:
            assert type(listener) is KERNEL and isinstance(listener, socket.socket)


def test_it_holds_for_the_code_of_the_block_only(two: Two) -> None:
    def kind() -> type:
        with socket.socket() as sock:
            return type(sock)

    with two.client.patch():
        assert kind() is usertcp.Socket
        assert contextvars.Context().run(kind) is KERNEL
        with two.server.patch(), socket.socket() as sock:
            assert isinstance(sock, usertcp.Socket) and sock._stack is two.server
        with socket.socket() as sock:
            assert isinstance(sock, usertcp.Socket) and sock._stack is two.client


def test_names(two: Two) -> None:
    with two.client.patch():
        assert socket.gethostname() == "client"
        assert socket.gethostbyname("server") == two.server.address
        assert socket.gethostbyaddr(two.server.address)[0] == "server"
        assert socket.getfqdn(two.server.address) == "server"
        assert socket.gethostbyname_ex("server")[2] == [two.server.address]
        assert socket.getnameinfo((two.server.address, 80), 0)[0] == "server"
        assert socket.getaddrinfo("server", 80)[0][4] == (two.server.address, 80)
        with pytest.raises(socket.gaierror):
            socket.getaddrinfo("www.example.com", 80)


def test_the_functions_of_the_module(two: Two) -> None:
    """Also where they were taken by name."""
    with two.server.patch():
        listener = socket.create_server(("", 80))
    with listener, two.client.patch():
        for connect in (socket.create_connection, by_name):
            with connect(("server", 80), 5) as client, listener.accept()[0] as server:
                assert type(client) is usertcp.Socket
                client.sendall(b"x")
                assert server.recv(1) == b"x"


def test_a_task_on_a_host(two: Two) -> None:
    def serve() -> bytes:
        with socket.create_server(("", 80)) as listener:
            connection, _ = listener.accept()
            with connection:
                time.sleep(30)
                return connection.recv(100)

    def ask() -> float:
        with socket.create_connection(("server", 80)) as sock:
            sock.sendall(b"hello")
            assert sock.recv(1) == b""
            return time.monotonic()

    server = two.net.spawn(serve, host=two.server)
    client = two.net.spawn(ask, host=two.client)
    assert server.result() == b"hello"
    assert client.result() == pytest.approx(30.03, abs=0.02)
    assert server.host is two.server


class Pages(http.server.BaseHTTPRequestHandler):
    """A page, a place to post to, and one that takes long."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(40)
        self.answer(DATA)

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers["Content-Length"]))[::-1])

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Says nothing."""


def serving(two: Two) -> http.server.ThreadingHTTPServer:
    with two.server.patch():
        web = http.server.ThreadingHTTPServer(("", 80), Pages)
        threading.Thread(target=web.serve_forever, name="web").start()
    return web


def stop(two: Two, web: socketserver.BaseServer) -> None:
    with two.server.patch():
        web.shutdown()
        web.server_close()


def test_a_web_server_and_urllib_over_a_bad_link(two: Two) -> None:
    two.link.set(loss=0.05, reorder=0.02, rate=20e6)
    web = serving(two)
    assert web.server_name == "0.0.0.0" or web.server_name == "server"
    with two.client.patch():
        for _ in range(3):
            with urllib.request.urlopen("http://server/", timeout=60) as answer:
                assert answer.read() == DATA
            with urllib.request.urlopen("http://server/", DATA, timeout=60) as answer:
                assert answer.read() == DATA[::-1]
                assert "2026" in answer.headers["Date"]
    assert two.link.counters.back["lost"] > 0
    stop(two, web)


def test_a_time_out_of_half_a_minute(two: Two) -> None:
    begun = time.monotonic()
    web = serving(two)
    with two.client.patch():
        before = time.monotonic()
        with pytest.raises(TimeoutError):
            urllib.request.urlopen("http://server/slow", timeout=30)
        assert time.monotonic() - before == pytest.approx(30, abs=0.1)
        with urllib.request.urlopen("http://server/slow", timeout=60) as answer:
            assert answer.read() == DATA
        two.link.cut()
        with pytest.raises(urllib.error.URLError, match="timed out"):
            urllib.request.urlopen("http://server/", timeout=30)
        two.link.heal()
    stop(two, web)
    assert time.monotonic() - begun < 20


def test_clients_in_a_pool_of_threads(two: Two) -> None:
    web = serving(two)

    def fetch(number: int) -> int:
        with urllib.request.urlopen("http://server/", b"%d" % number, timeout=30) as answer:
            return int(answer.read()[::-1])

    with two.client.patch(), ThreadPoolExecutor(5) as pool:
        assert list(pool.map(fetch, range(20))) == list(range(20))
    stop(two, web)


def test_socketserver_with_threads(two: Two) -> None:
    class Lines(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                time.sleep(1)
                self.wfile.write(line.upper())

    with two.server.patch():
        server = socketserver.ThreadingTCPServer(("", 23), Lines)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

    def talk(number: int) -> float:
        with socket.create_connection(("server", 23), 30) as sock, sock.makefile("rwb") as file:
            for word in (b"one", b"two"):
                file.write(b"%s %d\n" % (word, number))
                file.flush()
                assert file.readline() == b"%s %d\n" % (word.upper(), number)
            return time.monotonic()

    tasks = [two.net.spawn(talk, number, host=two.client) for number in range(4)]
    ends = [task.result() for task in tasks]
    assert max(ends) < 3, "they were not served beside each other"
    stop(two, server)
    assert not thread.is_alive()


def test_a_server_of_datagrams(two: Two) -> None:
    class Shout(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data, sock = self.request
            sock.sendto(data.upper(), self.client_address)

    with two.server.patch():
        server = socketserver.UDPServer(("", 53), Shout)
        threading.Thread(target=server.serve_forever).start()
    with two.client.patch(), socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.sendto(b"loud", ("server", 53))
        assert sock.recv(100) == b"LOUD"
    stop(two, server)


def test_handle_request_and_its_time_out(two: Two) -> None:
    with two.server.patch(), http.server.HTTPServer(("", 80), Pages) as web:
        web.timeout = 25
        before = time.monotonic()
        web.handle_request()
        assert time.monotonic() - before == pytest.approx(25)


def test_who_looks_again_and_again_gets_there(two: Two) -> None:
    client, server = connected(two)
    with two.client.patch(), client, server:
        server.sendall(b"x")
        while not select.select([client], [client], [], 0)[0]:
            pass
        assert client.recv(1) == b"x"


@pytest.mark.parametrize("how", ["select", "poll", "epoll"])
def test_waiting_for_simulated_sockets(two: Two, how: str) -> None:
    client, server = connected(two)
    with two.client.patch(), client, server:

        def send() -> None:
            time.sleep(3)
            server.sendall(b"x")

        def ready(timeout: float) -> list[int]:
            if how == "select":
                return [sock.fileno() for sock in select.select([client, server], [], [], timeout)[0]]
            if how == "poll":
                poll = select.poll()
                poll.register(client, select.POLLIN)
                poll.register(server.fileno(), select.POLLIN)
                return [fd for fd, events in poll.poll(timeout * 1000) if events & select.POLLIN]
            with select.epoll() as epoll:
                epoll.register(client, select.EPOLLIN)
                epoll.register(server, select.EPOLLIN)
                return [fd for fd, events in epoll.poll(timeout) if events & select.EPOLLIN]

        assert ready(2) == [] and time.monotonic() == pytest.approx(2.02, abs=0.01)
        threading.Thread(target=send).start()
        assert ready(10) == [client.fileno()]
        assert time.monotonic() == pytest.approx(5.03, abs=0.01)
        assert ready(0) == [client.fileno()]
        assert client.recv(1) == b"x" and ready(0) == []


def test_select_tells_of_what_can_be_written(two: Two) -> None:
    client, server = connected(two)
    with two.client.patch(), client, server:
        client.setblocking(False)
        assert select.select([], [client], [client]) == ([], [client], [])
        while select.select([], [client], [], 1)[1]:
            client.send(DATA)
        assert select.select([server], [client], [], 1) == ([server], [], [])
        number = client.fileno()
    with two.client.patch(), pytest.raises((OSError, ValueError)):
        select.select([number], [client], [], 1)


def test_poll_objects(two: Two) -> None:
    client, server = connected(two)
    with two.client.patch(), client, server:
        poll = select.poll()
        poll.register(client)
        assert poll.poll(0) == [(client.fileno(), select.POLLOUT)]
        poll.modify(client, select.POLLIN)
        assert poll.poll(5) == []
        server.close()
        assert poll.poll()[0][1] & select.POLLIN
        poll.unregister(client)
        assert poll.poll(1) == []
        with pytest.raises(KeyError):
            poll.unregister(client)
        with pytest.raises(FileNotFoundError):
            poll.modify(client, select.POLLIN)


def test_epoll_objects(two: Two) -> None:
    client, server = connected(two)
    with two.client.patch(), client, server:
        with select.epoll() as epoll:
            epoll.register(client, select.EPOLLOUT | select.EPOLLONESHOT)
            with pytest.raises(FileExistsError):
                epoll.register(client)
            assert epoll.poll(0) == [(client.fileno(), select.EPOLLOUT)]
            assert epoll.poll(1) == []
            epoll.modify(client, select.EPOLLOUT)
            epoll.register(server, select.EPOLLOUT)
            assert len(epoll.poll(0)) == 2 and len(epoll.poll(0, 1)) == 1
            with pytest.raises(OSError, match="no edges"):
                epoll.modify(client, select.EPOLLIN | select.EPOLLET)
            server.close()
            assert [fd for fd, _ in epoll.poll(0)] == [client.fileno()]
            epoll.unregister(client)
            with pytest.raises(FileNotFoundError):
                epoll.unregister(client)
            assert epoll.fileno() >= 0 and not epoll.closed
        assert epoll.closed
        with pytest.raises(ValueError, match="closed"):
            epoll.poll(0)


@pytest.mark.parametrize("kind", ["SelectSelector", "PollSelector", "EpollSelector", "DefaultSelector"])
def test_selectors(two: Two, kind: str) -> None:
    client, server = connected(two)
    with two.client.patch(), client, server, getattr(selectors, kind)() as selector:
        selector.register(client, selectors.EVENT_READ, "client")
        selector.register(server, selectors.EVENT_READ | selectors.EVENT_WRITE, "server")
        assert [(key.data, events) for key, events in selector.select(5)] == [("server", selectors.EVENT_WRITE)]
        selector.modify(server, selectors.EVENT_READ, "server")
        before = time.monotonic()
        assert selector.select(5) == [] and time.monotonic() - before == pytest.approx(5)
        server.sendall(b"x")
        assert [key.data for key, _ in selector.select()] == ["client"]
        selector.unregister(client)
        assert selector.select(1) == []


def test_sockets_and_files_of_the_kernel_together(two: Two) -> None:
    client, server = connected(two)
    one, other = socket.socketpair()
    with two.client.patch(), client, server, one, other:

        def write() -> None:
            time.sleep(2)
            other.send(b"x")
            time.sleep(2)
            server.send(b"y")

        thread = threading.Thread(target=write)
        thread.start()
        assert select.select([client, one], [], [])[0] == [one]
        assert time.monotonic() == pytest.approx(2.03, abs=0.02)
        one.recv(1)
        assert select.select([client, one], [], [])[0] == [client]
        thread.join()


def test_a_patch_of_a_stack_beside_it(two: Two) -> None:
    """The host's goes first where it holds."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right, usertcp.Stack(fd=left, addresses=["192.0.2.1/24"]) as stack, stack.patch():
        with socket.socket() as sock:
            assert isinstance(sock, usertcp.Socket) and sock._stack is stack
        with two.client.patch(), socket.socket() as sock:
            assert isinstance(sock, usertcp.Socket) and sock._stack is two.client
        with pytest.raises(RuntimeError, match="already"), stack.patch():
            pass


def test_a_patch_of_a_stack_within_it(two: Two) -> None:
    """Its end is not that of the host's, nor the other way round."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right, usertcp.Stack(fd=left, addresses=["192.0.2.1/24"]) as stack:
        with two.client.patch():
            with stack.patch(), socket.socket() as sock:
                assert isinstance(sock, usertcp.Socket) and sock._stack is two.client
            with socket.socket() as sock:
                assert isinstance(sock, usertcp.Socket) and sock._stack is two.client
            inner = stack.patch()
            inner.__enter__()
        with socket.socket() as sock:
            assert isinstance(sock, usertcp.Socket) and sock._stack is stack
        inner.__exit__(None, None, None)
    with socket.socket() as sock:
        assert type(sock).__module__ == "socket"
