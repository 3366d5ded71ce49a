"""Simulated networks: hosts, names, links and their faults, partitions, the end."""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import logging
import math
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import usertcp
from usertcp import sim

DATA = bytes(range(256)) * 400


@pytest.fixture
def net() -> Iterator[sim.Network]:
    with sim.Network(seed=7) as net:
        yield net


def echo(host: sim.Host, port: int = 7, family: int = socket.AF_INET) -> None:
    """Serves one client."""
    with host.create_server(("", port), family=family) as listener:
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(1 << 16):
                connection.sendall(data)


def echoed(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
    with connection.makefile("rb") as file:
        return file.read()


def test_one_thread_and_nobody_else(net: sim.Network) -> None:
    """Each call that waits lets the rest go on."""
    a, b = net.host(), net.host()
    net.link(a, b, delay=0.01)
    with b.create_server(("", 80)) as listener, a.create_connection((b.address, 80)) as client:
        assert net.now == pytest.approx(0.02)
        server, peer = listener.accept()
        with server:
            assert peer == client.getsockname()
            client.sendall(b"question")
            assert server.recv(100) == b"question"
            server.sendall(b"answer")
            assert client.recv(100) == b"answer"
    assert net.now < 0.1


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["v4", "v6"])
def test_both_families(net: sim.Network, family: socket.AddressFamily) -> None:
    a, b = net.host("a"), net.host("b")
    net.link(a, b, delay=0.02, rate=10e6)
    task = net.spawn(echo, b, 7, family)
    address = next(each for each in b.addresses if (":" in each) == (family == socket.AF_INET6))
    with a.create_connection((address, 7), timeout=30) as client:
        assert client.family == family
        assert echoed(client, DATA) == DATA
    task.result()
    assert net.now > 8 * len(DATA) / 10e6


def test_addresses_that_nobody_chose(net: sim.Network) -> None:
    a = net.host("a")
    b = net.host("b", addresses=["192.0.2.2/24", "2001:db8::2/64"])
    c = net.host("c")
    assert (a.addresses, c.addresses) == (["192.0.2.1", "2001:db8::1"], ["192.0.2.3", "2001:db8::3"])
    assert (a.address, b.address) == ("192.0.2.1", "192.0.2.2")
    assert net.hosts == [a, b, c]
    assert repr(a) == "<usertcp.sim.Host 'a' 192.0.2.1 2001:db8::1>"
    one = net.host("one", addresses="203.0.113.9/32")
    assert one.addresses == ["203.0.113.9"]
    with pytest.raises(ValueError, match="'a' already"):
        net.host("a")
    with pytest.raises(ValueError, match="'a' already"):
        net.router("a")


def test_names(net: sim.Network) -> None:
    a, b = net.host("a"), net.host("b")
    net.link(a, b)
    net.names["www.example.com"] = ["203.0.113.1", b.address]
    net.names["Only.example.com"] = ["2001:db8::2"]
    infos = a.getaddrinfo("b", 80, type=socket.SOCK_STREAM)
    assert [info[4][:2] for info in infos] == [(each, 80) for each in b.addresses]
    assert a.gethostbyname("www.example.com") == "203.0.113.1"
    assert a.gethostbyname_ex("b") == ("b", [], ["192.0.2.2"])
    assert a.gethostbyaddr("2001:db8::2")[0] == "b"
    assert a.getnameinfo(("192.0.2.2", 80), 0) == ("b", "http")
    assert a.getnameinfo(("192.0.2.9", 80), socket.NI_NUMERICSERV) == ("192.0.2.9", "80")
    assert a.gethostname() == "a"
    for name in ("nobody", "localhost.example"):
        with pytest.raises(socket.gaierror):
            a.getaddrinfo(name, 80)
    with pytest.raises(socket.gaierror):
        a.gethostbyname("only.example.com")
    with pytest.raises(socket.herror):
        a.gethostbyaddr("192.0.2.77")
    with pytest.raises(socket.gaierror):
        net.names["bad"] = ["b"]
    with b.create_server(("b", 80)) as listener, a.socket() as client:
        client.connect(("b", 80))
        server, peer = listener.accept()
        with server:
            assert peer == client.getsockname()
        assert a.getaddrinfo("127.0.0.1", 80)[0][4] == ("127.0.0.1", 80)
    del net.names["b"]
    with pytest.raises(socket.gaierror):
        a.getaddrinfo("b", 80)


def test_the_addresses_of_a_name_are_tried_in_turn(net: sim.Network) -> None:
    a, b = net.host("a"), net.host("b")
    net.link(a, b)
    net.names["service"] = [b.address, b.addresses[1]]
    with b.create_server(("::", 80), family=socket.AF_INET6):
        with a.create_connection(("service", 80)) as client:
            assert client.getpeername()[0] == b.addresses[1]
    with pytest.raises(ConnectionRefusedError):
        a.create_connection(("service", 80))
    with pytest.raises(ExceptionGroup) as caught:
        a.create_connection(("service", 80), all_errors=True)
    assert [type(error) for error in caught.value.exceptions] == [ConnectionRefusedError] * 2


def test_datagrams(net: sim.Network) -> None:
    a, b = net.host("a"), net.host("b")
    net.link(a, b, delay=0.5)
    with a.socket(type=socket.SOCK_DGRAM) as one, b.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("", 53))
        one.sendto(b"question", ("b", 53))
        data, sender = other.recvfrom(100)
        assert data == b"question" and net.now == pytest.approx(0.5)
        other.sendto(b"answer", sender)
        assert one.recvfrom(100) == (b"answer", (b.address, 53))
        one.settimeout(30)
        with pytest.raises(TimeoutError):
            one.recv(1)
        assert net.now == pytest.approx(31)


def test_half_a_minute_takes_no_time(net: sim.Network) -> None:
    begun = time.monotonic()
    a, b = net.host("a"), net.host("b")
    link = net.link(a, b, delay=0.1)
    with b.create_server(("", 80)), a.create_connection(("b", 80), timeout=30) as client:
        before = net.now
        with pytest.raises(TimeoutError, match="timed out"):
            client.recv(1)
        assert net.now - before == pytest.approx(30)
    link.cut()
    before = net.now
    with pytest.raises(TimeoutError):
        a.create_connection(("192.0.2.2", 80), timeout=30)
    assert net.now - before == pytest.approx(30)
    net.sleep(3600)
    assert net.now - before == pytest.approx(3630)
    assert time.monotonic() - begun < 5


def test_a_loss_is_made_good(net: sim.Network) -> None:
    a, b = net.host("a"), net.host("b")
    link = net.link(a, b, rate=50e6, delay=0.01, loss=0.03, reorder=0.02, duplicate=0.02)
    task = net.spawn(echo, b)
    with a.create_connection(("b", 7), timeout=60) as client:
        assert echoed(client, DATA * 10) == DATA * 10
    task.result()
    assert link.counters.forward["lost"] > 0 and link.counters.back["lost"] > 0
    assert sum(host.counters()["tcp_retransmits"] for host in (a, b)) > 0


def test_settings_of_a_link(net: sim.Network) -> None:
    a, b = net.host("a"), net.host("b")
    link = net.link(a, b, rate=10e6, delay=0.02, back=usertcp.Impairment(loss=0.5, delay=1))
    assert (link.forward, link.back) == (
        usertcp.Impairment(rate=10_000_000, delay=0.02),
        usertcp.Impairment(rate=10_000_000, delay=0.02, loss=0.5),
    )
    link.set(loss=0.0, mtu=1280, mtu_told=True)
    assert link.back == link.forward == usertcp.Impairment(rate=10_000_000, delay=0.02, mtu=1280, mtu_told=True)
    link.set(forward=usertcp.Impairment(), delay=0.5)
    assert link.forward == usertcp.Impairment(delay=0.5)
    assert link.back.mtu == 1280
    assert link.ends == (a, b) and repr(link) == "<usertcp.sim.Link 'a' - 'b'>"
    with pytest.raises(TypeError, match="no 'colour': it has rate"):
        link.set(colour=1)
    with pytest.raises(ValueError, match="probability"):
        link.set(loss=2)
    assert link.forward == usertcp.Impairment(delay=0.5)
    for rate in (0.5, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="rate must be a whole number"):
            link.set(rate=rate)
    with pytest.raises(ValueError, match="itself"):
        net.link(a, a)
    with sim.Network() as other, pytest.raises(ValueError, match="not of this network"):
        net.link(a, other.host())


def arrivals(net: sim.Network, pause: float, **settings: Any) -> tuple[sim.Link, list[tuple[int, float]]]:
    """Sends two hundred numbered datagrams one way over a link: which of them arrived, and after how long."""
    a, b = net.host("a"), net.host("b")
    link = net.link(a, b, **settings)
    came: list[tuple[int, float]] = []

    def receive() -> None:
        with b.socket(type=socket.SOCK_DGRAM) as sock, contextlib.suppress(TimeoutError):
            sock.bind(("", 53))
            sock.settimeout(10)
            while data := sock.recv(1000):
                number = int.from_bytes(data[:2], "big")
                came.append((number, net.now - number * pause))

    receiver = net.spawn(receive)
    with a.socket(type=socket.SOCK_DGRAM) as sock:
        for number in range(200):
            sock.sendto(number.to_bytes(2, "big") + bytes(198), (b.address, 53))
            net.sleep(pause)
        receiver.join()
    return link, came


@pytest.mark.parametrize(
    ("settings", "counter"),
    [
        ({"loss": 0.2}, "lost"),
        ({"burst_enter": 0.05, "burst_leave": 0.3, "burst_loss": 0.9}, "burst_lost"),
        ({"duplicate": 0.2}, "duplicated"),
        ({"reorder": 0.2}, "reordered"),
        ({"corrupt": 0.2}, "corrupted"),
        ({"rate": 1e6, "queue": 10}, "dropped"),
        ({"rate": 1e6, "queue_bytes": 3000}, "dropped"),
        ({"police_rate": 1e5, "police_burst": 3000}, "policed"),
        ({"mtu": 100}, "too_big"),
        ({"delay": 0.1, "memory": 10_000}, "overflowed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_fault_of_a_link_is_seen_and_counted(net: sim.Network, settings: dict[str, float], counter: str) -> None:
    link, came = arrivals(net, 0.0, **settings)
    assert [number for number, _ in came] != list(range(200))
    there = link.counters.forward
    assert there["packets"] == 200 and there[counter] > 0
    assert {name for name, count in there.items() if count} <= {"packets", "delivered", "bytes", counter}


def test_jitter_spreads_arrivals(net: sim.Network) -> None:
    _, came = arrivals(net, 0.1, delay=0.1, jitter=0.05)
    times = [time for _, time in came]
    assert len(came) == 200 and 0.1 <= min(times) < 0.11 and 0.14 < max(times) <= 0.15
    assert len(set(times)) > 190


def test_a_change_holds_from_then_on(net: sim.Network) -> None:
    a, b = net.host("a"), net.host("b")
    link = net.link(a, b)
    with b.create_server(("", 80)) as listener, a.create_connection(("b", 80)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server, _ = listener.accept()
        with server:
            for delay in (0.0, 0.25, 0.125):
                link.set(forward=usertcp.Impairment(delay=delay))
                before = net.now
                client.sendall(b"x")
                assert server.recv(1) == b"x"
                assert net.now - before == pytest.approx(delay, abs=1e-6)
                net.run_for(2)  # what was sent again comes too


def test_a_small_link_cuts_segments_down(net: sim.Network) -> None:
    a, b = net.host("a"), net.host("b")
    net.link(a, b, mtu=1280, mtu_told=True)
    task = net.spawn(echo, b)
    with a.create_connection(("b", 7), timeout=60) as client:
        assert echoed(client, DATA) == DATA
        assert client.tcp_info().pmtu == 1280
    task.result()


def test_no_way_there(net: sim.Network) -> None:
    a, b = net.host("a"), net.host("b")
    with pytest.raises(OSError) as caught:
        a.create_connection((b.address, 80), timeout=30)
    assert caught.value.errno == errno.ENETUNREACH
    assert net.unroutable > 0
    net.link(a, b)
    with pytest.raises(ConnectionRefusedError):
        a.create_connection((b.address, 80), timeout=30)


def test_a_host_that_intercepts_what_is_for_others(net: sim.Network) -> None:
    a, proxy = net.host("a"), net.host("proxy")
    net.link(a, proxy, delay=0.01)
    with proxy.intercept("203.0.113.0/24", 443) as interceptor:

        def serve() -> bytes:
            request = interceptor.next()
            assert request.local[:2] == ("203.0.113.77", 443)
            with request.accept() as connection:
                return connection.recv(100)

        task = net.spawn(serve)
        with a.create_connection(("203.0.113.77", 443), timeout=10) as client:
            client.sendall(b"hello")
            assert task.result() == b"hello"


def test_a_cut_link_heals(net: sim.Network) -> None:
    """What was sent meanwhile comes in the end."""
    a, b = net.host("a"), net.host("b")
    link = net.link(a, b, delay=0.01)
    with b.create_server(("", 80)) as listener, a.create_connection(("b", 80)) as client:
        server, _ = listener.accept()
        with server:
            link.cut()
            assert link.is_cut and repr(link).endswith("[cut]>")
            client.sendall(b"through")
            server.settimeout(20)
            with pytest.raises(TimeoutError):
                server.recv(100)
            assert link.counters.forward["cut"] > 0
            link.heal()
            server.settimeout(60)
            assert server.recv(100) == b"through"
            assert 20 < net.now < 80


def reaches(a: sim.Host, b: sim.Host) -> bool:
    """Whether a connection is refused, which takes a way there and back."""
    try:
        a.create_connection((b.address, 9), timeout=1)
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def test_partitions_of_neighbours(net: sim.Network) -> None:
    a, b, c = (net.host(name) for name in "abc")
    links = [net.link(a, b), net.link(b, c), net.link(a, c)]
    net.partition([a], [b, c])
    assert [link.is_cut for link in links] == [True, False, True]
    assert not reaches(a, b) and not reaches(c, a) and reaches(b, c)
    net.heal()
    assert reaches(a, b) and reaches(c, a)
    for nothing in ("a", None, object()):
        with pytest.raises(TypeError, match="no host or router"):
            net.partition([a], [nothing])  # type: ignore[list-item]
    net.partition([b])
    assert [link.is_cut for link in links] == [True, True, False]
    net.heal()
    net.partition([a], [b])  # and c is in between
    assert [link.is_cut for link in links] == [True, False, False]
    with pytest.raises(ValueError, match="two groups"):
        net.partition([a], [a, b])


def test_partitions_behind_routers(net: sim.Network) -> None:
    """Routers go with those that they are nearest to."""
    a, b, c = (net.host(name) for name in "abc")
    left, right = net.router("left"), net.router()
    assert (left.name, right.name, repr(left)) == ("left", "router2", "<usertcp.sim.Router 'left'>")
    star = [net.link(left, host) for host in (a, b)]
    middle, last = net.link(left, right), net.link(right, c)
    assert reaches(a, b) and reaches(a, c)
    net.partition([a, b], [c])
    assert [link.is_cut for link in (*star, middle, last)] == [False, False, True, False]
    assert reaches(a, b) and not reaches(a, c)
    net.heal()
    net.partition([a], [b, c])
    assert [link.is_cut for link in (*star, middle, last)] == [True, False, False, False]
    assert reaches(b, c) and not reaches(b, a)


def test_a_host_is_a_stack(net: sim.Network, tmp_path: Path) -> None:
    trace, capture = tmp_path / "a.qlog", tmp_path / "a.pcapng"
    a = net.host("a", trace=trace, pcap=capture, config={"tcp.syn_retries": 2})
    b = net.host("b")
    net.link(a, b)
    assert isinstance(a, usertcp.Stack) and a.network is net
    with b.create_server(("", 80)) as listener, a.create_connection(("b", 80)):
        assert {str(info.local) for info in b.sockets()} >= {str(("0.0.0.0", 80))}
        assert usertcp.poll([(listener, 1)], 0) == [(listener, 1)]
    net.run_for(1)
    assert a.counters()["tcp_segments_in"] > 0
    net.close()
    assert capture.stat().st_size > 100
    events = [json.loads(line) for line in trace.read_text().splitlines()]
    assert any("syn" in json.dumps(event).lower() for event in events)


@pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])
def test_a_host_has_a_log_and_an_mtu(net: sim.Network, caplog: pytest.LogCaptureFixture, patched: bool) -> None:
    caplog.set_level(logging.DEBUG, "usertcp")
    with sim.patch_time(net) if patched else contextlib.nullcontext():
        a, b, silent = net.host("a", log="debug", mtu=1300), net.host("b", log="info"), net.host("silent")
        for host in (b, silent):
            net.link(a, host)
            with host.create_server(("", 80)), a.create_connection((host.name, 80)) as client:
                info = client.tcp_info()
                assert info.pmtu == 1300 and 1200 < info.snd_mss < 1300 - 40
        net.close()
    records = [(record.name, record.levelname, record.getMessage()) for record in caplog.records]
    assert {(name, level) for name, level, _ in records} == {("usertcp", "INFO"), ("usertcp", "DEBUG")}
    texts = [text for _, _, text in records]
    assert any("opened on a, MTU 1300" in text for text in texts) and any("opened on b, MTU 1500" in text for text in texts)
    assert not any("silent" in text for text in texts)
    assert any("192.0.2.2:80: connecting" in text for text in texts)


def test_what_the_kernel_would_have_to_do(net: sim.Network) -> None:
    a, b = net.host("a"), net.host("b")
    net.link(a, b)
    with b.create_server(("", 80)), a.create_connection(("b", 80)) as client:
        with pytest.raises(OSError) as caught:
            client.detach()
        assert caught.value.errno == errno.EOPNOTSUPP
        assert client.fileno() >= 0


def test_the_end(net: sim.Network) -> None:
    a, b = net.host("a"), net.host("b")
    net.link(a, b)
    listener = b.create_server(("", 80))
    client = a.create_connection(("b", 80))
    caught: list[OSError] = []

    def wait() -> None:
        try:
            client.recv(1)
        except OSError as error:
            caught.append(error)
            raise

    net.spawn(wait)
    net.run_for(1)
    assert not net.closed
    net.close()
    net.close()
    assert net.closed and a.closed and b.closed
    assert repr(net) == "<usertcp.sim.Network seed=7 closed>"
    assert len(caught) == 1
    for call in (lambda: client.recv(1), lambda: listener.accept(), lambda: net.sleep(1), a.socket):
        with pytest.raises(OSError):
            call()
    client.close()
    listener.close()


def test_a_network_left_open_is_told() -> None:
    net = sim.Network()
    net.host("a")
    with pytest.warns(ResourceWarning, match="unclosed <usertcp.sim.Network seed=0"):
        del net
        gc.collect()


def test_bad_times(net: sim.Network) -> None:
    for seconds in (-1, -math.inf):
        with pytest.raises(ValueError, match="non-negative"):
            net.sleep(seconds)
    net.sleep(0)
    assert net.now == 0


def test_threads_that_have_no_part_are_served(net: sim.Network) -> None:
    """Such as those of a test runner: they may look, and what they do counts."""
    a = net.host("a")
    seen: list[object] = []

    def look() -> None:
        with a.create_server(("", 80)) as listener:
            listener.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                listener.accept()
            seen.extend((listener.getsockname(), net.now))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join(20)
    assert seen == [("0.0.0.0", 80), 0]
