"""The pytest plugin: networks and stacks for tests, the same every time for a seed, and what they did when a test fails.

pytest finds it by itself where the package is installed. The fixtures are `usertcp_net`, `usertcp_pair`, `usertcp_stack`,
`usertcp_sandbox`, `kernel_peer` and `usertcp_seed`; the marks `usertcp_seeds`, `usertcp_link` and `usertcp_stack`; the
options `--usertcp-seed` and `--usertcp-tun`. `pytest --fixtures`, `--markers` and `--help` describe them.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import inspect
import json
import os
import random
import shlex
import shutil
import unittest
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from socket import AF_INET, AF_INET6, SO_REUSEADDR, SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET, AddressFamily
from socket import socket as KernelSocket
from typing import TYPE_CHECKING, Any, cast

import pytest

import usertcp

if TYPE_CHECKING:
    from usertcp import sim

HOST_ADDRESSES = ("192.0.2.1/24", "2001:db8::1/64")
"""Addresses of the kernel's side of a sandbox."""

STACK_ADDRESSES = ("192.0.2.2/24", "2001:db8::2/64")
"""Addresses of `usertcp_stack`."""

FIRST_SEED = 1
"""The seed of tests unless told otherwise."""

LAST_LINES = 20
"""Lines of a trace that the report of a failed test shows."""

RING = 8 << 20
"""Bytes of packets, the last ones, that are kept of each host and stack for the report of a failed test."""

PEER_TIMEOUT = 20.0
"""Seconds that a call of a kernel's socket of `kernel_peer` may take."""

_SEEDS = 1 << 64
_SEED = "usertcp_seed"


# What is told when a test fails


@dataclasses.dataclass(frozen=True)
class _Watched:
    """A stack, and the files of what it did."""

    name: str
    stack: usertcp.Stack
    packets: Path | None
    trace: Path | None


class _Watch:
    """What one network or stack of a test leaves behind for the report of a failure, in a folder of its own."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.seed = seed
        self.stacks: list[_Watched] = []
        self.now: Callable[[], float] | None = None

    def opened(
        self, name: str, settings: dict[str, Any], opening: Callable[[dict[str, Any]], usertcp.Stack]
    ) -> None:
        """Opens a stack that keeps its last packets and writes a trace, unless its settings say where these go."""
        packets = None if "pcap" in settings else self.folder / f"{name}.pcapng"
        trace = None if "trace" in settings else self.folder / f"{name}.qlog"
        added: dict[str, Any] = {}
        if packets:
            added |= {"pcap": packets, "pcap_ring": RING}
        if trace:
            added["trace"] = trace
        self.stacks.append(_Watched(name, opening(settings | added), packets, trace))

    def told(self, test: str) -> str:
        """The section of the report; `test` is what pytest is to be given."""
        said = [f"seed {self.seed}; again: pytest --usertcp-seed={self.seed} {shlex.quote(test)}"]
        if self.now is not None:
            with contextlib.suppress(OSError):
                said.append(f"virtual time {self.now():.6f} s")
        events: list[tuple[float, str]] = []
        for each in self.stacks:
            with contextlib.suppress(OSError):
                each.stack.dump_capture()
            if each.packets and each.packets.exists():
                said.append(f"packets of {each.name}: {each.packets}")
            if each.trace:
                said.append(f"trace of {each.name}: {each.trace}")
                events += _events(each.name, each.trace)
        if events:
            last = sorted(events, key=lambda event: event[0])[-LAST_LINES:]
            said.append(f"the last {len(last)} events:")
            said += [text for _, text in last]
        return "\n".join(said)


_WATCHES = pytest.StashKey[list[_Watch]]()
_FAILED = pytest.StashKey[bool]()


def _events(name: str, trace: Path) -> list[tuple[float, str]]:
    """The last events of a trace, with their times: seconds, host, connection, event, and what belongs to it."""
    lines: Iterable[str] = ()
    with contextlib.suppress(OSError), open(trace, encoding="utf-8", errors="replace") as file:
        lines = collections.deque(file, LAST_LINES)
    events = []
    for line in lines:
        try:
            event = json.loads(line)
            time, kind = event["time"] / 1000, event["name"]
        except (ValueError, KeyError):  # the header, or a line that is being written
            continue
        whose = f"#{event['group_id']}" if "group_id" in event else "-"
        data = json.dumps(event.get("data", {}), separators=(",", ":"))
        events.append((time, f"{time:12.6f} {name} {whose} {kind} {data}"))
    return events


def _watch(request: pytest.FixtureRequest, folders: pytest.TempPathFactory, seed: int) -> _Watch:
    """A new one, in a folder that goes when the test passes."""
    name = "".join(letter if letter.isalnum() else "_" for letter in request.node.name)[:40]
    watch = _Watch(folders.mktemp(f"usertcp-{name}"), seed)
    request.node.stash.setdefault(_WATCHES, []).append(watch)
    return watch


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the section to the report of a test that fails; the folders of one that passes go."""
    report = yield
    watches = item.stash.get(_WATCHES, [])
    if report.failed:
        item.stash[_FAILED] = True
        for watch in watches:
            report.sections.append(("usertcp", watch.told(_argument(item))))
    if report.when == "teardown":
        if not item.stash.get(_FAILED, False):
            for watch in watches:
                shutil.rmtree(watch.folder, ignore_errors=True)
        # A plugin that runs tests again gives each run its own.
        item.stash[_WATCHES] = []
        item.stash[_FAILED] = False
    return report


def _argument(item: pytest.Item) -> str:
    """What pytest takes a test by where it was started, which need not be the root that names of tests begin at."""
    path, *rest = item.nodeid.split("::", 1)
    there = os.path.relpath(item.config.rootpath / path, item.config.invocation_params.dir)
    return "::".join([there, *rest])


# Seeds


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("usertcp", "usertcp: networks and stacks for tests")
    group.addoption(
        "--usertcp-seed",
        metavar="N",
        help="seed of every test's network or stack, 0 to 2**64-1, in place of 1; a test that is marked "
        "usertcp_seeds runs with it alone. 'random': begin with another one each time",
    )
    group.addoption(
        "--usertcp-tun",
        choices=("skip", "require"),
        default="skip",
        help="what becomes of tests that need a TUN device where none can be had: skipped, or an error",
    )


def pytest_configure(config: pytest.Config) -> None:
    """The marks; and a random seed is picked, by the first process of pytest-xdist for all."""
    for mark in (
        "usertcp_seeds(seeds): repeats the test for each seed: a number of them, or a list",
        "usertcp_link(**settings): the link of usertcp_pair, as usertcp.sim.Network.link takes it",
        "usertcp_stack(**settings): settings of usertcp_stack, as usertcp.Stack takes them; host_addresses, mtu, "
        "offload and queues are the sandbox's, the seed is the test's",
    ):
        config.addinivalue_line("markers", mark)
    given = config.option.usertcp_seed
    if given == "random":
        first = getattr(config, "workerinput", {}).get(_SEED)
        config.option.usertcp_seed = first or f"random:{random.SystemRandom().randrange(1 << 32)}"
    elif given is not None:
        _number(given.removeprefix("random:"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells a process of pytest-xdist the seed."""
    node.workerinput[_SEED] = node.config.option.usertcp_seed


def pytest_report_header(config: pytest.Config) -> list[str]:
    """The seed, if it is another than always."""
    given = config.option.usertcp_seed
    return [] if given is None else [f"usertcp: seed {given.removeprefix('random:')}"]


def _number(text: str) -> int:
    """A seed that was given as text."""
    with contextlib.suppress(ValueError):
        if 0 <= (seed := int(text)) < _SEEDS:
            return seed
    raise pytest.UsageError(f"--usertcp-seed: {text!r} is neither a number from 0 to 2**64-1 nor 'random'")


def _seeds(config: pytest.Config, wanted: object) -> list[int]:
    """The seeds that a mark names."""
    given: str | None = config.option.usertcp_seed
    if given is not None and not given.startswith("random:"):
        return [_number(given)]
    if isinstance(wanted, int) and not isinstance(wanted, bool) and wanted > 0:
        first = FIRST_SEED if given is None else _number(given.removeprefix("random:"))
        return [(first + each) % _SEEDS for each in range(wanted)]
    if isinstance(wanted, Sequence) and not isinstance(wanted, (str, bytes)) and wanted:
        if all(isinstance(seed, int) and 0 <= seed < _SEEDS for seed in wanted):
            return list(wanted)
    raise pytest.Collector.CollectError(f"usertcp_seeds takes a number of seeds or a list of them, not {wanted!r}")


_MARKED = {"usertcp_link": "usertcp_pair", "usertcp_stack": "usertcp_sandbox"}
"""Marks, and the fixtures that read them."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that is marked with seeds becomes one for each. A mark of its own that says nothing to it is an error."""
    for own in metafunc.definition.own_markers:
        fixture = _MARKED.get(own.name)
        if fixture is not None and fixture not in metafunc.fixturenames:
            raise pytest.Collector.CollectError(
                f"{metafunc.definition.nodeid} is marked {own.name}, but neither it nor its fixtures use {fixture}"
            )
    mark = metafunc.definition.get_closest_marker("usertcp_seeds")
    if mark is None:
        return
    if len(mark.args) != 1 or mark.kwargs:
        raise pytest.Collector.CollectError(f"{metafunc.definition.nodeid}: usertcp_seeds takes one argument")
    if _SEED not in metafunc.fixturenames:
        raise pytest.Collector.CollectError(
            f"{metafunc.definition.nodeid} is marked usertcp_seeds, but neither it nor its fixtures use a seed: "
            "ask for usertcp_net, usertcp_pair, usertcp_stack or usertcp_seed"
        )
    seeds = _seeds(metafunc.config, mark.args[0])
    metafunc.parametrize(_SEED, seeds, indirect=True, ids=[f"seed{seed}" for seed in seeds])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Methods of `unittest.TestCase` cannot be repeated: pytest does not ask how often."""
    for item in items:
        owner = getattr(item, "cls", None)
        if item.get_closest_marker("usertcp_seeds") and isinstance(owner, type) and issubclass(owner, unittest.TestCase):
            raise pytest.UsageError(
                f"{item.nodeid} is marked usertcp_seeds, but pytest repeats no method of a unittest.TestCase: "
                "make it a function, or a method of a class that is none"
            )


@pytest.fixture
def usertcp_seed(request: pytest.FixtureRequest) -> int:
    """The seed of the test: 1, or what `--usertcp-seed` or the mark `usertcp_seeds` says."""
    if hasattr(request, "param"):
        return int(request.param)
    given: str | None = request.config.option.usertcp_seed
    return FIRST_SEED if given is None else _number(given.removeprefix("random:"))


# Virtual networks


@pytest.fixture
def usertcp_net(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, usertcp_seed: int
) -> Iterator[sim.Network]:
    """An empty `usertcp.sim.Network` on virtual time, with the test's seed: no root, no device, no waiting.

    It is closed at the end of the test. A test that is a coroutine runs on its event loop, by `usertcp.sim.run`,
    and may not be marked for another. When the test fails, the report shows the seed, the time, the end of the trace
    and where the packets of each host lie.
    """
    from usertcp import sim  # for those who use it

    watch = _watch(request, tmp_path_factory, usertcp_seed)

    class Network(sim.Network):
        """A network that keeps what its hosts do."""

        def host(self, name: str | None = None, **settings: Any) -> sim.Host:
            title = f"host{len(self.hosts) + 1}" if name is None else name
            watch.opened(title, settings, lambda settings: sim.Network.host(self, title, **settings))
            return self.hosts[-1]

    with Network(seed=usertcp_seed) as net, sim.patch_time(net):
        watch.now = lambda: net.now
        yield net


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two connected sockets on two hosts of a virtual network. `client, server = pair` takes them out."""

    client: usertcp.Socket
    """The end that connected."""
    server: usertcp.Socket
    """The end that was accepted."""
    client_host: sim.Host
    """The host of `client`."""
    server_host: sim.Host
    """The host of `server`."""
    link: sim.Link
    """What is between them."""
    net: sim.Network
    """The network of both."""

    def __iter__(self) -> Iterator[usertcp.Socket]:
        return iter((self.client, self.server))


_FAULTS = ("loss", "duplicate", "reorder", "corrupt", "burst_enter", "burst_leave", "burst_loss")


@pytest.fixture
def usertcp_pair(request: pytest.FixtureRequest, usertcp_net: sim.Network) -> Iterator[Pair]:
    """Two connected TCP sockets, `client` and `server`, on two hosts of `usertcp_net`, as a `Pair`.

    The mark `usertcp_link` says what the link between them is like: `@pytest.mark.usertcp_link(delay=0.05)`;
    `family=socket.AF_INET6` has them connected over IPv6. Nothing is lost, doubled, reordered or corrupted before they
    are connected.
    """
    settings = _settings(request.node, "usertcp_link")
    family = settings.pop("family", AF_INET)
    client_host, server_host = usertcp_net.host("client"), usertcp_net.host("server")
    link = usertcp_net.link(client_host, server_host, **settings)
    forward, back = link.forward, link.back
    calm: dict[str, Any] = dict.fromkeys(_FAULTS, 0.0)
    link.set(**calm)
    address = next(each for each in server_host.addresses if (":" in each) == (family == AF_INET6))
    with server_host.create_server(("", 0), family=family) as listener:
        client = client_host.create_connection((address, listener.getsockname()[1]), timeout=None)
        server, _ = listener.accept()
    link.set(forward=forward, back=back)
    yield Pair(client, server, client_host, server_host, link, usertcp_net)
    client.abort()
    server.abort()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pycollect_makeitem(
    collector: pytest.Collector, name: str, obj: object
) -> Generator[None, Any, Any]:
    """A coroutine that uses `usertcp_net` becomes a function that runs it there, before others make it theirs. One that is
    marked as another's is an error.
    """
    made = yield
    for item in made if isinstance(made, list) else [made]:
        if (
            isinstance(item, pytest.Function)
            and inspect.iscoroutinefunction(item.obj)
            and "usertcp_net" in item.fixturenames
        ):
            for mark in ("asyncio", "anyio", "trio"):
                if item.get_closest_marker(mark) is not None:
                    raise pytest.Collector.CollectError(
                        f"{item.nodeid} uses usertcp_net and is marked {mark}, for an event loop in real time: leave the mark "
                        "away, here and in its class and module, and it runs on the network's loop; or use usertcp_stack"
                    )
            item.obj = _on_virtual_time(item, item.obj)
    return made


def _on_virtual_time(item: pytest.Function, test: Callable[..., Any]) -> Callable[..., None]:
    """A coroutine as a function that runs it on its network's event loop."""

    @functools.wraps(test)
    def run(**arguments: Any) -> None:
        from usertcp import sim

        sim.run(test(**arguments), net=cast("sim.Network", item.funcargs["usertcp_net"]))

    return run


# Stacks on a TUN device


@pytest.fixture
def usertcp_sandbox(request: pytest.FixtureRequest) -> Iterator[usertcp.Sandbox]:
    """A `usertcp.Sandbox` of the test's own, in which `usertcp_stack` and `kernel_peer` are.

    The kernel's side has the addresses 192.0.2.1 and 2001:db8::1. The test process stays in its own namespace, as who
    it is. Where a sandbox cannot be made the test is skipped, or an error with `--usertcp-tun=require`.
    """
    settings = _settings(request.node, "usertcp_stack")
    ours = {name: settings[name] for name in ("host_addresses", "mtu", "offload", "queues") if name in settings}
    if "impairment" in settings or "impairment_in" in settings:
        ours.setdefault("offload", False)
    sandbox = why = None
    try:
        sandbox = usertcp.Sandbox(**{"host_addresses": HOST_ADDRESSES, **ours})
    except OSError as error:
        if ours and _can_have_a_sandbox():
            raise
        why = f"usertcp: no TUN device can be had here: {error} ({_mends()})"
    if sandbox is None:
        if request.config.option.usertcp_tun == "require":
            pytest.fail(str(why), pytrace=False)
        pytest.skip(str(why))
    with sandbox:
        yield sandbox


def _can_have_a_sandbox() -> bool:
    """Whether it is not the mark's settings that are refused."""
    try:
        usertcp.Sandbox(host_addresses=HOST_ADDRESSES).close()
    except OSError:
        return False
    return True


def _mends() -> str:
    """What most likely has to be done for a TUN device."""
    device = "/dev/net/tun"
    if not os.path.exists(device):
        return f"there is no {device}: modprobe tun; in a container, --device {device}"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"{device} is closed to this user: chmod 666 {device}"
    return "user namespaces have to be allowed, or CAP_NET_ADMIN granted"


@pytest.fixture
def usertcp_stack(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    usertcp_sandbox: usertcp.Sandbox,
    usertcp_seed: int,
) -> Iterator[usertcp.Stack]:
    """A `usertcp.Stack` in real time on the TUN device of `usertcp_sandbox`, with the addresses 192.0.2.2 and 2001:db8::2.

    The kernel is on the other side: `kernel_peer`. The mark `usertcp_stack` has further settings:
    `@pytest.mark.usertcp_stack(mtu=1280, impairment={"loss": 0.01})`. When the test fails, the report shows the seed,
    the end of the trace and where the packets lie.
    """
    settings = _settings(request.node, "usertcp_stack")
    for name in ("host_addresses", "offload", "queues"):
        settings.pop(name, None)
    watch = _watch(request, tmp_path_factory, usertcp_seed)
    settings = {"addresses": STACK_ADDRESSES, "seed": usertcp_seed, **settings}
    watch.opened("stack", settings, lambda settings: usertcp_sandbox.stack(**settings))
    stack = watch.stacks[0].stack
    yield stack
    with contextlib.suppress(OSError):
        stack.close(timeout=0)


class KernelPeer:
    """The kernel's side of a sandbox: its addresses, and sockets of the kernel's that live there.

    They are sockets of module `socket`. Their calls give up after `PEER_TIMEOUT` seconds, unless `settimeout` says
    otherwise, and they are closed at the end of the test.
    """

    def __init__(self, sandbox: usertcp.Sandbox, addresses: Sequence[str]) -> None:
        self.sandbox = sandbox
        """For programs: `kernel_peer.sandbox.spawn(["nginx", ...])`."""
        self.addresses = [address.split("/")[0] for address in addresses]
        """The kernel's addresses, without prefix lengths."""
        self._made: list[KernelSocket] = []

    def address(self, family: int = AF_INET) -> str:
        """The first address of a family; `LookupError` if there is none."""
        for each in self.addresses:
            if (":" in each) == (family == AF_INET6):
                return each
        raise LookupError(f"the kernel's side has no address of {AddressFamily(family).name}")

    def socket(
        self, family: int = AF_INET, type: int = SOCK_STREAM, proto: int = 0
    ) -> KernelSocket:
        """A new socket of the kernel in the sandbox."""
        sock = self.sandbox.socket(family, type, proto)
        self._made.append(sock)
        if not type & SOCK_NONBLOCK:
            sock.settimeout(PEER_TIMEOUT)
        return sock

    def listen(self, port: int = 0, *, family: int = AF_INET, backlog: int = 128) -> KernelSocket:
        """A listening socket on the kernel's address of a family; port 0 picks one, which `getsockname` tells."""
        listener = self.socket(family)
        listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        listener.bind((self.address(family), port))
        listener.listen(backlog)
        return listener

    def connect(self, address: tuple[Any, ...], timeout: float | None = PEER_TIMEOUT) -> KernelSocket:
        """A socket that is connected to an address of the stack; `timeout` in seconds is for this and later calls."""
        sock = self.socket(AF_INET6 if ":" in address[0] else AF_INET)
        sock.settimeout(timeout)
        sock.connect(address)
        return sock

    def close(self) -> None:
        """Closes all the sockets that were made here."""
        for sock in self._made:
            sock.close()
        self._made.clear()


@pytest.fixture
def kernel_peer(request: pytest.FixtureRequest, usertcp_sandbox: usertcp.Sandbox) -> Iterator[KernelPeer]:
    """Sockets of the kernel on the other side of `usertcp_stack`: `socket()`, `listen()`, `connect()` of a `KernelPeer`."""
    given = _settings(request.node, "usertcp_stack").get("host_addresses", HOST_ADDRESSES)
    peer = KernelPeer(usertcp_sandbox, [given] if isinstance(given, str) else [str(each) for each in given])
    yield peer
    peer.close()


def _settings(node: pytest.Item, name: str) -> dict[str, Any]:
    """What the marks of a name say, that of the test itself before those of its class and module."""
    found: Mapping[str, Any] = {}
    for mark in node.iter_markers(name):
        if mark.args:
            pytest.fail(f"{name} takes settings by name only", pytrace=False)
        if "seed" in mark.kwargs:
            pytest.fail(
                f"{name} takes no seed: the test has one, which the report of a failure tells; "
                f"usertcp_seeds([{mark.kwargs['seed']!r}]) or --usertcp-seed sets it",
                pytrace=False,
            )
        found = {**mark.kwargs, **found}
    return dict(found)
