"""`ssl` on simulated sockets by `SSLContext.wrap_socket`, in a network's time."""

from __future__ import annotations

import functools
import hashlib
import ssl
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import usertcp
import usertcp.sim
from conftest import DEADLINE
from usertcp._tls import TlsSocket

from libraries.conftest import DATA, SERVER, Trust


class Ends(NamedTuple):
    """The two ends of one connection, in TLS, and its network."""

    net: usertcp.sim.Network
    client: ssl.SSLSocket
    server: ssl.SSLSocket


@pytest.fixture(params=[0.0, 0.02], ids=["clean", "lossy"])
def ends(request: pytest.FixtureRequest, trust: Trust) -> Iterator[Ends]:
    with usertcp.sim.Network(seed=9) as net:
        client, server = net.host("client"), net.host(SERVER)
        net.link(client, server, rate=1e8, delay=0.01, loss=request.param)

        def serve() -> ssl.SSLSocket:
            with server.create_server((server.address, 443)) as listener:
                return trust.server.wrap_socket(listener.accept()[0], server_side=True)

        task = net.spawn(serve)
        sock = client.create_connection((SERVER, 443), timeout=DEADLINE)
        with trust.client.wrap_socket(sock, server_hostname=SERVER) as ours, task.result() as theirs:
            yield Ends(net, ours, theirs)


def test_contexts_make_sockets_of_ours(ends: Ends) -> None:
    for end in (ends.client, ends.server):
        assert type(end) is TlsSocket and end.version() == "TLSv1.3"
    assert ends.client.getpeername() == ends.server.getsockname()


def test_data_both_ways_at_once(ends: Ends) -> None:
    """Four tasks, two for each socket."""

    def read(end: ssl.SSLSocket) -> str:
        digest, left = hashlib.sha256(), len(DATA)
        while left:
            piece = end.recv(1 << 16)
            digest.update(piece)
            left -= len(piece)
        return digest.hexdigest()

    tasks: list[usertcp.sim.Task[Any]] = []
    for end in (ends.client, ends.server):
        tasks += [
            ends.net.spawn(end.sendall, DATA),
            ends.net.spawn(functools.partial(read, end), name="read"),
        ]
    wanted = hashlib.sha256(DATA).hexdigest()
    assert [task.result() for task in tasks] == [None, wanted, None, wanted]


def test_time_runs_out_at_once(ends: Ends) -> None:
    ends.client.settimeout(3600)
    before, began = ends.net.now, time.monotonic()
    with pytest.raises(TimeoutError, match="read operation"):
        ends.client.recv(1)
    assert 3600 <= ends.net.now - before < 3601
    assert time.monotonic() - began < DEADLINE


def test_the_end_is_said(ends: Ends) -> None:
    task = ends.net.spawn(ends.server.unwrap)
    ends.client.unwrap().sendall(b"in the clear")
    assert task.result().recv(100) == b"in the clear"


def test_a_partition(ends: Ends) -> None:
    ends.net.partition([ends.net.hosts[0]], [ends.net.hosts[1]])
    ends.client.settimeout(30)
    ends.client.sendall(b"lost for now")
    with pytest.raises(TimeoutError):
        ends.client.recv(1)
    ends.net.heal()
    ends.server.settimeout(300)
    assert ends.server.recv(100) == b"lost for now"
