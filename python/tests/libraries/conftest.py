"""Where the libraries run: a client and a server, one of them on a stack with the kernel as its peer."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, cast

import pytest
import trustme
import usertcp
import usertcp.sim
from conftest import (
    DEADLINE,
    FAR,
    NEAR,
    V4,
    V6,
    Family,
    Task,
    captured,
    finish,
    judge,
    run,
)
from usertcp import _patch
from usertcp._names import is_numeric

SERVER = "server.example"
"""The name of the server's host, which has addresses of both families."""

WHERE = ["tun", "tun-server", "sim"]
"""Where the libraries run."""

DATA = random.Random(8).randbytes(1 << 20)


class Side(Protocol):
    """A host: what makes its sockets."""

    def patch(self) -> contextlib.AbstractContextManager[None]:
        """Has module `socket` make sockets of this host."""

    def socket(self, family: int = ..., type: int = ..., proto: int = ...) -> socket.socket:
        """A socket of this host."""


_of_the_system = socket.getaddrinfo


class Kernel:
    """The kernel's side of a sandbox, with the methods of a stack that the tests need."""

    def __init__(self, sandbox: usertcp.Sandbox, hosts: dict[str, list[str]]) -> None:
        self.socket = sandbox.socket
        self._hosts = hosts

    def patch(self) -> contextlib.AbstractContextManager[None]:
        """Has module `socket` make sockets of the sandbox's kernel."""
        return _patch.patched(cast(usertcp.Stack, self))

    _PATCHED: ClassVar[Any] = {socket.SOCK_STREAM: socket.IPPROTO_TCP}

    def _speak_tls(self) -> None:
        """As every kernel's socket does."""

    def getaddrinfo(
        self, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[Any]:
        """The addresses of the hosts of the tests, and of those in digits."""
        if isinstance(host, bytes):
            host = host.decode()
        if host not in self._hosts and not is_numeric(host):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = [
            each
            for each in self._hosts.get(host, [host])
            if family in (0, socket.AF_INET6 if ":" in each else socket.AF_INET)
        ]
        flags &= ~socket.AI_ADDRCONFIG  # what this process has addresses of does not matter
        return [info for each in found for info in _of_the_system(each, port, family, type, proto, flags)]


class Running(Protocol):
    """A call beside the test."""

    def answer(self) -> Any:
        """Waits for what it returns."""


class World:
    """Two hosts with a link between them, and how code runs on either."""

    patience = 0.1
    """Seconds that are long enough to find out that nobody answers."""

    def __init__(self, client: Side, server: Side, family: Family, address: str) -> None:
        self.client, self.server = client, server
        self.family = family
        self.address = address
        """The server's address in digits."""

    @property
    def stack(self) -> usertcp.Stack:
        """The client's stack, where it has one."""
        assert isinstance(self.client, usertcp.Stack)
        return self.client

    def start(self, call: Callable[..., Any], *arguments: Any) -> Running:
        """Runs a function on the server's host, beside the test."""
        return Task(call, *arguments)

    def at_the_server(self) -> contextlib.AbstractContextManager[None]:
        """For what the test itself does with a server that runs."""
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def serving(self, server: Any) -> Iterator[Any]:
        """Has a server of `socketserver` serve until the end of the block."""
        task = self.start(server.serve_forever, 0.02)
        try:
            yield server
        finally:
            with self.at_the_server():
                server.shutdown()
                task.answer()
                server.server_close()

    def run(self, main: Callable[[], Awaitable[Any]]) -> Any:
        """Runs a coroutine in a loop of asyncio, to the end of all of its tasks."""
        return run(main)

    def lasting(self, seconds: float) -> contextlib.AbstractContextManager[None]:
        """Checks that a block takes so long, where that can be known."""
        return contextlib.nullcontext()

    def listener(self) -> socket.socket:
        """A socket that listens on the server's host, on a port that is free."""
        sock = self.server.socket(self.family.number)
        try:
            sock.bind((self.address, 0))
            sock.listen()
            sock.settimeout(DEADLINE)
        except BaseException:
            sock.close()
            raise
        return sock


class TunWorld(World):
    """One of the two is the kernel's."""

    def __init__(self, client: Side, server: Side, address: str, sandbox: usertcp.Sandbox) -> None:
        super().__init__(client, server, V4, address)
        self.sandbox = sandbox


class SimulatedTask:
    """A task of a simulated network."""

    def __init__(self, task: usertcp.sim.Task[Any]) -> None:
        self._task = task

    def answer(self) -> Any:
        """Waits for what it returns."""
        return self._task.result(DEADLINE)


class SimulatedWorld(World):
    """Two hosts of a simulated network, in its time."""

    patience = DEADLINE / 2
    """No time at all."""

    def __init__(self, net: usertcp.sim.Network, client: usertcp.sim.Host, server: usertcp.sim.Host) -> None:
        super().__init__(client, server, V4, server.address)
        self.net = net

    def start(self, call: Callable[..., Any], *arguments: Any) -> Running:
        return SimulatedTask(self.net.spawn(call, *arguments, host=cast(usertcp.sim.Host, self.server)))

    def at_the_server(self) -> contextlib.AbstractContextManager[None]:
        return self.server.patch()

    @contextlib.contextmanager
    def lasting(self, seconds: float) -> Iterator[None]:
        began = self.net.now
        yield
        assert seconds <= self.net.now - began < seconds + 0.25, "by the network's clock"

    def run(self, main: Callable[[], Awaitable[Any]]) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(10 * DEADLINE):
                answer = await main()
                while others := asyncio.all_tasks() - {asyncio.current_task()}:
                    await asyncio.gather(*others)
                await asyncio.sleep(1)  # of the network's time: what was closed is gone at both ends
                return answer

        return usertcp.sim.run(bounded(), net=self.net)


@contextlib.contextmanager
def on_tun(folder: Path, client_is_ours: bool) -> Iterator[TunWorld]:
    """One side on a stack on a TUN, the other in the kernel."""
    addresses = [V4.near, V6.near] if client_is_ours else [V4.far, V6.far]
    hosts = folder / "hosts"
    hosts.write_text("".join(f"{address} {SERVER}\n" for address in addresses))
    names = {"hosts": hosts, "nameservers": []}
    with usertcp.Sandbox(host_addresses=NEAR) as sandbox:
        stack = sandbox.stack(addresses=FAR, names=names, **captured(folder, "stack"))
        kernel = Kernel(sandbox, {SERVER: addresses})
        sides: tuple[Any, Any] = (stack, kernel) if client_is_ours else (kernel, stack)
        try:
            yield TunWorld(*sides, addresses[0], sandbox)
        finally:
            finish(stack)
        judge(folder)


@contextlib.contextmanager
def simulated(folder: Path) -> Iterator[SimulatedWorld]:
    """Both hosts simulated, with a link between them that takes its time."""
    with usertcp.sim.Network(seed=8) as net:
        client, server = (net.host(name, **captured(folder, name)) for name in ("client", SERVER))
        net.link(client, server, rate=1e9, delay=0.005)
        yield SimulatedWorld(net, client, server)
    judge(folder)


def world_of(where: str, folder: Path) -> contextlib.AbstractContextManager[World]:
    """By name: "tun" has the client on a stack, "tun-server" the server, "sim" both."""
    return simulated(folder) if where == "sim" else on_tun(folder, where == "tun")


def pytest_configure(config: pytest.Config) -> None:
    """Registers the mark."""
    config.addinivalue_line("markers", "library(*names): what the test runs, as docs/libraries.md calls it")


@pytest.fixture(params=WHERE)
def where(request: pytest.FixtureRequest) -> str:
    """Where a library runs."""
    if request.param != "sim":
        request.getfixturevalue("granted")
    return cast(str, request.param)


@pytest.fixture
def world(where: str, tmp_path: Path) -> Iterator[World]:
    """A client and a server."""
    with world_of(where, tmp_path) as world:
        yield world


@pytest.fixture(params=["tun", "sim"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """The same, with the client on a stack in any case, for what is made for a stack."""
    if request.param != "sim":
        request.getfixturevalue("granted")
    with world_of(request.param, tmp_path) as world:
        yield world


class Trust(NamedTuple):
    """TLS for the server, by name and by address, and for clients that trust it."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    file: Path
    """The certificate of the authority."""
    issuer: trustme.CA

    def fresh(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        """Contexts as `server` and `client`, for who changes them."""
        return contexts(self.issuer)


def contexts(issuer: trustme.CA) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For a server with a certificate of an issuer, and for who trusts the issuer."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    issuer.issue_cert(SERVER, V4.near, V4.far, V6.near, V6.far).configure_cert(server)
    client = ssl.create_default_context()
    issuer.configure_trust(client)
    return server, client


@pytest.fixture(scope="session")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    """An authority that nobody else knows."""
    file = tmp_path_factory.mktemp("trust") / "authority.pem"
    issuer = trustme.CA()
    issuer.cert_pem.write_to_path(str(file))
    return Trust(*contexts(issuer), file, issuer)


def what_both_say(ours: ssl.SSLSocket, theirs: ssl.SSLSocket, trust: Trust) -> None:
    """What a client's and a server's end of a connection in TLS tell of it."""
    cipher = ours.cipher()
    assert cipher and cipher == theirs.cipher()
    shared = theirs.shared_ciphers()
    assert shared and cipher[0] in [name for name, *_ in shared]
    certificate = ours.getpeercert()
    assert certificate and ("DNS", SERVER) in certificate["subjectAltName"]
    assert theirs.getpeercert() is None
    assert (ours.server_side, theirs.server_side) == (False, True)
    assert (ours.server_hostname, ours.context) == (SERVER, trust.client)
    assert ours.compression() is None and ours.selected_alpn_protocol() is None
    assert ours.get_channel_binding() == theirs.get_channel_binding()
    assert ours.fileno() >= 0 and ours.pending() == 0
