"""Why connections end, and how much waits on a socket."""

from __future__ import annotations

import contextlib
import errno
import re
import socket
import termios

import pytest
import usertcp
from conftest import DEADLINE, V4, V6, Back, Pair, connected


def test_a_connection_that_lives_has_no_reason(pair: Pair) -> None:
    assert pair.client.end_reason is None


def test_a_reset_has_its_number(back: Back) -> None:
    client, server = connected(back, V6)
    server.abort()
    with client, pytest.raises(ConnectionResetError) as caught:
        client.recv(1)
    reason = client.end_reason
    assert isinstance(reason, usertcp.EndReason)
    assert (reason.kind, reason.errno, reason.icmp_type) == ("reset", errno.ECONNRESET, None)
    assert caught.value.strerror == f"recv: {reason}"
    assert re.fullmatch(r"connection reset by peer: RST with sequence number \d+", str(reason))
    assert str(reason.rst_seq) in str(reason)
    assert server.end_reason is not None
    assert server.end_reason.kind == "aborted", "known after close"


def test_finished_is_no_error(back: Back) -> None:
    client, server = connected(back)
    with client:
        client.shutdown(socket.SHUT_WR)
        assert server.recv(1) == b""
        server.close()
        assert client.recv(1) == b""
        assert client.end_reason is not None
        assert (client.end_reason.kind, client.end_reason.errno) == ("finished", None)
        assert "both sides" in repr(client.end_reason)


def test_closed_with_unread_data(back: Back) -> None:
    client, server = connected(back)
    client.sendall(b"never read")
    assert server.recv(10, socket.MSG_PEEK) == b"never read"
    server.close()
    with client, pytest.raises(ConnectionResetError):
        client.recv(1)
    assert server.end_reason is not None
    assert server.end_reason.kind == "unread"


def test_refused_and_never_answered(back: Back) -> None:
    with pytest.raises(ConnectionRefusedError, match="connect: connection refused by peer: RST"):
        back.near.create_connection((V4.far, 9), DEADLINE)
    with back.near.socket() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 100)
        with pytest.raises(TimeoutError, match="connect: connection timed out: no progress"):
            sock.connect(("192.0.2.77", 9))
        assert sock.end_reason is not None
        assert sock.end_reason.kind == "user-timeout"


def test_the_stack_closes_first(back: Back) -> None:
    client, server = connected(back)
    # In no time at all it may be done or not.
    with contextlib.suppress(TimeoutError):
        back.near.close(timeout=0)
    assert client.end_reason is not None
    assert client.end_reason.kind == "stack-closed"
    client.close()
    server.close()


def test_how_much_waits(pair: Pair) -> None:
    assert pair.server.ioctl(termios.FIONREAD) == 0
    pair.client.sendall(bytes(100))
    pair.server.recv(100, socket.MSG_PEEK | socket.MSG_WAITALL)
    assert pair.server.ioctl(termios.FIONREAD) == 100
    while pair.client.ioctl(termios.TIOCOUTQ):
        pass
    with pytest.raises(OSError) as caught:
        pair.client.ioctl(termios.TIOCGWINSZ)
    assert caught.value.errno == errno.ENOTTY

