"""`ssl` by `SSLContext.wrap_socket`: between a stack and the kernel, and between simulated hosts."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import select
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import DEADLINE
from usertcp._tls import TlsSocket

from libraries.conftest import DATA, SERVER, Trust, World, what_both_say

pytestmark = pytest.mark.library("ssl")


class Ends(NamedTuple):
    """The two ends of one connection, in TLS."""

    client: ssl.SSLSocket
    server: ssl.SSLSocket


def connected(world: World) -> tuple[socket.socket, socket.socket]:
    """The two ends of a connection that says nothing yet."""
    with world.server.patch():
        listener = world.listener()
    with listener:
        port = listener.getsockname()[1]
        task = world.start(listener.accept)
        with world.client.patch():
            client = socket.create_connection((SERVER, port), DEADLINE)
        server, _ = task.answer()
    server.settimeout(DEADLINE)
    return client, server


@contextlib.contextmanager
def secured(
    world: World,
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
    session: ssl.SSLSession | None = None,
    **options: Any,
) -> Iterator[Ends]:
    """A connection in TLS, by the contexts of its server and its client."""
    client, server = connected(world)
    task = world.start(functools.partial(contexts[0].wrap_socket, server, server_side=True, **options))
    with (
        contexts[1].wrap_socket(client, server_hostname=SERVER, session=session, **options) as ours,
        task.answer() as theirs,
    ):
        yield Ends(ours, theirs)


@pytest.fixture
def ends(world: World, trust: Trust) -> Iterator[Ends]:
    with secured(world, (trust.server, trust.client)) as ends:
        yield ends


def whole(end: ssl.SSLSocket, length: int) -> str:
    """The digest of what is read, until there is so much."""
    digest = hashlib.sha256()
    while length:
        piece = end.recv(1 << 16)
        assert piece
        digest.update(piece)
        length -= len(piece)
    return digest.hexdigest()


DIGEST = hashlib.sha256(DATA).hexdigest()


def test_what_it_says(ends: Ends, trust: Trust) -> None:
    ours, theirs = ends
    assert TlsSocket in map(type, ends)
    assert ours.version() == theirs.version() == "TLSv1.3"
    assert ours.getpeername() == theirs.getsockname()
    assert ours.getsockname() == theirs.getpeername()
    assert ours.gettimeout() == theirs.gettimeout() == DEADLINE
    what_both_say(ours, theirs, trust)


def test_data_both_ways(world: World, ends: Ends) -> None:
    """One after the other: Python's own sockets of TLS cannot do both at once on two threads."""
    for sender, receiver in (ends, ends[::-1]):
        task = world.start(sender.sendall, DATA)
        assert whole(receiver, len(DATA)) == DIGEST
        task.answer()


def test_files(world: World, ends: Ends, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    with path.open("rb") as file, ends.server.makefile("rb") as stream:
        task = world.start(ends.client.sendfile, file)
        assert hashlib.sha256(stream.read(len(DATA))).hexdigest() == DIGEST
        assert task.answer() == len(DATA)
    with ends.server.makefile("wb") as stream:
        stream.write(b"a line\n")
    with ends.client.makefile("r") as text:
        assert text.readline() == "a line\n"


def test_the_end_is_said(world: World, ends: Ends) -> None:
    task = world.start(ends.server.unwrap)
    client, server = ends.client.unwrap(), task.answer()
    with client, server:
        for sender, receiver in ((client, server), (server, client)):
            sender.sendall(b"in the clear")
            assert receiver.recv(100) == b"in the clear"


@pytest.mark.parametrize("suppress", [True, False])
def test_the_end_is_not_said(world: World, trust: Trust, suppress: bool) -> None:
    with secured(world, (trust.server, trust.client), suppress_ragged_eofs=suppress) as ends:
        ends.server.sendall(b"last")
        ends.server.close()
        assert ends.client.recv(4) == b"last"
        if suppress:
            assert ends.client.recv(1) == b""
        else:
            with pytest.raises(ssl.SSLEOFError):
                ends.client.recv(1)


def test_time_runs_out(world: World, ends: Ends) -> None:
    for end in ends:
        end.settimeout(world.patience)
        with pytest.raises(TimeoutError, match="read operation"):
            end.recv(1)
    for end in ends:
        with pytest.raises(TimeoutError, match="write operation"):
            end.sendall(DATA * 32)


def test_without_waiting(world: World, trust: Trust) -> None:
    client, server = connected(world)
    task = world.start(functools.partial(trust.server.wrap_socket, server, server_side=True))
    client.setblocking(False)
    ours = trust.client.wrap_socket(client, server_hostname=SERVER, do_handshake_on_connect=False)

    def patient(call: Callable[[], Any]) -> Any:
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                assert select.select([ours], [], [], DEADLINE)[0]
            except ssl.SSLWantWriteError:
                assert select.select([], [ours], [], DEADLINE)[1]

    with ours, world.client.patch():
        patient(ours.do_handshake)
        with task.answer() as theirs:
            theirs.sendall(b"x")
            assert patient(lambda: ours.recv(1)) == b"x"
            data = DATA * 32
            with pytest.raises(ssl.SSLWantWriteError):
                while True:
                    ours.send(data)
            reader = world.start(whole, theirs, len(data))
            assert patient(lambda: ours.send(data)) == len(data)
            assert reader.answer() == hashlib.sha256(data).hexdigest()


def test_names_and_protocols_are_negotiated(world: World, trust: Trust) -> None:
    """Callbacks of contexts see the socket, and sessions are taken up again."""
    seen: list[Any] = []
    server, client = contexts = trust.fresh()
    server.set_alpn_protocols(["h2", "http/1.1"])
    client.set_alpn_protocols(["http/1.1"])
    server.sni_callback = lambda sock, name, context: seen.append((sock, name, context))
    session = None
    for _ in range(2):
        with secured(world, contexts, session) as ends:
            assert [end.selected_alpn_protocol() for end in ends] == ["http/1.1"] * 2
            assert seen.pop() == (ends.server, SERVER, server)
            assert ends.client.session_reused is (session is not None)
            ends.server.sendall(b"x")
            ends.client.recv(1)  # tickets come before
            session = ends.client.session


def test_a_certificate_for_another(world: World, trust: Trust) -> None:
    client, server = connected(world)
    task = world.start(functools.partial(trust.server.wrap_socket, server, server_side=True))
    with trust.client.wrap_socket(
        client, server_hostname="other.example", do_handshake_on_connect=False
    ) as ours:
        with pytest.raises(ssl.SSLCertVerificationError, match="other.example"):
            ours.do_handshake()
        with server, pytest.raises(ssl.SSLError, match="ALERT"):
            task.answer()


def test_what_tls_has_not(ends: Ends) -> None:
    for end in ends:
        for call in (
            lambda: end.send(b"x", socket.MSG_OOB),
            lambda: end.recv(1, socket.MSG_PEEK),
            lambda: end.recvfrom(1),
        ):
            with pytest.raises(ValueError):
                call()
        with pytest.raises(NotImplementedError):
            end.dup()
