"""Does the load balancer go on when the network between it and one of its servers parts?

A server that is unplugged refuses nothing: packets to it vanish, and only time tells. On loopback that cannot be had at all,
with containers it takes root and seconds. Here a partition is one call, and so is its end.
"""

import socket
import time
from collections.abc import Iterator

import pytest
from usertcp import sim

PORT = 9000


class Balancer:
    """The code under test: passes each request on to one of several servers, in turn.

    A server that cannot be reached within a second is left alone for half a minute.
    """

    PATIENCE = 1.0
    REST = 30.0

    def __init__(self, servers: list[str]) -> None:
        self.servers = servers
        self.rests_until = dict.fromkeys(servers, 0.0)

    def ask(self, request: bytes) -> bytes:
        """The answer of whichever server has one."""
        for server in list(self.servers):
            self.servers.append(self.servers.pop(0))
            if time.monotonic() < self.rests_until[server]:
                continue
            try:
                with socket.create_connection((server, PORT), timeout=self.PATIENCE) as connection:
                    connection.sendall(request)
                    connection.shutdown(socket.SHUT_WR)
                    with connection.makefile("rb") as stream:
                        return stream.read()
            except OSError:
                self.rests_until[server] = time.monotonic() + self.REST
        raise ConnectionError("no server can be reached")


def serve(name: bytes) -> None:
    """A server that tells who it is."""
    with socket.create_server(("", PORT)) as listener:
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as stream:
                connection.sendall(name + b" has " + stream.read())


class Site:
    """A balancer and two servers behind a router."""

    def __init__(self, net: sim.Network) -> None:
        self.net = net
        # One address each: of two, `create_connection` gives each its second.
        self.front = net.host("balancer", addresses="192.0.2.1/24")
        self.servers = [
            net.host("one", addresses="192.0.2.11/24"),
            net.host("two", addresses="192.0.2.12/24"),
        ]
        router = net.router("rack")
        for host in (self.front, *self.servers):
            net.link(host, router, delay=0.001)
        for host in self.servers:
            net.spawn(serve, host.name.encode(), host=host)
        self.balancer = Balancer(["one", "two"])

    def timed(self, request: bytes) -> tuple[bytes, float]:
        """An answer, and the seconds that it took."""
        began = time.monotonic()
        return self.balancer.ask(request), time.monotonic() - began


@pytest.fixture
def site(usertcp_net: sim.Network) -> Iterator[Site]:
    site = Site(usertcp_net)
    with site.front.patch():
        yield site


def test_requests_are_shared_out(site: Site) -> None:
    answers = [site.balancer.ask(b"it") for _ in range(4)]
    assert answers == [b"one has it", b"two has it"] * 2


def test_a_partition_costs_one_second_once(site: Site) -> None:
    site.net.partition([site.servers[0]], [site.front, site.servers[1]])
    answer, seconds = site.timed(b"it")
    assert answer == b"two has it" and 1.0 <= seconds < 1.1
    for _ in range(5):
        answer, seconds = site.timed(b"it")
        assert answer == b"two has it" and seconds < 0.1


def test_a_server_that_comes_back_is_used_again(site: Site) -> None:
    site.net.partition([site.servers[0]], [site.front, site.servers[1]])
    assert site.balancer.ask(b"it") == b"two has it"
    site.net.heal()
    assert site.balancer.ask(b"it") == b"two has it", "it is still left alone"
    time.sleep(Balancer.REST)
    assert {site.balancer.ask(b"it") for _ in range(2)} == {b"one has it", b"two has it"}


def test_nobody_left_is_an_error_and_not_a_hang(site: Site) -> None:
    site.net.partition([site.front], site.servers)
    began = time.monotonic()
    with pytest.raises(ConnectionError, match="no server"):
        site.balancer.ask(b"it")
    assert time.monotonic() - began == pytest.approx(2.0, abs=0.1)
