"""All sockets of a stack at one moment, and the socket by which other programs ask for them."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
import usertcp
from conftest import FAR, NEAR, Back, connected


def test_a_stack_shows_every_socket(back: Back) -> None:
    client, server = connected(back)
    with client, server, back.near.socket(socket.AF_INET6, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("2001:db8::1", 53))
        server.sendall(b"hello")
        client.recv(5, socket.MSG_PEEK)
        shown = {each.network: each for each in back.near.sockets()}
        stream, datagram = shown["tcp"], shown["udp"]
        assert (stream.state, stream.held, stream.receive_queue) == (1, True, 5)
        assert (stream.local, stream.remote) == (client.getsockname(), client.getpeername())
        assert stream.congestion == "cubic"
        assert stream.info is not None and stream.info.advmss == 1448
        assert stream.end is None
        assert str(stream).startswith("tcp   ESTAB      5 ") and "cwnd:" in str(stream)
        assert repr(stream).startswith("<SocketInfo tcp   ESTAB")
        assert (datagram.local, datagram.remote, datagram.info) == (("2001:db8::1", 53, 0, 0), None, None)
    with pytest.raises(AttributeError):
        stream.held = False  # type: ignore[misc]


def test_a_connection_that_is_over_tells_why(back: Back) -> None:
    client, server = connected(back)
    with client, server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        server.close()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        (over,) = (each for each in back.near.sockets() if each.end is not None)
        assert over.end is not None and over.end.kind == "reset"
        assert "reset by peer" in str(over)


def asked(path: Path, request: bytes) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
        asker.settimeout(20)
        asker.connect(os.fspath(path))
        asker.sendall(request)
        answer = bytearray()
        while some := asker.recv(65536):
            answer += some
    return answer.decode()


def test_other_programs_ask_by_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "control"
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with right, usertcp.Stack(fd=left.detach(), addresses=["192.0.2.1/24"], control_path=path) as stack:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with stack.create_server(("192.0.2.1", 80)):
            assert "LISTEN     0      128    192.0.2.1:80 *:*" in asked(path, b"sockets\n")
        assert "\ntcp_resets_out 0\n" in asked(path, b"counters\n")
        with pytest.raises(OSError, match="control_path"):
            usertcp.Stack(fd=right, control_path=path)
    assert not path.exists()


def test_the_last_packets_are_written_when_a_connection_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "last.pcapng"
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with (
        usertcp.Stack(fd=left.detach(), addresses=NEAR, pcap=path, pcap_ring=1 << 17) as near,
        usertcp.Stack(fd=right.detach(), addresses=FAR) as far,
        far.create_server(("192.0.2.2", 80)) as server,
    ):
        empty = path.stat().st_size
        with near.create_connection(("192.0.2.2", 80)) as client:
            assert path.stat().st_size == empty
            accepted, _ = server.accept()
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            accepted.close()
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        near.close()
        assert path.stat().st_size > empty + 4 * 40
        with pytest.raises(OSError, match="pcap_ring"):
            far.dump_capture()
