"""`TlsSocket`: TLS on a connection that the kernel knows nothing of, with the manners of `ssl.SSLSocket`."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import io
import os
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import usertcp
from conftest import DEADLINE, V4, Back, Family, Task, asleep, connected
from usertcp import _tls
from usertcp._tls import TlsSocket

from libraries.conftest import DATA, SERVER, Trust, what_both_say


class Ends(NamedTuple):
    """The two ends of one connection, in TLS."""

    client: TlsSocket
    server: TlsSocket


def client_of(trust: Trust, sock: usertcp.Socket, **options: Any) -> TlsSocket:
    """Shakes hands as a client."""
    return TlsSocket._create(sock, context=trust.client, **{"server_hostname": SERVER, **options})


def server_of(trust: Trust, sock: usertcp.Socket, **options: Any) -> TlsSocket:
    """Shakes hands as the server."""
    return TlsSocket._create(sock, context=trust.server, server_side=True, **options)


def secured(back: Back, trust: Trust, family: Family = V4, **options: Any) -> Ends:
    """A connection from near to far, in TLS."""
    client, server = connected(back, family)
    task = Task(functools.partial(server_of, trust, server, **options))
    return Ends(client_of(trust, client, **options), task.answer())


@pytest.fixture
def ends(back: Back, trust: Trust) -> Iterator[Ends]:
    pair = secured(back, trust)
    yield pair
    for end in pair:
        end.close()


def test_what_it_is(back: Back, trust: Trust, family: Family) -> None:
    client, server = connected(back, family)
    names = client.getsockname(), client.getpeername()
    task = Task(server_of, trust, server)
    with client_of(trust, client) as ours, task.answer() as theirs:
        for end in (ours, theirs):
            assert isinstance(end, ssl.SSLSocket) and isinstance(end, usertcp.Socket)
            assert end.version() == "TLSv1.3"
        assert (client.fileno(), server.fileno()) == (-1, -1)
        with pytest.raises(OSError) as caught:
            client.send(b"in the clear")
        assert caught.value.errno == errno.EBADF
        client.close()
        assert (ours.getsockname(), ours.getpeername()) == names
        assert ours.gettimeout() == DEADLINE
        what_both_say(ours, theirs, trust)
    assert ours.fileno() == -1


def test_data_both_ways(ends: Ends) -> None:
    for sender, receiver in (ends, ends[::-1]):
        task = Task(sender.sendall, DATA)
        got = bytearray()
        memory = bytearray(50_000)
        while len(got) < len(DATA):
            count = receiver.recv_into(memory)
            got += memory[:count]
        assert got == DATA
        task.answer()


def test_data_both_ways_at_once(ends: Ends) -> None:
    """Two threads write and two read, each side both."""

    def read(end: TlsSocket) -> bytes:
        got = bytearray()
        while len(got) < len(DATA):
            got += end.recv(1 << 16)
        return bytes(got)

    tasks = [Task(end.sendall, DATA) for end in ends]
    readers = [Task(read, end) for end in ends]
    assert [task.answer() for task in readers] == [DATA, DATA]
    for task in tasks:
        task.answer()


def test_files_on_both_sides(ends: Ends, tmp_path: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    with path.open("rb") as file, ends.server.makefile("rb") as stream:
        task = Task(ends.client.sendfile, file)
        assert hashlib.sha256(stream.read(len(DATA))).digest() == hashlib.sha256(DATA).digest()
        assert task.answer() == len(DATA)
    with ends.server.makefile("wb") as stream:
        stream.write(b"a line\n")
        stream.flush()
    with ends.client.makefile("r") as text:
        assert isinstance(text, io.TextIOWrapper)
        assert text.readline() == "a line\n"


def test_the_end_of_tls_is_said(ends: Ends) -> None:
    task = Task(ends.server.unwrap)
    assert ends.client.unwrap() is ends.client
    assert task.answer() is ends.server
    for sender, receiver in (ends, ends[::-1]):
        sender.sendall(b"in the clear")
        assert receiver.recv(100) == b"in the clear"
        assert sender.version() is None
        with pytest.raises(ValueError, match="No SSL wrapper"):
            sender.unwrap()
        with pytest.raises(ValueError, match="unwrapped"):
            sender.read(1)
        with pytest.raises(ValueError, match="unwrapped"):
            sender.write(b"")
    number = ends.client.detach()
    os.write(number, b"by its number")
    os.close(number)
    assert ends.server.recv(100) == b"by its number"
    assert ends.server.recv(100) == b""


def test_what_follows_the_end_of_tls_is_not_swallowed(ends: Ends) -> None:
    """The peer goes on in the clear at once, in the same packet: only whole records are taken from the connection."""

    def finish() -> None:
        with contextlib.suppress(ssl.SSLError):
            ends.server.unwrap()

    raw = ends.server._raw
    ends.client.settimeout(DEADLINE)
    task = Task(ends.client.unwrap)
    assert usertcp.poll([(ends.server, select.POLLIN)], DEADLINE)
    # The answer and what comes after it are one write.
    with ends.server._lock:
        with contextlib.suppress(ssl.SSLWantReadError):
            ends.server._sslobj.shutdown()
        records = ends.server._outgoing.read()
    raw.sendall(records + b"in the clear")
    task.answer()
    assert ends.client.recv(100) == b"in the clear"
    finish()


def test_select_shows_what_lies_behind_a_record(ends: Ends) -> None:
    for word in (b"one", b"two"):
        ends.server.sendall(word)
    assert usertcp.poll([(ends.client, select.POLLIN)], DEADLINE)
    assert ends.client.recv(2) == b"on"
    assert ends.client.pending() == 1
    assert ends.client.recv(100) == b"e"
    assert ends.client.pending() == 0
    assert select.select([ends.client], [], [], DEADLINE)[0] == [ends.client]
    assert ends.client.recv(100) == b"two"
    assert select.select([ends.client], [], [], 0)[0] == []


def test_without_waiting(back: Back, trust: Trust) -> None:
    client, server = connected(back)
    client.setblocking(False)
    with server, pytest.raises(ValueError, match="non-blocking"):
        client_of(trust, client)
    client, server = connected(back)
    task = Task(server_of, trust, server)
    client.setblocking(False)
    ours = client_of(trust, client, do_handshake_on_connect=False)
    waits = 0

    def patient(call: Any) -> Any:
        nonlocal waits
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                assert select.select([ours], [], [], DEADLINE)[0]
            except ssl.SSLWantWriteError:
                assert select.select([], [ours], [], DEADLINE)[1]
            waits += 1

    with ours:
        patient(ours.do_handshake)
        with task.answer() as theirs:
            theirs.sendall(b"x")
            assert patient(lambda: ours.recv(1)) == b"x"
            assert waits < 20
            # A write that nobody reads for ends nowhere, and goes on where it was.
            data = DATA * 32
            with pytest.raises(ssl.SSLWantWriteError):
                ours.send(data)
            with pytest.raises(ssl.SSLError, match="bad write retry"):
                ours.send(b"something else")
            reader = Task(_digest_of, theirs, len(data))
            assert patient(lambda: ours.send(data)) == len(data)
            assert reader.answer() == hashlib.sha256(data).hexdigest()
            assert ours.send(b"") == 0


def _digest_of(end: TlsSocket, length: int) -> str:
    digest = hashlib.sha256()
    while length:
        piece = end.recv(1 << 16)
        assert piece
        digest.update(piece)
        length -= len(piece)
    return digest.hexdigest()


def test_a_handshake_may_wait_where_nothing_else_may(back: Back, trust: Trust) -> None:
    client, server = connected(back)
    task = Task(server_of, trust, server)
    client.setblocking(False)
    with client_of(trust, client, do_handshake_on_connect=False) as ours:
        ours.do_handshake(block=True)
        assert ours.gettimeout() == 0.0
        task.answer().close()


def test_a_client_may_go_without_tickets(back: Back, trust: Trust) -> None:
    """It is gone once it has shaken hands: so has the server then, as OpenSSL sees it, whose tickets find nobody."""
    client, server = connected(back)

    task = Task(client_of, trust, client)
    with server_of(trust, server, do_handshake_on_connect=False) as theirs:
        theirs.setblocking(False)
        assert usertcp.poll([(theirs, select.POLLIN)], DEADLINE)
        try:
            theirs.do_handshake()
        except ssl.SSLWantReadError:
            assert usertcp.poll([(theirs, select.POLLIN)], DEADLINE), "its last word"
        # Else the client has answered in the same breath, and its tickets are on their way.
        task.answer().abort()
        assert usertcp.poll([(theirs, 0)], DEADLINE), "a reset"
        theirs.do_handshake()
        assert theirs.version() == "TLSv1.3"


def test_time_runs_out(back: Back, trust: Trust) -> None:
    ours, theirs = secured(back, trust)
    with ours, theirs:
        ours.settimeout(0.01)
        with pytest.raises(TimeoutError, match="read operation"):
            ours.recv(1)
        with pytest.raises(TimeoutError, match="write operation"):
            ours.sendall(DATA * 32)
        with pytest.raises(TimeoutError, match="shutdown operation"):
            ours.unwrap()
    client, server = connected(back)
    with server:
        client.settimeout(0.01)
        with pytest.raises(TimeoutError, match="handshake operation"):
            client_of(trust, client)
        assert client.fileno() == -1


def test_a_certificate_that_is_none(back: Back, trust: Trust) -> None:
    client, server = connected(back)
    task = Task(server_of, trust, server)
    with client_of(trust, client, server_hostname="other.example", do_handshake_on_connect=False) as ours:
        with pytest.raises(ssl.SSLCertVerificationError, match="other.example"):
            ours.do_handshake()
        error = task.ended()
    assert isinstance(error, ssl.SSLError) and "ALERT" in str(error), "the peer is told why"


def test_who_speaks_no_tls(back: Back, trust: Trust) -> None:
    client, server = connected(back)
    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    with client, pytest.raises(ssl.SSLError, match="(?i)http|wrong version"):
        server_of(trust, server)
    client, server = connected(back)
    client.close()
    with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
        server_of(trust, server)


@pytest.mark.parametrize("suppress", [True, False])
def test_an_end_that_was_not_said(back: Back, trust: Trust, suppress: bool) -> None:
    ours, theirs = secured(back, trust, suppress_ragged_eofs=suppress)
    with ours:
        theirs.sendall(b"last")
        theirs.close()
        assert ours.recv(4) == b"last"
        if suppress:
            assert ours.recv(1) == b""
            assert ours.recv_into(bytearray(1)) == 0
        else:
            with pytest.raises(ssl.SSLEOFError):
                ours.recv(1)


def test_a_reset(ends: Ends) -> None:
    ends.server.abort()
    with pytest.raises(ConnectionResetError):
        ends.client.recv(1)
    with pytest.raises(BrokenPipeError):
        ends.client.send(b"x")


def test_closing_wakes_who_sleeps(ends: Ends) -> None:
    task = Task(ends.client.recv, 1)
    blocked_in_poll(task)
    ends.client.close()
    error = task.ended()
    assert isinstance(error, OSError) and error.errno == errno.EBADF


def blocked_in_poll(task: Task) -> None:
    """Waits until the task sleeps in the method that waits for records."""
    end, pause = time.monotonic() + DEADLINE, threading.Event()
    while True:
        frame = sys._current_frames().get(task.ident or 0)
        if frame is not None and frame.f_code.co_name == "_run":
            break
        assert time.monotonic() < end and task.is_alive(), "the task never waits"
        pause.wait(0.002)
    assert task.native_id
    asleep(os.getpid(), task.native_id)


def test_a_listener_in_tls(back: Back, trust: Trust) -> None:
    listener = back.far.create_server((V4.far, 0))
    address = listener.getsockname()
    listener.settimeout(DEADLINE)
    with server_of(trust, listener) as server:
        task = Task(server.accept)
        unconnected = client_of(trust, back.near.socket())
        unconnected.settimeout(DEADLINE)
        with pytest.raises(OSError) as caught:
            unconnected.do_handshake()
        assert caught.value.errno == errno.ENOTCONN
        unconnected.connect(address)
        stream, peer = task.answer()
        with unconnected, stream:
            stream.settimeout(DEADLINE)
            assert type(stream) is TlsSocket and peer == unconnected.getsockname()
            stream.sendall(b"hello")
            assert unconnected.recv(5) == b"hello"
            with pytest.raises(ValueError, match="already-connected"):
                unconnected.connect(address)
            with pytest.raises(ValueError, match="server-side"):
                stream.connect(address)
    with client_of(trust, back.near.socket()) as refused:
        refused.settimeout(DEADLINE)
        assert refused.connect_ex((V4.far, 9)) == errno.ECONNREFUSED
        assert refused.version() is None


def test_names_and_protocols_are_negotiated(back: Back, trust: Trust) -> None:
    """Callbacks of contexts see the socket, and sessions are taken up again."""
    seen: list[Any] = []
    server_context, client_context = trust.fresh()
    server_context.set_alpn_protocols(["h2", "http/1.1"])
    client_context.set_alpn_protocols(["http/1.1"])
    server_context.sni_callback = lambda sock, name, context: seen.append((sock, name, context))
    session = None
    for _ in range(2):
        client, server = connected(back)
        make = functools.partial(TlsSocket._create, server, server_side=True, context=server_context)
        task = Task(make)
        ours = TlsSocket._create(client, context=client_context, server_hostname=SERVER, session=session)
        with ours, task.answer() as theirs:
            assert ours.selected_alpn_protocol() == theirs.selected_alpn_protocol() == "http/1.1"
            assert seen.pop() == (theirs, SERVER, server_context)
            assert ours.session_reused is (session is not None)
            theirs.sendall(b"x")
            ours.recv(1)  # tickets come before
            session = ours.session


def test_what_tls_has_not(ends: Ends) -> None:
    client = ends.client
    for call in (
        lambda: client.send(b"x", socket.MSG_OOB),
        lambda: client.sendall(b"x", socket.MSG_OOB),
        lambda: client.recv(1, socket.MSG_PEEK),
        lambda: client.recv_into(bytearray(1), 1, socket.MSG_PEEK),
        lambda: client.recvfrom(1),
        lambda: client.recvfrom_into(bytearray(1)),
        lambda: client.sendto(b"x", (V4.far, 9)),
    ):
        with pytest.raises(ValueError):
            call()
    others: tuple[Callable[[], Any], ...] = (
        lambda: client.sendmsg([b"x"]),
        lambda: client.recvmsg(1),
        lambda: client.recvmsg_into([bytearray(1)]),
        client.dup,
    )
    for other in others:
        with pytest.raises(NotImplementedError):
            other()
    with pytest.raises(OSError) as caught:
        client.detach()
    assert caught.value.errno == errno.EOPNOTSUPP
    with pytest.raises(TypeError, match="wrap_socket"):
        TlsSocket()


def test_arguments_that_make_no_sense(back: Back, trust: Trust) -> None:
    with back.near.socket() as sock, back.near.socket(type=socket.SOCK_DGRAM) as datagrams:
        with pytest.raises(ValueError, match="client mode"):
            server_of(trust, sock, server_hostname=SERVER)
        with pytest.raises(ValueError, match="check_hostname"):
            client_of(trust, sock, server_hostname=None)
        with pytest.raises(NotImplementedError):
            client_of(trust, datagrams)
        assert sock.fileno() >= 0, "nothing has happened to it"


def test_shutting_down_ends_tls(ends: Ends) -> None:
    ends.server.sendall(b"x")
    ends.client.recv(1)  # and the tickets before
    ends.client.shutdown(socket.SHUT_WR)
    assert ends.client.version() is None
    assert ends.server._raw.recv(100) == b""
    ends.server._raw.sendall(b"in the clear")
    assert ends.client.recv(100) == b"in the clear"


def test_contexts_take_sockets_as_they_are(back: Back, trust: Trust, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl.SSLContext, "sslsocket_class", ssl.SSLSocket)
    _tls.install()
    client, server = connected(back)
    monkeypatch.setattr(back.near, "_speaks_tls", True)
    task = Task(functools.partial(trust.server.wrap_socket, server, server_side=True))
    with trust.client.wrap_socket(client, server_hostname=SERVER) as ours, task.answer() as theirs:
        assert type(ours) is TlsSocket
        assert type(theirs) is ssl.SSLSocket
        theirs.sendall(b"x")
        assert ours.recv(1) == b"x"


def test_the_rest_of_a_patched_program_speaks_tls(back: Back, trust: Trust) -> None:
    with back.far.patch():
        pass
    client, server = connected(back)
    task = Task(functools.partial(trust.server.wrap_socket, server, server_side=True))
    with trust.client.wrap_socket(client, server_hostname=SERVER) as ours, task.answer() as theirs:
        assert type(ours) is ssl.SSLSocket
        assert type(theirs) is TlsSocket and theirs.getsockname()[0] == V4.far
