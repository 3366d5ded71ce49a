"""A socket is a `socket.socket`: what the tests here say of it they say of the kernel's sockets, too."""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import io
import os
import pickle
import random
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import usertcp
from conftest import DEADLINE, V4, Back, Task, connected


class Ends(NamedTuple):
    """The two ends of a connection, whoever listens, and how one connects."""

    client: socket.socket
    server: socket.socket
    listener: socket.socket
    connect: Callable[..., socket.socket]


@pytest.fixture(params=["ours", "kernel"])
def ends(request: pytest.FixtureRequest, back: Back) -> Iterator[Ends]:
    """A connection between two stacks, and one of the kernel's over loopback."""
    listener: socket.socket
    connect: Callable[..., socket.socket]
    if request.param == "ours":
        listener, connect = back.far.create_server((V4.far, 0)), back.near.create_connection
    else:
        listener, connect = socket.create_server(("127.0.0.1", 0)), socket.create_connection
    client = connect(listener.getsockname(), DEADLINE)
    listener.settimeout(DEADLINE)
    server, _ = listener.accept()
    server.settimeout(DEADLINE)
    yield Ends(client, server, listener, connect)
    for sock in (client, server, listener):
        sock.close()


def exactly(sock: socket.socket, count: int) -> bytes:
    """So many bytes, as they come."""
    got = bytearray()
    while len(got) < count:
        piece = sock.recv(count - len(got))
        assert piece, f"the stream ends after {len(got)} of {count} bytes"
        got += piece
    return bytes(got)


def test_it_is_one(ends: Ends) -> None:
    for sock in ends[:3]:
        assert isinstance(sock, socket.socket)
        assert isinstance(sock, socket.SocketType)
        assert (sock.family, sock.type) == (socket.AF_INET, socket.SOCK_STREAM)
        assert isinstance(sock.family, socket.AddressFamily)
        assert isinstance(sock.type, socket.SocketKind)
        assert sock.timeout == sock.gettimeout() == DEADLINE


def test_nothing_reaches_the_base_class_below() -> None:
    """Its methods work on a descriptor that is never there."""
    below = set(socket.SocketType.__dict__)
    harmless = {"__doc__", "__getattribute__", "__module__", "__new__"}
    not_for_a_stack = {"_accept", "sendmsg_afalg"}
    ours = {name for name in usertcp.Socket.__dict__ if name != "__doc__"}
    assert below - ours - harmless - not_for_a_stack == set()
    assert not_for_a_stack <= below
    # What the class above it does with the descriptor.
    assert {"_real_close", "detach", "dup", "get_inheritable", "set_inheritable", "sendfile"} <= ours


def test_it_is_made_by_a_stack_only() -> None:
    with pytest.raises(TypeError):
        usertcp.Socket()  # type: ignore[call-arg]


def test_the_descriptor_shows_whether_calls_may_wait(ends: Ends) -> None:
    def waits() -> bool:
        return not fcntl.fcntl(ends.client, fcntl.F_GETFL) & os.O_NONBLOCK

    for timeout in (7.0, None, 0.0, None):
        ends.client.settimeout(timeout)
        assert waits() is (timeout is None)
    ends.client.setblocking(False)
    assert not waits()
    ends.client.setblocking(True)
    assert waits()


def test_what_is_printed(ends: Ends) -> None:
    for part in (
        f"fd={ends.client.fileno()}",
        f"family={socket.AF_INET}",
        f"type={socket.SOCK_STREAM}",
        f"laddr={ends.client.getsockname()}",
        f"raddr={ends.client.getpeername()}",
    ):
        assert part in repr(ends.client)
    ends.client.close()
    assert "closed" in repr(ends.client) and "laddr" not in repr(ends.client)


def test_accepting_makes_the_same_kind(ends: Ends) -> None:
    assert type(ends.server) is type(ends.listener)


def test_accepted_sockets_block_whatever_the_listener_does(ends: Ends) -> None:
    ends.listener.settimeout(0)
    address = ends.listener.getsockname()
    with ends.connect(address, DEADLINE):
        while True:
            with contextlib.suppress(BlockingIOError):
                sock, _ = ends.listener.accept()
                break
        with sock:
            assert sock.gettimeout() is None


def test_accepted_sockets_take_the_default_timeout(ends: Ends) -> None:
    address = ends.listener.getsockname()
    socket.setdefaulttimeout(7.5)
    try:
        with ends.connect(address, DEADLINE), ends.listener.accept()[0] as sock:
            assert sock.gettimeout() == 7.5
    finally:
        socket.setdefaulttimeout(None)


def test_bytes_gathered_from_several_buffers(ends: Ends) -> None:
    numbers = array.array("H", [0x6161, 0x6262])
    assert ends.client.sendmsg([b"one ", bytearray(b"two "), memoryview(b"-three-")[1:6], numbers]) == 17
    assert exactly(ends.server, 17) == b"one two threeaabb"
    assert ends.client.sendmsg([b"alone"], (), 0) == 5
    assert ends.server.recv(10) == b"alone"
    assert ends.client.sendmsg([]) == 0
    assert ends.client.sendmsg([b"", b""]) == 0
    with pytest.raises(TypeError):
        ends.client.sendmsg(["text"])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        ends.client.sendmsg(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout", [None, DEADLINE, 0.0])
def test_many_large_buffers(ends: Ends, timeout: float | None) -> None:
    """What is taken is told; without a time-out all of it is."""
    data = random.Random(1).randbytes(4 << 20)
    pieces = [memoryview(data)[at : at + 300_000] for at in range(0, len(data), 300_000)]
    ends.client.settimeout(timeout)

    def send() -> int:
        calls, rest = 0, list(pieces)
        while rest:
            try:
                count = ends.client.sendmsg(rest)
            except BlockingIOError:
                continue
            calls += 1
            while rest and count >= len(rest[0]):
                count -= len(rest.pop(0))
            if count:
                rest[0] = rest[0][count:]
        ends.client.shutdown(socket.SHUT_WR)
        return calls

    task = Task(send)
    got = bytearray()
    while piece := ends.server.recv(1 << 16):
        got += piece
    assert got == data
    assert (task.answer() == 1) or timeout is not None


def test_the_address_of_a_streams_peer_says_nothing(ends: Ends) -> None:
    assert ends.client.sendto(b"abc", ("192.0.2.77", 7)) == 3
    assert ends.client.sendto(b"def", 0, ("192.0.2.77", 7)) == 3
    assert ends.client.sendmsg([b"ghi"], [], 0, ("192.0.2.77", 7)) == 3
    assert exactly(ends.server, 9) == b"abcdefghi"
    for arguments in ((b"x",), (b"x", 0, ("192.0.2.77", 7), 1)):
        with pytest.raises(TypeError, match="takes 2 or 3 arguments"):
            ends.client.sendto(*arguments)


def test_a_streams_peer_is_an_address_all_the_same(ends: Ends) -> None:
    for address in (7, ("192.0.2.77",)):
        with pytest.raises(TypeError):
            ends.client.sendto(b"abc", address)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            ends.client.sendmsg([b"ghi"], [], 0, address)  # type: ignore[arg-type]


def test_a_stream_has_no_sender(ends: Ends) -> None:
    ends.client.sendall(b"abcdefghij")
    assert ends.server.recvfrom(2) == (b"ab", None)
    memory = bytearray(4)
    assert ends.server.recvfrom_into(memory, 2) == (2, None)
    assert memory == b"cd\0\0"
    assert ends.server.recvmsg(2, 100) == (b"ef", [], 0, None)
    assert ends.server.recvmsg(2, 0, socket.MSG_PEEK) == (b"gh", [], 0, None)
    assert ends.server.recvmsg_into([memoryview(memory)[3:]], 100) == (1, [], 0, None)
    assert memory == b"cd\0g"
    one, other, last = bytearray(2), array.array("B", [0, 0]), bytearray(2)
    assert ends.server.recvmsg_into([one, other, last]) == (3, [], 0, None)
    assert bytes(one) + other.tobytes() + bytes(last) == b"hij\0\0\0"
    ends.client.close()
    assert ends.server.recvfrom(2) == (b"", None)
    assert ends.server.recvmsg(2) == (b"", [], 0, None)
    assert ends.server.recvmsg_into([one]) == (0, [], 0, None)


def test_wrong_buffers_of_messages(ends: Ends) -> None:
    with pytest.raises(ValueError, match="ancillary data buffer"):
        ends.server.recvmsg(1, -1)
    with pytest.raises(ValueError, match="ancillary data buffer"):
        ends.server.recvmsg_into([bytearray(1)], -1)
    with pytest.raises(ValueError, match="negative"):
        ends.server.recvmsg(-1)
    with pytest.raises(TypeError):
        ends.server.recvmsg_into([b"immutable"])
    with pytest.raises(TypeError):
        ends.server.recvmsg_into([bytearray(1), b"immutable"])


def test_a_file_is_sent(ends: Ends, tmp_path: Path) -> None:
    data = random.Random(2).randbytes(100_000)
    path = tmp_path / "file"
    path.write_bytes(data)
    with path.open("rb") as file:
        for offset, count in ((0, None), (10, 1000), (99_000, None)):
            sent = data[offset:] if count is None else data[offset : offset + count]
            task = Task(ends.client.sendfile, file, offset, count)
            assert exactly(ends.server, len(sent)) == sent
            assert task.answer() == len(sent)
            assert file.tell() == offset + len(sent)
    assert ends.client.sendfile(io.BytesIO(b"in memory")) == 9
    assert exactly(ends.server, 9) == b"in memory"
    with path.open() as text, pytest.raises(ValueError, match="binary mode"):
        ends.client.sendfile(text)  # type: ignore[arg-type]
    ends.client.settimeout(0)
    with path.open("rb") as file, pytest.raises(ValueError, match="non-blocking"):
        ends.client.sendfile(file)


def test_a_timeout_of_every_kind(ends: Ends) -> None:
    memory = bytearray(1)
    receiving: list[Any] = [
        lambda: ends.server.recv(1),
        lambda: ends.server.recv_into(memory),
        lambda: ends.server.recvfrom(1),
        lambda: ends.server.recvfrom_into(memory),
        lambda: ends.server.recvmsg(1),
        lambda: ends.server.recvmsg_into([memory]),
        lambda: ends.listener.accept(),
    ]
    for sock in ends[:3]:
        sock.settimeout(0.01)
    for call in receiving:
        with pytest.raises(TimeoutError) as caught:
            call()
        assert (str(caught.value), caught.value.errno) == ("timed out", None)
    for sock in ends[:3]:
        sock.setblocking(False)
    for call in receiving:
        with pytest.raises(BlockingIOError) as would:
            call()
        assert would.value.errno == errno.EAGAIN


def test_a_full_connection_of_every_kind(ends: Ends) -> None:
    piece = bytes(1 << 20)
    sending: list[Any] = [
        lambda: ends.client.send(piece),
        lambda: ends.client.sendall(piece),
        lambda: ends.client.sendmsg([piece, piece]),
        lambda: ends.client.sendto(piece, ("192.0.2.77", 7)),
    ]
    ends.client.settimeout(0.01)
    with pytest.raises(TimeoutError):
        ends.client.sendall(piece * 64)
    for call in sending:
        with pytest.raises(TimeoutError) as caught:
            while True:
                call()
        assert (str(caught.value), caught.value.errno) == ("timed out", None)
    ends.client.setblocking(False)
    for call in sending:
        with pytest.raises(BlockingIOError) as would:
            while True:
                call()
        assert would.value.errno == errno.EAGAIN


def test_closed_is_closed(ends: Ends) -> None:
    for sock in ends[:3]:
        sock.close()
        sock.close()
        assert "[closed]" in repr(sock)
        calls: list[Any] = [
            lambda sock=sock: sock.recv(1),
            lambda sock=sock: sock.recvmsg(1),
            lambda sock=sock: sock.send(b"x"),
            lambda sock=sock: sock.sendmsg([b"x", b"y"]),
            lambda sock=sock: sock.accept(),
            lambda sock=sock: sock.getsockname(),
            lambda sock=sock: sock.shutdown(socket.SHUT_WR),
            lambda sock=sock: sock.connect(("127.0.0.1", 9)),
            lambda sock=sock: sock.listen(),
            lambda sock=sock: sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR),
        ]
        for call in calls:
            with pytest.raises(OSError) as caught:
                call()
            assert caught.value.errno == errno.EBADF
        assert sock.connect_ex(("127.0.0.1", 9)) == errno.EBADF
        assert sock.gettimeout() == DEADLINE


def test_it_closes_with_its_last_file(ends: Ends) -> None:
    one, other = ends.client.makefile("rb"), ends.client.makefile("wb")
    with ends.client:
        pass
    one.close()
    one.close()
    other.write(b"last")
    other.flush()
    assert ends.server.recv(10) == b"last"
    ends.server.settimeout(0)
    with pytest.raises(BlockingIOError):
        ends.server.recv(1)
    ends.server.settimeout(DEADLINE)
    other.close()
    assert ends.server.recv(1) == b""


def test_it_cannot_be_pickled(ends: Ends) -> None:
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(ends.client)


def test_it_has_no_attributes_of_the_programs_own(ends: Ends) -> None:
    with pytest.raises(AttributeError):
        ends.client.anything = 1  # type: ignore[attr-defined]


def test_no_other_process_gets_the_connection(back: Back) -> None:
    client, server = connected(back)
    with client, server:
        assert client.get_inheritable() is False
        client.set_inheritable(False)
        with pytest.raises(OSError, match="inherited") as caught:
            client.set_inheritable(True)
        assert caught.value.errno == errno.EOPNOTSUPP


def test_a_duplicate_is_the_same_socket_and_closes_for_itself(ends: Ends) -> None:
    ends.client.settimeout(7.0)
    twin, third = ends.client.dup(), ends.client.dup()
    with ends.client, twin, third:
        assert type(twin) is type(ends.client)
        assert twin.gettimeout() == 7.0
        twin.settimeout(DEADLINE)
        assert ends.client.gettimeout() == 7.0
        assert twin.getsockname() == ends.client.getsockname()
        ends.client.close()
        ends.client.close()
        for call in (
            lambda: ends.client.send(b"x"),
            lambda: ends.client.recv(1),
            ends.client.getsockname,
            ends.client.dup,
        ):
            with pytest.raises(OSError) as caught:
                call()
            assert caught.value.errno == errno.EBADF
        assert ends.client.fileno() == -1
        twin.sendall(b"still here")
        assert exactly(ends.server, 10) == b"still here"
        twin.close()
        ends.server.sendall(b"and here")
        assert exactly(third, 8) == b"and here"
        third.close()
        assert ends.server.recv(1) == b""


def test_a_duplicate_that_is_forgotten_closes(ends: Ends) -> None:
    twin = ends.client.dup()
    with pytest.warns(ResourceWarning, match="unclosed"):
        del twin
    ends.client.sendall(b"x")
    assert ends.server.recv(1) == b"x"
    ends.client.close()
    assert ends.server.recv(1) == b""


def test_a_listener_is_duplicated(ends: Ends) -> None:
    with ends.listener.dup() as twin:
        ends.listener.close()
        twin.settimeout(DEADLINE)
        with ends.connect(twin.getsockname(), DEADLINE), twin.accept()[0] as sock:
            assert sock.getpeername()


def test_the_last_duplicate_may_be_detached(back: Back) -> None:
    client, server = connected(back)
    with server:
        twin = client.dup()
        with pytest.raises(OSError, match="duplicate") as caught:
            client.detach()
        assert caught.value.errno == errno.EOPNOTSUPP
        client.close()
        with socket.socket(fileno=twin.detach()) as stream:
            stream.sendall(b"bytes")
            assert server.recv(10) == b"bytes"


@pytest.mark.parametrize("proto", [0, socket.IPPROTO_TCP])
def test_stacks_make_sockets_as_the_class_does(back: Back, proto: int) -> None:
    with back.near.socket(socket.AF_INET6, socket.SOCK_STREAM, proto) as sock:
        assert (sock.family, sock.type, sock.proto) == (
            socket.AF_INET6,
            socket.SOCK_STREAM,
            proto,
        )
    with back.near.socket(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as sock:
        assert (sock.type, sock.gettimeout()) == (socket.SOCK_STREAM, 0.0)


@pytest.mark.parametrize(
    ("family", "kind", "proto", "number"),
    [
        (socket.AF_UNIX, socket.SOCK_STREAM, 0, errno.EAFNOSUPPORT),
        (socket.AF_INET, socket.SOCK_SEQPACKET, 0, errno.ESOCKTNOSUPPORT),
        (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_UDP, errno.EPROTONOSUPPORT),
    ],
)
def test_other_sockets_are_refused(back: Back, family: int, kind: int, proto: int, number: int) -> None:
    with pytest.raises(OSError) as caught:
        back.near.socket(family, kind, proto)
    assert caught.value.errno == number
    if family != socket.AF_UNIX:
        with pytest.raises(OSError) as caught:
            socket.socket(family, kind, proto)
        assert caught.value.errno == number


def test_all_errors_of_connecting(back: Back) -> None:
    for connect in (back.near.create_connection, socket.create_connection):
        address = (V4.far, 9) if connect != socket.create_connection else ("127.0.0.1", 1)
        with pytest.raises(ExceptionGroup) as group:
            connect(address, DEADLINE, all_errors=True)
        assert [type(error) for error in group.value.exceptions] == [ConnectionRefusedError]


def open_files() -> Counter[str]:
    """What this process has open, by name: that of a socket is its own."""
    names: Counter[str] = Counter()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the folder itself
            names[os.readlink(f"/proc/self/fd/{number}")] += 1
    return names


def test_a_socket_costs_no_descriptor(back: Back) -> None:
    before = open_files()
    pairs = [connected(back) for _ in range(20)]
    for client, server in pairs:
        with client.makefile("wb") as file:
            file.write(b"x")
        assert server.recv(1) == b"x"
        assert usertcp.poll([(client, 4)], DEADLINE)
        repr(client)
    # None that was not there; streams that earlier tests left may come to their end meanwhile.
    assert open_files() - before == Counter()
    for client, server in pairs:
        client.close()
        server.close()
    assert open_files() - before == Counter()
    assert sys.getsizeof(pairs[0].client) < 200
