"""Connection requests for hosts that the stack is not: accepted, refused, dropped, by whatever thread."""

from __future__ import annotations

import errno
import select
import socket
import threading
from collections.abc import Iterator

import pytest
import usertcp
from conftest import DEADLINE, V4, Back, Family


def begun(back: Back, target: tuple[str, int]) -> usertcp.Socket:
    client = back.far.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET)
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.connect(target)
    return client


def outcome(client: usertcp.Socket) -> int:
    assert select.select([], [client], [], DEADLINE)[1]
    return client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


@pytest.mark.parametrize(
    ("prefix", "target"),
    [
        ("203.0.113.0/24", ("203.0.113.9", 80)),
        ("8.8.8.8", ("8.8.8.8", 53)),
        ("2001:db8:5::/48", ("2001:db8:5:6::7", 65535)),
    ],
)
def test_a_connection_to_somebody_else_is_accepted(back: Back, prefix: str, target: tuple[str, int]) -> None:
    with back.near.intercept(prefix) as interceptor, begun(back, target) as client:
        interceptor.settimeout(DEADLINE)
        assert select.select([interceptor], [], [], DEADLINE)[0]
        syn = interceptor.next()
        assert (syn.local[:2], syn.peer) == (target, client.getsockname())
        assert (syn.mss, syn.ecn) == (1440 if ":" in prefix else 1460, False)
        assert 0 <= syn.age < DEADLINE
        assert repr(syn).startswith("<usertcp.Syn for ")
        with syn.accept(DEADLINE) as server:
            assert server.getsockname()[:2] == target
            assert outcome(client) == 0
            client.setblocking(True)
            server.sendall(b"hello")
            assert client.recv(5) == b"hello"
        with pytest.raises(OSError) as caught:
            syn.refuse()
        assert caught.value.errno == errno.EBADF


def test_refused_dropped_and_forgotten(back: Back) -> None:
    with back.near.intercept("203.0.113.0/24", 80) as interceptor:
        interceptor.settimeout(DEADLINE)
        with begun(back, ("203.0.113.1", 80)) as client:
            interceptor.next().refuse()
            assert outcome(client) == errno.ECONNREFUSED
        with begun(back, ("203.0.113.1", 80)):
            interceptor.next().drop()
        with begun(back, ("203.0.113.2", 80)):
            interceptor.next()  # forgotten
        counters = back.near.counters()
        assert (counters["tcp_syns_refused"], counters["tcp_syns_dropped"]) == (1, 2)
        interceptor.settimeout(0)
        with pytest.raises(BlockingIOError):
            interceptor.next()
        with begun(back, ("203.0.113.3", 80)):
            interceptor.settimeout(DEADLINE)
            late = interceptor.next()
    with pytest.raises(OSError) as caught:
        late.accept()
    assert caught.value.errno == errno.ECANCELED


def test_what_makes_no_sense(back: Back) -> None:
    for prefix, ports, queue, timeout in [
        ("example.com", None, None, None),
        ("203.0.113.0/24", 0, None, None),
        ("203.0.113.0/24", (9, 8), None, None),
        ("203.0.113.0/24", 65536, None, None),
        ("203.0.113.0/24", None, 0, None),
        ("203.0.113.0/24", None, -1, None),
        ("203.0.113.0/24", None, None, 0.0),
    ]:
        with pytest.raises(OSError) as caught:
            back.near.intercept(prefix, ports, queue=queue, timeout=timeout)
        assert caught.value.errno == errno.EINVAL
    with back.near.intercept("203.0.113.0/24", (80, 89)) as one:
        with pytest.raises(OSError) as caught:
            back.near.intercept("203.0.113.0/24", (89, 99))
        assert caught.value.errno == errno.EADDRINUSE
        with pytest.raises(OSError) as caught:
            one.accept()
        assert caught.value.errno == errno.EOPNOTSUPP


@pytest.fixture
def wide(granted: None) -> Iterator[usertcp.Sandbox]:
    """A sandbox whose kernel sends what is for 203.0.113.0/24 and 2001:db8:5::/64 to the stack."""
    addresses = ["192.0.2.1/24", "203.0.113.1/24", "2001:db8:5::1/64"]
    with usertcp.Sandbox(host_addresses=addresses) as sandbox:
        yield sandbox


def test_threads_decide_about_what_the_kernel_asks_for(wide: usertcp.Sandbox) -> None:
    with wide.stack(addresses=["192.0.2.2/24"]) as stack:
        interceptors = [stack.intercept(prefix) for prefix in ("203.0.113.0/24", "2001:db8:5::/64")]

        def decide(interceptor: usertcp.Interceptor) -> None:
            for syn in interceptor:
                if syn.local[1] % 2:
                    syn.refuse()
                else:
                    with syn.accept(DEADLINE) as server:
                        server.sendall(repr(syn.local[:2]).encode())

        threads = [threading.Thread(target=decide, args=[each]) for each in interceptors * 5]
        for thread in threads:
            thread.start()
        for number in range(60):
            target = (f"203.0.113.{number + 2}", 1000 + number)
            family = socket.AF_INET
            if number % 3 == 0:
                target, family = (f"2001:db8:5::{number + 2:x}", 1000 + number), socket.AF_INET6
            with wide.socket(family) as client:
                client.settimeout(DEADLINE)
                if number % 2:
                    with pytest.raises(ConnectionRefusedError):
                        client.connect(target)
                else:
                    client.connect(target)
                    assert client.recv(100, socket.MSG_WAITALL) == repr(target).encode()
        for each in interceptors:
            each.close()
        for thread in threads:
            thread.join()


def test_a_transparent_socket_connects_from_anothers_address(back: Back, family: Family) -> None:
    if family == V4:
        own, level, option = ("203.0.113.9", 4000), socket.IPPROTO_IP, socket.IP_TRANSPARENT
    else:
        own, level, option = ("2001:db8:5::9", 4000), socket.IPPROTO_IPV6, 75
    with (
        back.far.create_server((family.far, 0), family=family.number) as listener,
        back.near.socket(family.number) as client,
    ):
        assert client.getsockopt(level, option) == 0
        with pytest.raises(OSError) as caught:
            client.bind(own)
        assert caught.value.errno == errno.EADDRNOTAVAIL
        client.setsockopt(level, option, 1)
        client.bind(own)
        for sock in (client, listener):
            sock.settimeout(DEADLINE)
        client.connect(listener.getsockname())
        server, peer = listener.accept()
        with server:
            assert peer[:2] == client.getsockname()[:2] == own
            server.sendall(b"hello")
            assert client.recv(5) == b"hello"
            client.sendall(b"hello")
            assert server.recv(5) == b"hello"
