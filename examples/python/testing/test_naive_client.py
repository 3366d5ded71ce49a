"""A bug that tests on loopback never show: a client that takes what one `recv` returns for a whole message.

TCP carries bytes, not messages: how many of them a call returns depends on packets, losses and time. Between two sockets on loopback
a small message is always there in one piece, so the client below passes every test there, and fails for the first user behind a
slow link.
"""

import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from usertcp import sim

PORT = 4000
REPORT = {"rows": [{"number": number, "text": "some text"} for number in range(200)]}

Client = Callable[[socket.socket], Any]


def naive(sock: socket.socket) -> Any:
    """The client as it was written first."""
    return json.loads(sock.recv(65536))


def careful(sock: socket.socket) -> Any:
    """The client as it has to be: reads until the message is complete, which its end says."""
    with sock.makefile("rb") as stream:
        return json.loads(stream.readline())


def serve(listener: socket.socket) -> None:
    """Sends one report, as a line, to one client, and waits for it to go."""
    with listener:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(json.dumps(REPORT).encode() + b"\n")
            connection.recv(1)


@pytest.mark.parametrize("client", [naive, careful])
def test_on_loopback_both_work(client: Client) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    server = threading.Thread(target=serve, args=(listener,))
    server.start()
    with socket.create_connection(address) as sock:
        assert client(sock) == REPORT
    server.join()


def over_a_network(net: sim.Network, client: Client, **link: Any) -> Any:
    """What a client gets from a server at the other end of a link."""
    near, far = net.host("client"), net.host("server")
    net.link(near, far, **link)
    net.spawn(serve, far.create_server(("", PORT)))
    with near.create_connection(("server", PORT), timeout=60) as sock:
        return client(sock)


@pytest.mark.xfail(raises=json.JSONDecodeError, strict=True, reason="one recv is not one message")
def test_a_modem_shows_the_bug(usertcp_net: sim.Network) -> None:
    assert over_a_network(usertcp_net, naive, rate=56e3, delay=0.1) == REPORT


@pytest.mark.usertcp_seeds(50)
def test_the_careful_client_works_on_any_network(usertcp_net: sim.Network, usertcp_seed: int) -> None:
    loss = usertcp_seed % 4 * 0.05
    assert over_a_network(usertcp_net, careful, rate=56e3, delay=0.1, loss=loss, reorder=0.1) == REPORT
