"""Ancillary data of datagrams: what is told with one that came, and what is asked for one that goes."""

from __future__ import annotations

import array
import errno
import socket
import struct
from typing import Any

import pytest
import usertcp
from conftest import DEADLINE, V4, V6, Back, Family, connected

IP_RECVTTL = 12
IP_PKTINFO = 8
ROOM = 1024


def pair_of(back: Back, family: Family) -> tuple[usertcp.Socket, usertcp.Socket]:
    """A socket that receives, and one that sends to it."""
    server, client = (stack.socket(family.number, socket.SOCK_DGRAM) for stack in (back.far, back.near))
    for sock in (server, client):
        sock.settimeout(DEADLINE)
    server.bind((family.far, 0))
    client.connect(server.getsockname())
    return server, client


def told(family: Family, to: str, hops: int, traffic: int) -> list[tuple[int, int, bytes]]:
    """What is told with a datagram where all is asked for."""
    number = struct.Struct("@i").pack
    if family is V4:
        address = socket.inet_aton(to)
        return [
            (socket.IPPROTO_IP, IP_PKTINFO, number(1) + address + address),
            (socket.IPPROTO_IP, socket.IP_TTL, number(hops)),
            (socket.IPPROTO_IP, socket.IP_TOS, bytes([traffic])),
        ]
    return [
        (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, socket.inet_pton(socket.AF_INET6, to) + number(1)),
        (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT, number(hops)),
        (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, number(traffic)),
    ]


def ask(sock: usertcp.Socket, family: Family, on: bool = True) -> None:
    """Asks for all that can be told."""
    if family is V4:
        level, options = socket.IPPROTO_IP, [IP_PKTINFO, IP_RECVTTL, socket.IP_RECVTOS]
    else:
        level = socket.IPPROTO_IPV6
        options = [socket.IPV6_RECVPKTINFO, socket.IPV6_RECVHOPLIMIT, socket.IPV6_RECVTCLASS]
    for option in options:
        sock.setsockopt(level, option, on)


def test_what_is_told_with_a_datagram(back: Back, family: Family) -> None:
    server, client = pair_of(back, family)
    with server, client:
        client.send(b"before")
        assert server.recvmsg(100, ROOM) == (b"before", [], 0, client.getsockname())
        ask(server, family)
        client.send(b"asked for")
        expected = told(family, family.far, 64, 0)
        assert server.recvmsg(100, ROOM) == (b"asked for", expected, 0, client.getsockname())
        client.send(b"into")
        one, other = bytearray(2), array.array("B", bytes(4))
        assert server.recvmsg_into([one, other], ROOM) == (4, expected, 0, client.getsockname())
        assert bytes(one) + other.tobytes() == b"into\0\0"
        ask(server, family, False)
        client.send(b"no more")
        assert server.recvmsg(100, ROOM) == (b"no more", [], 0, client.getsockname())


def test_what_is_asked_for_a_datagram(back: Back, family: Family) -> None:
    server, client = pair_of(back, family)
    with server, client, back.near.socket(family.number, socket.SOCK_DGRAM) as other:
        ask(server, family)
        control = told(family, family.near, 7, 0xB8)
        for data, sender, to in ((b"connected", client, None), (b"to", other, server.getsockname())):
            assert sender.sendmsg([data[:1], data[1:]], iter(control), 0, to) == len(data)
            got, ancillary, flags, address = server.recvmsg(100, ROOM)
            assert (got, ancillary, flags) == (data, told(family, family.far, 7, 0xB8), 0)
            assert address == (family.near, sender.getsockname()[1], *address[2:])
        client.send(b"and the next as ever")
        assert server.recvmsg(100, ROOM)[1] == told(family, family.far, 64, 0)


def test_bytes_and_control_data_that_do_not_fit(back: Back) -> None:
    """As much is told as recvmsg(2) has room for, which counts headers and alignment."""
    server, client = pair_of(back, V6)
    whole = told(V6, V6.far, 64, 0)
    with server, client:
        ask(server, V6)
        size = [socket.CMSG_SPACE(len(value)) for _, _, value in whole]
        rooms = [
            (0, 0),
            (15, 0),
            (socket.CMSG_LEN(20) - 1, 0),
            (socket.CMSG_LEN(20), 1),
            (size[0] + size[1], 2),
            (size[0] + size[1] + socket.CMSG_LEN(4) - 1, 2),
            (sum(size), 3),
        ]
        for room, count in rooms:
            client.send(b"0123456789")
            cut = socket.MSG_CTRUNC if count < 3 else 0
            assert server.recvmsg(10, room) == (b"0123456789", whole[:count], cut, client.getsockname())
        client.send(b"0123456789")
        flags = socket.MSG_TRUNC | socket.MSG_CTRUNC
        assert server.recvmsg(4)[:3] == (b"0123", [], flags)
        client.send(b"0123456789")
        memory = bytearray(4)
        assert server.recvmsg_into([memory], 0, socket.MSG_TRUNC)[:3] == (10, [], flags)
        assert memory == b"0123"


@pytest.mark.parametrize(
    "item",
    [
        object(),
        7,
        (0, 0),
        (0, 0, b"", 0),
        (object(), 0, b""),
        (0, object(), b""),
        (0, 0, object()),
        (0, 0, "text"),
    ],
)
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_what_is_no_ancillary_data(back: Back, kind: int, item: Any) -> None:
    with back.near.socket(socket.AF_INET, kind) as sock:
        with pytest.raises(TypeError):
            sock.sendmsg([b"x"], [item])
        with pytest.raises(TypeError):
            sock.sendmsg([b"x"], item)


@pytest.mark.parametrize(
    ("item", "number"),
    [
        ((socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0])), errno.EINVAL),
        ((socket.IPPROTO_IP, socket.IP_TTL, array.array("i", [256])), errno.EINVAL),
        ((socket.IPPROTO_IPV6, socket.IPV6_TCLASS, bytes(5)), errno.EINVAL),
        ((socket.IPPROTO_IP, IP_PKTINFO, struct.pack("@i", 9) + bytes(8)), errno.ENODEV),
    ],
)
def test_what_is_not_understood_is_refused_and_nothing_is_sent(back: Back, item: Any, number: int) -> None:
    server, client = pair_of(back, V4)
    with server, client:
        with pytest.raises(OSError) as caught:
            client.sendmsg([b"x"], [item])
        assert caught.value.errno == number
        client.send(b"next")
        assert server.recv(10) == b"next"


def test_a_stream_has_none(back: Back) -> None:
    client, server = connected(back)
    with client, server:
        with pytest.raises(OSError) as caught:
            client.sendmsg([b"x"], [(socket.IPPROTO_IP, socket.IP_TTL, array.array("i", [7]))])
        assert caught.value.errno == errno.EINVAL
        client.close()
        assert server.recvmsg(1, ROOM) == (b"", [], 0, None)
