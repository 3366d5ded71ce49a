"""Does a protocol of one's own on UDP keep its promise where datagrams are lost, doubled and overtake each other?

Between two sockets on loopback they never do, so whatever the protocol does about it is never tried. Here each of two hundred
seeds is another network, and a seed that fails can be had again: `pytest --usertcp-seed=N`.
"""

import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest
from usertcp import sim

PORT = 5000
HEADER = struct.Struct("!I")
WINDOW = 8
PATIENCE = 0.3
"""Seconds after which the sender begins again with what was not acknowledged."""


def send_all(sock: socket.socket, messages: list[bytes]) -> None:
    """The sender under test: numbers the messages, has a few under way at once, and repeats them until they are acknowledged."""
    acknowledged = 0
    while acknowledged < len(messages):
        for number in range(acknowledged, min(acknowledged + WINDOW, len(messages))):
            sock.send(HEADER.pack(number) + messages[number])
        sock.settimeout(PATIENCE)
        try:
            while acknowledged < len(messages):
                (number,) = HEADER.unpack(sock.recv(2048))
                acknowledged = max(acknowledged, number)
        except TimeoutError:
            pass


def receive_all(sock: socket.socket, count: int) -> list[bytes]:
    """The receiver under test: keeps what comes early, and acknowledges up to where nothing is missing."""
    early: dict[int, bytes] = {}
    received: list[bytes] = []
    while len(received) < count:
        datagram, sender = sock.recvfrom(2048)
        (number,) = HEADER.unpack_from(datagram)
        if number >= len(received):
            early[number] = datagram[HEADER.size :]
        while len(received) in early:
            received.append(early.pop(len(received)))
        sock.sendto(HEADER.pack(len(received)), sender)
    linger(sock, count)
    return received


def linger(sock: socket.socket, count: int) -> None:
    """Repeats the last acknowledgement, which may be lost like others, for whoever still asks."""
    sock.settimeout(10 * PATIENCE)
    try:
        while True:
            _, sender = sock.recvfrom(2048)
            sock.sendto(HEADER.pack(count), sender)
    except TimeoutError:
        pass


def receive_as_they_come(sock: socket.socket, count: int) -> list[bytes]:
    """A receiver that is wrong in a way that loopback never shows: it takes what comes for what comes next."""
    received: list[bytes] = []
    for _ in range(count):
        datagram, sender = sock.recvfrom(2048)
        received.append(datagram[HEADER.size :])
        sock.sendto(HEADER.pack(len(received)), sender)
    linger(sock, count)
    return received


MESSAGES = [f"message {number}".encode() for number in range(50)]
FAULTS = {"delay": 0.02, "jitter": 0.005, "loss": 0.05, "duplicate": 0.1, "reorder": 0.2}


Receiver = Callable[[socket.socket, int], list[bytes]]


def transfer(net: sim.Network, receive: Receiver, **faults: Any) -> list[bytes]:
    """What a receiver makes of the messages."""
    source, sink = net.host("source"), net.host("sink")
    net.link(source, sink, **faults)

    def receiver() -> list[bytes]:
        with sink.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(("", PORT))
            return receive(sock, len(MESSAGES))

    task = net.spawn(receiver)
    with source.socket(type=socket.SOCK_DGRAM) as sock:
        sock.connect(("sink", PORT))
        send_all(sock, MESSAGES)
    return task.result()


@pytest.mark.usertcp_seeds(200)
def test_everything_comes_once_and_in_order(usertcp_net: sim.Network) -> None:
    assert transfer(usertcp_net, receive_all, **FAULTS) == MESSAGES


@pytest.mark.parametrize("receive", [receive_all, receive_as_they_come])
def test_without_faults_anything_goes(usertcp_net: sim.Network, receive: Receiver) -> None:
    assert transfer(usertcp_net, receive) == MESSAGES


@pytest.mark.xfail(strict=True, reason="what the faults are there to show")
def test_faults_find_the_receiver_that_is_wrong(usertcp_net: sim.Network) -> None:
    assert transfer(usertcp_net, receive_as_they_come, **FAULTS) == MESSAGES
