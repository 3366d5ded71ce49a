"""A socket has the manners of the standard library's: between two stacks, without any device."""

from __future__ import annotations

import array
import errno
import io
import random
import select
import socket
from typing import Any

import pytest
import usertcp
from conftest import DEADLINE, FAR, NEAR, V4, V6, Back, Family, Pair, Task, blocked, connected, drain, fill


def test_bytes_go_both_ways_and_each_half_ends(back: Back, family: Family) -> None:
    client, server = connected(back, family)
    with client, server:
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert server.recv(100) == b"question"
        assert server.recv(100) == b""
        server.sendall(b"answer")
        server.close()
        assert client.recv(100) == b"answer"
        assert client.recv(100) == b""


def test_names_are_tuples_of_the_family(back: Back, family: Family) -> None:
    client, server = connected(back, family)
    with client, server:
        assert client.family == family.number
        assert client.type == socket.SOCK_STREAM
        assert client.proto == socket.IPPROTO_TCP
        assert client.getpeername() == server.getsockname()
        assert client.getsockname() == server.getpeername()
        assert client.getsockname()[0] == family.near
        assert len(client.getsockname()) == (2 if family is V4 else 4)
        assert repr(client.getpeername()) in repr(client)


def test_the_server_sees_the_source_address(back: Back) -> None:
    with back.far.create_server(("", 0)) as listener:
        listener.settimeout(DEADLINE)
        target = (V4.far, listener.getsockname()[1])
        with back.near.create_connection(target, DEADLINE, (V4.near, 4321)):
            sock, address = listener.accept()
            with sock:
                assert address == (V4.near, 4321)
                assert sock.getpeername() == address


@pytest.mark.parametrize("size", [1, 1000, 70_000, 8_000_000])
def test_the_bytes_are_exact(pair: Pair, size: int) -> None:
    sent = random.Random(size).randbytes(size)

    task = Task(fill, pair.client, sent)
    assert drain(pair.server) == task.answer()


def test_recv_into_takes_any_writable_memory(pair: Pair) -> None:
    pair.client.sendall(b"abcdefghij")
    whole = bytearray(12)
    assert pair.server.recv_into(memoryview(whole)[2:], 4) == 4
    assert whole == b"\0\0abcd" + bytes(6)
    numbers = array.array("H", [0, 0, 0])
    assert pair.server.recv_into(numbers) == 6
    assert numbers.tobytes() == b"efghij"


def test_recv_into_says_what_is_wrong_with_the_memory(pair: Pair) -> None:
    with pytest.raises(TypeError, match="read-write bytes-like object, not bytes"):
        pair.server.recv_into(b"immutable")
    with pytest.raises(TypeError, match="bytes-like object is required, not 'list'"):
        pair.server.recv_into([0])  # type: ignore[arg-type]
    with pytest.raises(BufferError):
        pair.server.recv_into(memoryview(bytearray(8))[::2])
    with pytest.raises(ValueError, match="negative"):
        pair.server.recv_into(bytearray(1), -1)
    with pytest.raises(ValueError, match="negative"):
        pair.server.recv(-1)


def test_the_memory_cannot_be_resized_while_recv_into_waits(pair: Pair) -> None:
    memory = bytearray(10)
    task = Task(pair.server.recv_into, memory)
    blocked(task)
    exported = False
    try:
        memory.extend(b"more")
    except BufferError:
        exported = True
    pair.client.sendall(b"x")
    assert task.answer() == 1
    assert exported
    memory.extend(b"more")


@pytest.mark.parametrize(
    "data", [b"bytes", bytearray(b"bytes"), memoryview(b"-bytes-")[1:6], array.array("B", b"bytes")]
)
def test_send_takes_any_memory(pair: Pair, data: object) -> None:
    assert pair.client.send(data) == 5  # type: ignore[arg-type]
    pair.client.sendall(data)  # type: ignore[arg-type]
    assert pair.server.recv(10, socket.MSG_WAITALL) == b"bytesbytes"


def test_send_wants_bytes(pair: Pair) -> None:
    with pytest.raises(TypeError, match="bytes-like object is required, not 'str'"):
        pair.client.sendall("text")  # type: ignore[arg-type]


def test_flags(pair: Pair) -> None:
    with pytest.raises(BlockingIOError):
        pair.server.recv(10, socket.MSG_DONTWAIT)
    pair.client.sendall(b"peek")
    assert pair.server.recv(4, socket.MSG_PEEK | socket.MSG_WAITALL) == b"peek"
    assert pair.server.recv(10) == b"peek"
    task = Task(pair.server.recv, 6, socket.MSG_WAITALL)
    pair.client.sendall(b"abc")
    pair.client.sendall(b"def")
    assert task.answer() == b"abcdef"


def test_urgent_data_in_line_and_out_of_band(pair: Pair) -> None:
    pair.client.send(b"abC", socket.MSG_OOB)
    assert usertcp.poll([(pair.server, select.POLLPRI)], DEADLINE) == [(pair.server, select.POLLPRI)]
    assert pair.server.recv(2, socket.MSG_WAITALL) == b"ab"
    assert pair.server.ioctl(0x8905) == 1, "at the mark"
    with pytest.raises(OSError) as caught:
        pair.server.recv(1, socket.MSG_OOB)
    assert caught.value.errno == errno.EINVAL
    assert pair.server.recv(9) == b"C"
    pair.server.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 0)
    pair.client.send(b"deF", socket.MSG_OOB)
    pair.client.shutdown(socket.SHUT_WR)
    assert usertcp.poll([(pair.server, select.POLLPRI)], DEADLINE) == [(pair.server, select.POLLPRI)]
    assert pair.server.recv(1, socket.MSG_OOB) == b"F"
    assert pair.server.makefile("rb").read() == b"de"


def test_an_empty_send_sends_nothing(pair: Pair) -> None:
    assert pair.client.send(b"") == 0
    pair.client.sendall(b"")
    pair.client.shutdown(socket.SHUT_WR)
    assert pair.server.recv(10) == b""


def test_makefile_reads_lines_and_keeps_the_connection_open(pair: Pair) -> None:
    writer = pair.client.makefile("w", encoding="utf-8", newline="\n")
    reader = pair.server.makefile("r", encoding="utf-8")
    pair.client.close()
    pair.server.close()
    with writer, reader:
        writer.write("eins\nzwei\ndr\u00e4i")
        writer.close()
        assert reader.readline() == "eins\n"
        assert reader.readlines() == ["zwei\n", "dr\u00e4i"]
    with pytest.raises(OSError) as caught:
        pair.client.recv(1)
    assert caught.value.errno == errno.EBADF


def test_makefile_in_both_modes_of_bytes(pair: Pair) -> None:
    with pair.client.makefile("rwb") as file, pair.server.makefile("rb", buffering=0) as raw:
        assert isinstance(file, io.BufferedRWPair)
        assert isinstance(raw, socket.SocketIO)
        file.write(b"0123456789")
        file.flush()
        assert raw.read(4) == b"0123"
        pair.server.sendall(b"back\nrest")
        assert file.readline() == b"back\n"
        repr(file), repr(raw)


def test_a_file_times_out_as_sockets_do(pair: Pair) -> None:
    pair.server.settimeout(0.02)
    with pair.server.makefile("rb") as file:
        with pytest.raises(TimeoutError, match="timed out"):
            file.read(1)
        with pytest.raises(OSError, match="cannot read from timed out object"):
            file.read(1)


def test_the_context_closes(back: Back) -> None:
    client, server = connected(back)
    with server:
        with client:
            pass
        assert server.recv(1) == b""
        with pytest.raises(OSError) as caught:
            client.send(b"x")
        assert caught.value.errno == errno.EBADF
        client.close()
        assert "[closed]" in repr(client)


def test_abort_resets(pair: Pair) -> None:
    pair.client.abort()
    with pytest.raises(ConnectionResetError) as caught:
        pair.server.recv(1)
    assert caught.value.errno == errno.ECONNRESET


def test_options(pair: Pair) -> None:
    sock = pair.client
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, (0).to_bytes(4, "little"))
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 4) == bytes(4)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, None, 4)
    with pytest.raises(OSError) as caught:
        sock.getsockopt(socket.SOL_SOCKET, 9999)
    assert caught.value.errno == errno.ENOPROTOOPT
    for name, value in ((socket.IP_TTL, 9), (socket.IP_TOS, 0x48)):
        sock.setsockopt(socket.IPPROTO_IP, name, value)
        assert sock.getsockopt(socket.IPPROTO_IP, name) == value
    assert sock.getsockopt(socket.IPPROTO_IP, 14) == 1500  # IP_MTU
    with pytest.raises(TypeError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, None)  # type: ignore[call-overload]


def test_a_receive_timeout_option_is_a_would_block(pair: Pair) -> None:
    sock = pair.server
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, array.array("q", [0, 20_000]))
    with pytest.raises(BlockingIOError) as caught:
        sock.recv(1)
    assert caught.value.errno == errno.EAGAIN


def test_timeouts_are_those_of_sockets(pair: Pair) -> None:
    sock = pair.server
    assert sock.gettimeout() == DEADLINE
    sock.settimeout(0.02)
    assert (sock.gettimeout(), sock.timeout, sock.getblocking()) == (0.02, 0.02, True)
    with pytest.raises(TimeoutError) as caught:
        sock.recv(1)
    assert (str(caught.value), caught.value.errno) == ("timed out", None)
    sock.setblocking(False)
    assert (sock.gettimeout(), sock.getblocking()) == (0.0, False)
    with pytest.raises(BlockingIOError) as would:
        sock.recv(1)
    assert would.value.errno == errno.EAGAIN
    sock.setblocking(True)
    assert sock.gettimeout() is None
    for wrong in (-1, float("nan")):
        with pytest.raises(ValueError, match="out of range"):
            sock.settimeout(wrong)


def test_new_sockets_take_the_default_timeout(back: Back) -> None:
    socket.setdefaulttimeout(7.5)
    try:
        with back.near.socket() as sock:
            assert sock.gettimeout() == 7.5
    finally:
        socket.setdefaulttimeout(None)
    with back.near.socket() as sock:
        assert sock.gettimeout() is None


def test_accept_times_out(back: Back) -> None:
    with back.near.create_server(("", 0)) as listener:
        listener.settimeout(0.02)
        with pytest.raises(TimeoutError, match="timed out"):
            listener.accept()
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_full_connection(pair: Pair) -> None:
    """Sending into a connection that nobody reads: a part is taken, then would-block, then time-out."""
    sock, piece = pair.client, bytes(1 << 20)
    sock.setblocking(False)
    queued = 0
    with pytest.raises(BlockingIOError):
        for _ in range(100):
            queued += sock.send(piece)
    sock.settimeout(0.02)
    with pytest.raises(TimeoutError, match="timed out"):
        for _ in range(100):
            queued += sock.send(piece)
    with pytest.raises(TimeoutError, match="timed out"):
        sock.sendall(piece * 32)
    assert queued > 256 << 10


def test_connecting_to_nobody_is_refused(back: Back, family: Family) -> None:
    with pytest.raises(ConnectionRefusedError) as caught:
        back.near.create_connection((family.far, 9), timeout=DEADLINE)
    assert caught.value.errno == errno.ECONNREFUSED
    with back.near.socket(family.number) as sock:
        sock.settimeout(DEADLINE)
        assert sock.connect_ex((family.far, 9)) == errno.ECONNREFUSED


def test_connecting_into_the_void_times_out() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with right, usertcp.Stack(fd=left.detach(), addresses=NEAR) as stack:
        with pytest.raises(TimeoutError, match="timed out"):
            stack.create_connection((V4.far, 80), timeout=0.05)
        with stack.socket() as sock:
            sock.settimeout(0.05)
            assert sock.connect_ex((V4.far, 80)) == errno.EAGAIN
            assert sock.connect_ex((V4.far, 80)) in (errno.EALREADY, errno.EAGAIN)


def test_connecting_without_waiting_is_in_progress() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with right, usertcp.Stack(fd=left.detach(), addresses=NEAR) as stack, stack.socket() as sock:
        sock.setblocking(False)
        with pytest.raises(BlockingIOError) as caught:
            sock.connect((V4.far, 80))
        assert caught.value.errno == errno.EINPROGRESS
        assert sock.connect_ex((V4.far, 80)) == errno.EALREADY
        assert usertcp.poll([(sock, select.POLLOUT)], 0) == []
        sock.abort()


def test_the_outcome_of_connecting_without_waiting(back: Back) -> None:
    """The answer may come so fast that the call itself has it, as over the kernel's loopback."""
    with back.far.create_server((V4.far, 0)) as listener, back.near.socket() as sock:
        sock.setblocking(False)
        assert sock.connect_ex(listener.getsockname()) in (0, errno.EINPROGRESS)
        assert usertcp.poll([(sock, select.POLLOUT)], DEADLINE) == [(sock, select.POLLOUT)]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert sock.getpeername() == listener.getsockname()
    with back.near.socket() as sock:
        sock.setblocking(False)
        if sock.connect_ex((V4.far, 9)) == errno.EINPROGRESS:
            ((_, events),) = usertcp.poll([(sock, select.POLLOUT)], DEADLINE)
            assert events & select.POLLERR
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


@pytest.mark.parametrize(
    ("address", "error", "text"),
    [
        (["192.0.2.2", 80], TypeError, "must be tuple, not list"),
        (("192.0.2.2",), TypeError, "tuple"),
        ((7, 80), TypeError, "str, bytes or bytearray expected, not int"),
        ((None, 80), TypeError, "str, bytes or bytearray expected, not NoneType"),
        (("192.0.2.2", "80"), TypeError, None),
        (("192.0.2.2", 65536), OverflowError, "0-65535"),
        (("192.0.2.2", -1), OverflowError, "0-65535"),
        (("192.0.2.2", 1 << 80), OverflowError, "0-65535"),
        (("2001:db8::2", 80), socket.gaierror, "family AF_INET"),
    ],
)
def test_wrong_addresses_are_named(back: Back, address: Any, error: Any, text: str | None) -> None:
    with back.near.socket() as sock, pytest.raises(error, match=text):
        sock.connect(address)


def test_wrong_flow_labels_are_named(back: Back) -> None:
    with back.near.socket(socket.AF_INET6) as sock:
        for flow in (-1, 1 << 20):
            with pytest.raises(OverflowError):
                sock.bind((V6.near, 0, flow))
        sock.bind((V6.near, 0, (1 << 20) - 1))


def test_a_backlog_is_an_int_of_c(back: Back) -> None:
    with back.near.socket() as sock:
        for backlog in (1 << 31, -(1 << 31) - 1):
            with pytest.raises(OverflowError):
                sock.listen(backlog)
        sock.listen(-1)
        sock.listen((1 << 31) - 1)


def test_errors_have_the_class_and_number_of_sockets(back: Back) -> None:
    with back.near.socket() as sock:
        with pytest.raises(OSError) as caught:
            sock.recv(1)
        assert caught.value.errno == errno.ENOTCONN
        with pytest.raises(OSError) as caught:
            sock.getpeername()
        assert caught.value.errno == errno.ENOTCONN
        with pytest.raises(OSError) as caught:
            sock.bind(("198.51.100.1", 80))
        assert caught.value.errno == errno.EADDRNOTAVAIL
        with pytest.raises(OSError) as caught:
            sock.shutdown(7)
        assert caught.value.errno == errno.EINVAL
    with back.near.create_server((V4.near, 777)):
        with pytest.raises(OSError) as caught:
            back.near.create_server((V4.near, 777))
        assert caught.value.errno == errno.EADDRINUSE
    with pytest.raises(OSError) as caught:
        back.near.socket(socket.AF_UNIX)
    assert caught.value.errno == errno.EAFNOSUPPORT


def test_writing_behind_the_end_is_a_broken_pipe(pair: Pair) -> None:
    pair.client.shutdown(socket.SHUT_WR)
    with pytest.raises(BrokenPipeError) as caught:
        pair.client.send(b"x")
    assert caught.value.errno == errno.EPIPE


def test_tcp_info_has_figures(pair: Pair) -> None:
    pair.client.sendall(b"x" * 1000)
    assert pair.server.recv(1000, socket.MSG_WAITALL) == b"x" * 1000
    info = pair.client.tcp_info()
    assert info.state == 1
    assert info.bytes_sent >= 1000
    assert pair.server.tcp_info().bytes_received >= 1000
    assert info._asdict()["snd_mss"] == info.snd_mss > 0
    assert f"snd_mss={info.snd_mss}" in repr(info)


def test_poll_over_sockets_of_several_stacks(back: Back) -> None:
    client, server = connected(back)
    with client, server:
        assert usertcp.poll([(client, select.POLLIN), (server, select.POLLIN)], 0) == []
        assert usertcp.poll([(client, select.POLLIN)], 0.02) == []
        both = [(client, select.POLLIN), (server, select.POLLIN | select.POLLRDHUP)]
        task = Task(usertcp.poll, both, DEADLINE)
        client.sendall(b"x")
        assert task.answer() == [(server, select.POLLIN)]
        client.close()
        assert server.recv(1) == b"x"
        assert server.recv(1) == b""
        ((_, events),) = usertcp.poll([(server, select.POLLIN | select.POLLRDHUP)], DEADLINE)
        assert events & select.POLLIN and events & select.POLLRDHUP
        assert usertcp.poll([(client, 0)], DEADLINE) == [(client, select.POLLNVAL)]
    assert usertcp.poll([], 0.01) == []


def test_loopback_inside_the_stack() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with right, usertcp.Stack(fd=left.detach(), addresses=FAR) as stack:
        for host in ("127.0.0.1", "::1", V4.far, V6.far):
            with stack.create_server((host, 0)) as listener:
                listener.settimeout(DEADLINE)
                with stack.create_connection(listener.getsockname()[:2], DEADLINE) as client:
                    server, _ = listener.accept()
                    with server:
                        client.sendall(host.encode())
                        assert server.recv(100) == host.encode()


def test_a_server_of_both_families(back: Back) -> None:
    assert back.far.has_dualstack_ipv6()
    with back.far.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        listener.settimeout(DEADLINE)
        port = listener.getsockname()[1]
        for family in (V4, V6):
            client = back.near.create_connection((family.far, port), DEADLINE)
            server, peer = listener.accept()
            with client, server:
                mapped = "::ffff:" if family is V4 else ""
                assert peer == (mapped + family.near, client.getsockname()[1], 0, 0)
                assert server.getsockname() == (mapped + family.far, port, 0, 0)
                assert server.getpeername() == peer
                assert server.family == socket.AF_INET6
                client.sendall(b"hello")
                assert server.recv(9) == b"hello"
        with back.near.socket(socket.AF_INET6) as client:
            client.settimeout(DEADLINE)
            client.connect(("::ffff:" + V4.far, port))
            assert client.getsockname()[0] == "::ffff:" + V4.near
        with pytest.raises(OSError) as caught:
            back.far.create_server((V4.far, port))
        assert caught.value.errno == errno.EADDRINUSE
    with pytest.raises(ValueError, match="AF_INET6"):
        back.far.create_server(("", 0), family=socket.AF_INET, dualstack_ipv6=True)


def test_a_server_of_one_family_leaves_the_other_alone(back: Back) -> None:
    with back.far.create_server(("", 0), family=socket.AF_INET6) as six:
        assert six.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
        with back.far.create_server(("", six.getsockname()[1]), family=socket.AF_INET):
            pass
        with pytest.raises(OSError) as caught:
            six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        assert caught.value.errno == errno.EINVAL


def test_servers_that_share_a_port(back: Back) -> None:
    with back.far.create_server(("", 0), reuse_port=True) as first:
        address = (V4.far, first.getsockname()[1])
        with back.far.create_server(("", address[1]), reuse_port=True) as second:
            clients = [back.near.create_connection(address, DEADLINE) for _ in range(40)]
            shares = {first: 0, second: 0}
            while sum(shares.values()) < 40:
                ready = usertcp.poll([(sock, select.POLLIN) for sock in shares], DEADLINE)
                assert ready
                for sock, _ in ready:
                    sock.accept()[0].close()
                    shares[sock] += 1
            assert min(shares.values()) > 3
            for client in clients:
                client.close()
        with pytest.raises(OSError) as caught:
            back.far.create_server(("", address[1]))
        assert caught.value.errno == errno.EADDRINUSE
