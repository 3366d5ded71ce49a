"""Datagram sockets have the manners of the standard library's: between two stacks, and against the kernel."""

from __future__ import annotations

import errno
import select
import socket

import pytest
import usertcp
from conftest import DEADLINE, V4, V6, Back, Family


def bound(stack: usertcp.Stack, family: Family, host: str) -> usertcp.Socket:
    sock = stack.socket(family.number, socket.SOCK_DGRAM)
    sock.settimeout(DEADLINE)
    sock.bind((host, 0))
    return sock


def test_datagrams_go_both_ways_and_name_their_sender(back: Back, family: Family) -> None:
    with bound(back.far, family, family.far) as server, bound(back.near, family, "") as client:
        assert (server.type, server.proto) == (socket.SOCK_DGRAM, 0)
        for data in (b"question", b"", bytes(3000)):
            assert client.sendto(data, server.getsockname()) == len(data)
            got, address = server.recvfrom(70_000)
            assert got == data
            assert address[:2] == (family.near, client.getsockname()[1])
            assert len(address) == (2 if family is V4 else 4)
        assert server.sendto(b"answer", 0, address) == 6
        assert client.recvfrom(100) == (b"answer", server.getsockname())


def test_a_connected_socket_sends_and_receives_without_addresses(back: Back, family: Family) -> None:
    with bound(back.far, family, family.far) as server, bound(back.near, family, "") as client:
        with pytest.raises(OSError) as caught:
            client.send(b"whereto")
        assert caught.value.errno == errno.EDESTADDRREQ
        with pytest.raises(OSError) as caught:
            client.getpeername()
        assert caught.value.errno == errno.ENOTCONN
        client.connect(server.getsockname())
        assert client.connect_ex(server.getsockname()) == 0
        assert client.getpeername() == server.getsockname()
        assert client.getsockname()[0] == family.near
        assert client.send(b"") == 0
        client.sendall(b"more")
        assert client.sendmsg([b"in ", b"pieces"]) == 9
        assert client.sendmsg([b"else", b"where"], (), 0, server.getsockname()) == 9
        assert [server.recv(100) for _ in range(4)] == [b"", b"more", b"in pieces", b"elsewhere"]
        address = server.getsockname()
        server.close()
        client.send(b"to nobody")
        with pytest.raises(ConnectionRefusedError):
            client.recv(100)
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        with pytest.raises(OSError) as caught:
            client.sendto(b"x", (address[0], 0))
        assert caught.value.errno == errno.EINVAL


def test_what_does_not_fit_is_lost(back: Back) -> None:
    with bound(back.far, V4, V4.far) as server, bound(back.near, V4, "") as client:
        for _ in range(4):
            client.sendto(b"0123456789", server.getsockname())
        assert server.recv(4, socket.MSG_PEEK) == b"0123"
        assert server.recv(4) == b"0123"
        buffer = bytearray(20)
        assert server.recv_into(buffer, 4) == 4
        sender = (V4.near, client.getsockname()[1])
        assert server.recvfrom_into(buffer, 4, socket.MSG_TRUNC) == (10, sender)
        assert bytes(buffer[:5]) == b"0123\0"
        assert server.recvmsg(100)[::3] == (b"0123456789", sender)
        for flags in (socket.MSG_DONTWAIT, socket.MSG_ERRQUEUE):
            with pytest.raises(BlockingIOError):
                server.recv(1, flags)
        for flags in (socket.MSG_OOB, socket.MSG_MORE):
            with pytest.raises(OSError) as caught:
                client.sendto(b"x", flags, server.getsockname())
            assert caught.value.errno == errno.EOPNOTSUPP
        server.settimeout(0.02)
        with pytest.raises(TimeoutError):
            server.recvfrom(1)
        with pytest.raises(OSError) as caught:
            client.sendto(bytes(65_508), server.getsockname())
        assert caught.value.errno == errno.EMSGSIZE


def test_poll_tells_of_datagrams(back: Back) -> None:
    with bound(back.far, V4, V4.far) as server, bound(back.near, V4, "") as client:
        assert usertcp.poll([(server, select.POLLIN)], 0) == []
        assert usertcp.poll([(client, select.POLLOUT)], DEADLINE) == [(client, select.POLLOUT)]
        client.sendto(b"x", server.getsockname())
        assert usertcp.poll([(server, select.POLLIN)], DEADLINE) == [(server, select.POLLIN)]


def test_calls_of_streams_are_refused(back: Back) -> None:
    with back.near.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDP) as sock:
        for call in (lambda: sock.listen(), lambda: sock.accept()):
            with pytest.raises(OSError) as caught:
                call()
            assert caught.value.errno == errno.EOPNOTSUPP
        with pytest.raises(OSError) as caught:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert caught.value.errno == errno.ENOPROTOOPT
        with pytest.raises(PermissionError):
            sock.sendto(b"x", ("255.255.255.255", 9))
    with pytest.raises(OSError) as caught:
        back.near.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_TCP)
    assert caught.value.errno == errno.EPROTONOSUPPORT


@pytest.mark.parametrize("family", [V4, V6], ids=["v4", "v6"])
def test_the_kernel_hears_and_answers(sandbox: usertcp.Sandbox, stack: usertcp.Stack, family: Family) -> None:
    with sandbox.socket(family.number, socket.SOCK_DGRAM) as kernel, bound(stack, family, family.far) as sock:
        kernel.settimeout(DEADLINE)
        kernel.bind((family.near, 0))
        for data in (b"", b"hello", bytes(range(256)) * 200):
            sock.sendto(data, kernel.getsockname())
            assert kernel.recvfrom(70_000) == (data, sock.getsockname())
            kernel.sendto(data, sock.getsockname())
            assert sock.recvfrom(70_000) == (data, kernel.getsockname())
