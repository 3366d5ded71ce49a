"""Options and flags, one by one, beside the kernel's sockets: the same numbers, the same answers."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import termios
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import usertcp
from conftest import DEADLINE, V4, Back, Pair, connected, kernel_socket

TCP_NOTSENT_LOWAT = 25
SO_SNDBUFFORCE, SO_PROTOCOL, SO_DOMAIN = 32, 38, 39

NUMBERS = [-1, 0, 1, 2, 7, 87, 88, 100, 127, 128, 1000, 5000, 32767, 32768, 2**31 - 1]
SOCKET = [
    socket.SO_KEEPALIVE,
    socket.SO_OOBINLINE,
    socket.SO_RCVLOWAT,
    socket.SO_SNDLOWAT,
    socket.SO_ERROR,
    socket.SO_TYPE,
    socket.SO_ACCEPTCONN,
    SO_PROTOCOL,
    SO_DOMAIN,
    9999,
]
TCP = [
    socket.TCP_NODELAY,
    socket.TCP_CORK,
    socket.TCP_QUICKACK,
    socket.TCP_MAXSEG,
    socket.TCP_KEEPIDLE,
    socket.TCP_KEEPINTVL,
    socket.TCP_KEEPCNT,
    socket.TCP_SYNCNT,
    socket.TCP_LINGER2,
    socket.TCP_WINDOW_CLAMP,
    socket.TCP_USER_TIMEOUT,
    TCP_NOTSENT_LOWAT,
    9999,
]
OPTIONS = [(socket.SOL_SOCKET, name) for name in SOCKET] + [(socket.IPPROTO_TCP, name) for name in TCP]

Ends = tuple[Any, Any]


def answer(call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call answers: a value, or the name of its error."""
    try:
        return call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno or 0]


@pytest.fixture(params=["idle", "listening", "connected"])
def both(request: pytest.FixtureRequest, back: Back) -> Iterator[tuple[str, Ends]]:
    """A socket of ours and one of the kernel's, in the same state."""
    with contextlib.ExitStack() as stack:
        ours: Any
        theirs: Any
        if request.param == "connected":
            client, server = connected(back)
            listener = socket.create_server(("127.0.0.1", 0))
            theirs = socket.create_connection(listener.getsockname())
            accepted, _ = listener.accept()
            ours = client
            for sock in (client, server, listener, theirs, accepted):
                stack.enter_context(sock)
        else:
            ours, theirs = stack.enter_context(back.near.socket()), stack.enter_context(socket.socket())
            if request.param == "listening":
                ours.listen()
                theirs.bind(("127.0.0.1", 0))
                theirs.listen()
        yield request.param, (ours, theirs)


def told_alike(state: str, level: int, name: int, number: int | None) -> bool:
    """Whether ours tells what the kernel tells once `number` is set."""
    if level == socket.SOL_SOCKET and name == socket.SO_RCVLOWAT:
        return number is None or number < 2**31 - 1 and number >= 0  # cut to other buffers
    if (level, name) in ((socket.SOL_SOCKET, socket.SO_OOBINLINE), (socket.IPPROTO_TCP, socket.TCP_SYNCNT)):
        return number is not None  # on by default (RFC 6093), and 3 minutes at least (RFC 9293)
    if level == socket.IPPROTO_TCP and name == socket.TCP_MAXSEG:
        return state != "connected"  # other links
    if level == socket.IPPROTO_TCP and name == socket.TCP_WINDOW_CLAMP:
        return number is not None and number >= 5000  # the kernel tells what follows from its buffers
    return True


@pytest.mark.parametrize(("level", "name"), OPTIONS)
def test_set_and_get_as_the_kernel(both: tuple[str, Ends], level: int, name: int) -> None:
    state, ends = both
    if told_alike(state, level, name, None):
        mine, theirs = (answer(end.getsockopt, level, name) for end in ends)
        assert mine == theirs, "before"
    for number in NUMBERS:
        mine, theirs = (answer(end.setsockopt, level, name, number) for end in ends)
        assert mine == theirs, f"setting {number}"
        if mine is None and told_alike(state, level, name, number):
            mine, theirs = (answer(end.getsockopt, level, name) for end in ends)
            assert mine == theirs, f"after {number}"
    for short in (b"", b"\1", b"\1\0\0"):
        mine, theirs = (answer(end.setsockopt, level, name, short) for end in ends)
        assert mine == theirs, f"{len(short)} bytes"


def test_values_of_other_lengths(both: tuple[str, Ends]) -> None:
    _, ends = both
    tcp, congestion = socket.IPPROTO_TCP, socket.TCP_CONGESTION
    for value in (b"reno", b"cubic", b"reno\0garbage", b"nonesuch", b"a name that is far too long", b""):
        mine, theirs = (answer(end.setsockopt, tcp, congestion, value) for end in ends)
        assert mine == theirs, value
        if mine is None:
            for length in (2, 16, 30):
                mine, theirs = (end.getsockopt(tcp, congestion, length) for end in ends)
                assert mine == theirs
    linger = socket.SOL_SOCKET, socket.SO_LINGER
    for pair in ((1, 5), (1, 0)):
        for end in ends:
            end.setsockopt(*linger, struct.pack("ii", *pair))
        mine, theirs = (end.getsockopt(*linger, 8) for end in ends)
        assert mine == theirs
    for value in (b"", struct.pack("i", 1)):
        mine, theirs = (answer(end.setsockopt, *linger, value) for end in ends)
        assert mine == theirs
    for end in ends:
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, struct.pack("iq", 33, -1))
        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 33, "cut"
        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2) == b"\x21\0"
        end.setsockopt(*linger, struct.pack("ii", 0, 0))
    for level in (999, -1):
        mine, theirs = (answer(end.setsockopt, level, 1, 1) for end in ends)
        assert mine == theirs == "ENOPROTOOPT"
        # To read it, Linux says EOPNOTSUPP over IPv4 and ENOPROTOOPT over IPv6.
        assert answer(ends[0].getsockopt, level, 1) == "ENOPROTOOPT"


@pytest.mark.parametrize(
    "name",
    [socket.SO_BROADCAST, socket.SO_DONTROUTE, socket.SO_PRIORITY, socket.SO_MARK, socket.SO_BINDTODEVICE],
)
def test_what_would_do_nothing_here_is_refused(back: Back, name: int) -> None:
    with back.near.socket() as sock:
        assert answer(sock.setsockopt, socket.SOL_SOCKET, name, 1) == "ENOPROTOOPT"
        assert answer(sock.getsockopt, socket.SOL_SOCKET, name) == "ENOPROTOOPT"
        assert answer(sock.setsockopt, socket.SOL_SOCKET, SO_SNDBUFFORCE, 1) == "EPERM"


@pytest.mark.parametrize("both", ["connected"], indirect=True)
def test_flags_as_the_kernel(both: tuple[str, Ends]) -> None:
    _, ends = both
    for flags in (socket.MSG_OOB, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT, socket.MSG_DONTWAIT):
        mine, theirs = (answer(end.recv, 1, flags) for end in ends)
        assert mine == theirs, flags
    nothing = (socket.MSG_NOSIGNAL, socket.MSG_DONTROUTE, socket.MSG_CONFIRM, socket.MSG_EOR, 1 << 28)
    for flag in nothing:
        mine, theirs = (answer(end.send, b"x", flag) for end in ends)
        assert mine == theirs == 1, flag


def test_flags_of_recv(pair: Pair) -> None:
    pair.client.sendall(b"thrown away, kept")
    pair.server.recv(17, socket.MSG_PEEK | socket.MSG_WAITALL)
    memory = bytearray(13)
    assert pair.server.recv_into(memory, 13, socket.MSG_TRUNC) == 13
    assert memory == bytes(13)
    assert pair.server.recv(100, socket.MSG_PEEK | socket.MSG_WAITALL | socket.MSG_DONTWAIT) == b"kept"
    assert pair.server.recv(100) == b"kept"


def test_more_follows(pair: Pair) -> None:
    pair.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pair.client.send(b"head", socket.MSG_MORE)
    pair.client.send(b"body")
    assert pair.server.recv(100) == b"headbody"


def test_recv_waits_for_the_low_mark(pair: Pair) -> None:
    pair.server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 8)
    pair.client.send(b"half")
    pair.server.recv(4, socket.MSG_PEEK)
    pair.server.settimeout(0.05)
    assert pair.server.recv(100) == b"half", "the time-out is over"
    pair.server.settimeout(None)
    pair.client.send(b"half")
    later = threading.Timer(0.3, pair.client.send, [b"more"])
    later.start()
    assert pair.server.recv(100) == b"halfmore", "on the main thread too, whose sleep has slices otherwise"
    later.join()
    pair.server.settimeout(DEADLINE)
    pair.client.send(b"some more")
    assert pair.server.recv(100) == b"some more"


def test_tcp_info_has_the_layout_of_linux(both: tuple[str, Ends]) -> None:
    state, ends = both
    for length in (1, 8, 104, 200, 248):
        mine, theirs = (end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, length) for end in ends)
        assert len(mine) == len(theirs) == length
        assert mine[0] == theirs[0], "the state"
    mine = ends[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1000)
    assert len(mine) == 280
    if state == "connected":
        info = ends[0].tcp_info()
        (rto, _, snd_mss) = struct.unpack_from("III", mine, 8)
        assert (rto, snd_mss) == (info.rto, info.snd_mss)
        assert mine[6] == info.snd_wscale | info.rcv_wscale << 4


FIGURES = ["segs_out", "segs_in", "notsent_bytes", "min_rtt", "data_segs_in", "data_segs_out"]


def figures(sock: Any) -> dict[str, int]:
    """Some of TCP_INFO by the layout of Linux."""
    raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 248)
    told = dict(zip(FIGURES, struct.unpack_from("6I", raw, 136), strict=True))
    told["acked"], told["received"] = struct.unpack_from("QQ", raw, 120)
    told["sent"], told["resent"] = struct.unpack_from("QQ", raw, 200)
    told["delivered"] = struct.unpack_from("I", raw, 192)[0]
    told["snd_wscale"], told["rcv_wscale"] = raw[6] & 15, raw[6] >> 4
    told["options"] = raw[5]
    told["rtt"] = struct.unpack_from("I", raw, 68)[0]
    told["advmss"], told["rcv_mss"], told["snd_mss"] = (
        struct.unpack_from("I", raw, at)[0] for at in (84, 20, 16)
    )
    return told


def test_both_ends_of_a_connection_tell_the_same(sandbox: usertcp.Sandbox, stack: usertcp.Stack) -> None:
    with kernel_socket(sandbox, V4) as listener:
        listener.bind((V4.near, 0))
        listener.listen()
        with stack.create_connection(listener.getsockname(), DEADLINE) as ours:
            theirs, _ = listener.accept()
            with theirs:
                theirs.settimeout(DEADLINE)
                ours.sendall(os.urandom(300_000))
                left = 300_000
                while left:  # a kernel's socket with a time-out does not wait for all
                    left -= len(theirs.recv(left))
                theirs.sendall(os.urandom(50_000))
                ours.recv(50_000, socket.MSG_WAITALL)
                while ours.ioctl(termios.TIOCOUTQ):
                    pass
                mine, kernels = figures(ours), figures(theirs)
    assert mine["sent"] - mine["resent"] == kernels["received"] == 300_000
    assert kernels["sent"] - kernels["resent"] == mine["received"] == 50_000
    assert mine["acked"] in (300_000, 300_001), "the kernel counts the SYN"
    assert (mine["snd_wscale"], mine["rcv_wscale"]) == (kernels["rcv_wscale"], kernels["snd_wscale"])
    assert mine["advmss"] == kernels["advmss"]
    assert mine["snd_mss"] == kernels["snd_mss"]
    assert mine["options"] & 5 == kernels["options"] & 5 == 5, "timestamps and window scale"
    assert mine["notsent_bytes"] == kernels["notsent_bytes"] == 0
    assert 0 < mine["min_rtt"] <= mine["rtt"] < 1_000_000
    assert mine["delivered"] >= 300_000 // mine["snd_mss"]
    assert mine["data_segs_out"] >= 300_000 // mine["snd_mss"]
    assert abs(mine["data_segs_in"] - kernels["data_segs_out"]) <= 2
