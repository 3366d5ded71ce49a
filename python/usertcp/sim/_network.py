"""`Network`: hosts, routers and links in one process, on a clock of their own."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from usertcp import _usertcp
from usertcp._here import NETWORK, STACK
from usertcp._stack import Impairment, Setting, _texts
from usertcp.sim import _world
from usertcp.sim._deadlock import Deadlock, deadlock
from usertcp.sim._host import Host
from usertcp.sim._links import Link, Node, Router, both
from usertcp.sim._tasks import Task
from usertcp.sim._threads import KERNEL_JOIN, Member
from usertcp.sim._waiting import SPINS, YIELD, nanoseconds

if TYPE_CHECKING:
    from usertcp._names import Names
    from usertcp._trace import TraceTarget
    from usertcp.sim._loop import EventLoop

T = TypeVar("T")

EPOCH = 1767225600.0
"""Where `time.time` begins, unless a network is told: 2026-01-01, 00:00 UTC. The same every time."""

PATIENCE = 5.0
"""Seconds of the system that the threads of a network have to end once it is closed."""

_PREFIXES = ("192.0.2", "198.51.100", "203.0.113")
"""Networks for examples (RFC 5737), which addresses are handed out of."""

_monotonic = time.monotonic
"""The system's, whatever module `time` has by now."""


class _HostNames(MutableMapping[str, list[str]]):
    """`Network.names`."""

    def __init__(self) -> None:
        self._addresses: dict[str, list[str]] = {}

    def __getitem__(self, name: str) -> list[str]:
        return self._addresses[name.lower()]

    def __setitem__(self, name: str, addresses: str | Iterable[object]) -> None:
        for each in (texts := _texts(addresses)):
            _usertcp.family_of(each)
        self._addresses[name.lower()] = texts

    def __delitem__(self, name: str) -> None:
        del self._addresses[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._addresses)

    def __len__(self) -> int:
        return len(self._addresses)

    def __repr__(self) -> str:
        return repr(self._addresses)


class Network:
    """Hosts, routers and links in one process, whose time passes only while everybody waits. A seed gives the same run.

    seed:  all that is random in the network comes from it: losses, jitter, initial sequence numbers, ports
    epoch: what `time.time` says in simulated code when the network begins, seconds since 1970

    Each `Host` is a whole `usertcp.Stack`. Nothing happens by itself: who calls something that waits (a blocking method of a
    socket, `sleep`, `Task.join`) lets the network run, in this thread, until the answer is there. If nobody has anything to do,
    its clock jumps to the next time that something is due; half a minute without packets takes no time at all.

    For several parties there are tasks, made by `spawn`: threads of which exactly one runs at a time, the others
    waiting, and which take turns in the same order every time. The thread that makes the network is the main task.
    Other threads of the program may use its sockets but have no part in this order.

        with usertcp.sim.Network(seed=7) as net:
            client, server = net.host("client"), net.host("server")
            net.link(client, server, delay=0.02, loss=0.01)

            def serve():
                with server.create_server(("", 80)) as listener:
                    connection, _ = listener.accept()
                    with connection:
                        connection.sendall(connection.recv(100))

            task = net.spawn(serve)
            with client.create_connection(("server", 80), timeout=30) as connection:
                connection.sendall(b"hello")
                print(connection.recv(100), net.now)
            task.result()

    As a context manager it closes at the end of the block; a failure of a task that nobody has asked for is raised there.
    """

    def __init__(self, seed: int = 0, *, epoch: float = EPOCH) -> None:
        self._closed = True
        self._seed = seed
        self._epoch = int(epoch * 1e9)
        self._raw = _usertcp.Network(seed)
        self._names = _HostNames()
        self._hosts: list[Host] = []
        self._routers: list[Router] = []
        self._links: list[Link] = []
        self._tasks: dict[Task[Any], None] = {}
        """Those that have not returned."""
        self._loops: list[weakref.ref[EventLoop]] = []
        self._asked_at = self._asked = self._asked_more = 0
        self._maker = threading.get_ident()
        main = Member(self, "main")
        main.ident = self._maker
        self._members = {main.ident: main}
        self._threads: dict[threading.Thread, None] = {}
        self._closed = False
        _open.append(weakref.ref(self))

    # What it is made of

    def host(
        self,
        name: str | None = None,
        *,
        addresses: str | Iterable[object] = (),
        routes: str | Iterable[object] = (),
        mtu: int = 1500,
        pcap: str | os.PathLike[str] | None = None,
        pcap_ring: int = 0,
        log: Literal["error", "warning", "info", "debug", "trace"] | None = None,
        trace: TraceTarget | None = None,
        names: Names | Mapping[str, Any] | None = None,
        config: Mapping[str, Setting] | None = None,
    ) -> Host:
        """A new host, not linked to any other yet.

        name:      what `names` has it under, and reports call it; "host1" and so on if not given
        addresses: its addresses with prefix lengths; if not given, one of each family out of those for examples
        names:     where it looks up what is not in the network's `names`: nowhere, if not given, and never in the system's files

        The other options are those of `usertcp.Stack`.
        """
        name = f"host{len(self._hosts) + 1}" if name is None else name
        self._check_name(name)
        host = Host(
            self,
            name,
            _texts(addresses) or self._unused(),
            settings=dict(config or {}),
            mtu=mtu,
            routes=_texts(routes),
            pcap=pcap,
            pcap_ring=pcap_ring,
            log=log,
            trace=trace,
            names=names,
        )
        self._hosts.append(host)
        self._names.setdefault(name, host.addresses)
        return host

    def router(self, name: str | None = None) -> Router:
        """A new node without addresses that passes packets on; "router1" and so on if it gets no name."""
        name = f"router{len(self._routers) + 1}" if name is None else name
        self._check_name(name)
        router = Router(self, self._raw.router(), name)
        self._routers.append(router)
        return router

    def link(
        self,
        a: Node,
        b: Node,
        *,
        forward: Impairment | None = None,
        back: Impairment | None = None,
        **settings: float,
    ) -> Link:
        """Links two nodes; packets take the path of the fewest links.

        settings: fields of `usertcp.Impairment` for both directions, such as rate (bits a second), delay and jitter
                  (seconds), loss, reorder, duplicate and corrupt (probabilities), mtu (bytes), queue (packets).
                  What is overtaken is held back for as long as the link's delay, if `reorder_delay` does not say
        forward:  an `Impairment` for packets from `a` to `b`, `settings` after that
        back:     the same for packets from `b` to `a`
        """
        for each in (a, b):
            if each.network is not self:
                raise ValueError(f"{each!r} is not of this network")
        if a is b:
            raise ValueError(f"{a!r} cannot be linked to itself")
        link = Link(self, (a, b), *both(forward or Impairment(), back or Impairment(), settings))
        self._links.append(link)
        return link

    def partition(self, *groups: Iterable[Node]) -> None:
        """Cuts the links between groups of nodes, as `Link.cut` does. One group is cut off from all other nodes.

        A router that is in no group is with the one that it has most links to, or the last of these; links of hosts in no
        group stay as they are.

            net.partition([a], [b, c])
        """
        sides: dict[Node, int] = {}
        for number, group in enumerate(groups):
            for node in group:
                if node not in self._nodes():
                    raise TypeError(f"{node!r} is no host or router of this network")
                if sides.setdefault(node, number) != number:
                    raise ValueError(f"{node!r} is in two groups")
        if len(groups) == 1:
            for rest in self._nodes():
                sides.setdefault(rest, 1)
        self._place_routers(sides)
        for link in self._links:
            one, other = (sides.get(end) for end in link.ends)
            if one is not None and other is not None and one != other:
                link.cut()

    def heal(self) -> None:
        """Heals every link that is cut."""
        for link in self._links:
            if link.is_cut:
                link.heal()

    @property
    def unroutable(self) -> int:
        """Packets that there was no path for."""
        return self._raw.unroutable()

    @property
    def seed(self) -> int:
        """What the network was made with."""
        return self._seed

    @property
    def names(self) -> MutableMapping[str, list[str]]:
        """Names with their addresses, for the hosts to find each other by: each host's own, and what is put in.

        net.names["www.example.com"] = ["192.0.2.7"]
        """
        return self._names

    @property
    def hosts(self) -> list[Host]:
        """Its hosts, in the order of their making."""
        return list(self._hosts)

    @property
    def links(self) -> list[Link]:
        """Its links, in the order of their making."""
        return list(self._links)

    # Time and tasks

    @property
    def now(self) -> float:
        """Seconds since it began, of its own time."""
        return self._raw.now() / 1e9

    def sleep(self, seconds: float) -> None:
        """Lets so many seconds pass in the network, while others run."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        self._raw.sleep(self._until(seconds))

    def run_for(self, seconds: float) -> None:
        """Lets the network run for so many seconds, as `sleep` does; then raises what a task has failed with meanwhile, if
        nobody has asked for it."""
        self.sleep(seconds)
        self._raise_unseen()

    def settle(self) -> None:
        """Has everything happen that can happen now, without time passing."""
        self._raw.settle()

    def spawn(
        self, function: Callable[..., T], *arguments: Any, host: Host | None = None, name: str | None = None
    ) -> Task[T]:
        """Runs a function in a thread of its own as a task of the network. It begins at once; the caller goes on when it waits,
        and so do the others that can run.

        host: the function runs on it, as in a block of `Host.patch`
        name: what reports call it; the function's if not given
        """
        if host is not None and host.network is not self:
            raise ValueError(f"{host!r} is not of this network")
        title = name or getattr(function, "__name__", None) or type(function).__name__
        return Task(self, function, arguments, host, title)

    # The end

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self) -> None:
        """Ends the network: its hosts are gone without a word, calls that wait raise `OSError` with ECANCELED.

        Tasks that still run have five seconds of the system's time to end then. Closing twice is no error.
        """
        if self._closed:
            return
        self._closed = True
        _open[:] = [each for each in _open if each() not in (self, None)]
        for host in self._hosts:
            host._closed = True
        self._raw.close()
        for each in list(self._loops):
            if (loop := each()) is not None:
                loop._bell.set()  # one that waits for no socket hears of nothing else
        for host in self._hosts:
            if host._log:
                host._log.close()
        end = _monotonic() + PATIENCE
        own = threading.current_thread()
        left = []
        for thread in list(self._threads):
            if thread is not own:
                KERNEL_JOIN(thread, max(0.0, end - _monotonic()))
                if thread.is_alive():
                    left.append(thread.name)
        if left:
            warnings.warn(f"still running in a closed network: {', '.join(left)}", RuntimeWarning, stacklevel=2)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        try:
            self.close()
        except RuntimeWarning as warning:  # that is an error here, but not the one that is to be told of
            if error is None:
                raise
            error.add_note(str(warning))
        if error is None:
            self._raise_unseen()
        elif not isinstance(error, Deadlock):  # which has told
            for task in self._tasks:
                if task._unseen and task._error is not error:
                    error.add_note(f"task {task.name!r} has failed: {task._error!r}")

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"at {self.now:.6f} s"
        return f"<usertcp.sim.Network seed={self._seed} {state}>"

    def __del__(self) -> None:
        if getattr(self, "_closed", True):
            return
        warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
        self.close()

    # What the rest of the package needs

    def _until(self, seconds: float | None) -> int | None:
        """When so many seconds are over, as the compiled half counts; None: never."""
        return None if seconds is None else self._raw.now() + nanoseconds(max(seconds, 0.0))

    def _asked_without_waiting(self, now: int) -> None:
        """Who looks whether something is ready again and again, and never waits, would keep everybody else from running."""
        if now != self._asked_at:
            self._asked_at, self._asked, self._asked_more = now, 0, 0
        self._asked += 1
        if self._asked > SPINS and not self._closed:
            self._asked_at, self._asked = now + (YIELD << self._asked_more), 0
            self._asked_more = min(self._asked_more + 1, 10)
            self._raw.sleep(self._asked_at)

    def _takes_part(self) -> bool:
        """Whether the calling thread is one of those that take turns."""
        return not self._closed and threading.get_ident() in self._members

    def _carry(
        self, number: int, member: Member, body: Callable[[], object], after: Callable[[], None] | None
    ) -> None:
        """The life of a thread as task `number`."""
        member.ident, thread = threading.get_ident(), threading.current_thread()
        self._threads[thread] = None
        try:
            try:
                self._raw.enter(number)
            except OSError:
                return  # the network was closed first
            self._members[member.ident] = member
            body()
        finally:
            member.over = True
            member.ended.set()
            if after is not None:
                after()
            del self._threads[thread]
            if self._members.pop(member.ident, None) is not None:
                self._raw.leave()

    def _raise_unseen(self) -> None:
        failed = [task for task in self._tasks if task._unseen]
        errors = [task._error for task in failed if task._error is not None]
        for task in failed:
            task._unseen = False
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise BaseExceptionGroup("tasks of the network have failed", errors)

    def _nodes(self) -> list[Node]:
        return [*self._hosts, *self._routers]

    def _check_name(self, name: str) -> None:
        if any(name == each.name for each in self._nodes()):
            raise ValueError(f"there is a node {name!r} already")

    def _unused(self) -> list[str]:
        """An address of each family that no host has."""
        taken = {address for host in self._hosts for address in host.addresses}
        for at, prefix in enumerate(_PREFIXES):
            for number in range(1, 255):
                v4 = f"{prefix}.{number}"
                v6 = f"2001:db8::{254 * at + number:x}"
                if v4 not in taken and v6 not in taken:
                    return [f"{v4}/24", f"{v6}/64"]
        raise ValueError("the addresses for examples are used up: give some")

    def _place_routers(self, sides: dict[Node, int]) -> None:
        """Puts routers on the side that they have most links to."""
        while True:
            placed: dict[Node, int] = {}
            for router in self._routers:
                if router in sides:
                    continue
                around = [sides.get(b if a is router else a) for a, b in self._ends_at(router)]
                near = [side for side in around if side is not None]
                if near:
                    placed[router] = max(near, key=lambda side: (near.count(side), side))
            if not placed:
                return
            sides.update(placed)

    def _ends_at(self, node: Node) -> Iterator[tuple[Node, Node]]:
        return (link.ends for link in self._links if node in link.ends and not link.is_cut)


_open: list[weakref.ref[Network]] = []
"""The networks that are not closed, in the order of their making."""


def only_open() -> Network | None:
    """The network that the calling thread has made, if it is one."""
    networks = [network for each in _open if (network := each()) is not None]
    own = [network for network in networks if network._maker == threading.get_ident()]
    return own[0] if len(own) == 1 else None


def patch_time(net: Network | None = None) -> contextlib.AbstractContextManager[None]:
    """Has code keep the network's time, until the end of the block.

    net: the network; if not given, that of the block of `patch` or `patch_time` around, or the only one that this thread has
         made and not closed

    It holds for the code of the block, the threads and tasks of asyncio that it starts, and the tasks of the network; other
    threads have the system's time. `time.sleep`, `time.monotonic`, `time.time`, `time.perf_counter` and those in nanoseconds
    are the network's, also where a module has taken them by name before; as are the time-outs of what is made in the
    block of modules `threading`, `queue`, `select` and `selectors`. A thread that is started is a task of the network.
    `datetime.now` and what else the interpreter asks the system by itself are not changed.

    `Host.patch` does this as well, and sockets besides.
    """
    net = net or NETWORK.get() or only_open()
    if net is None:
        raise ValueError("which network? Give net")
    stack = STACK.get()
    return _world.inside(net, stack if isinstance(stack, Host) and stack.network is net else None)


def _deadlock(network: object = None) -> Deadlock:
    """What the compiled half raises when nothing is left that could happen."""
    networks = [each for ref in _open if (each := ref()) is not None]
    for each in networks:
        if each._raw == network:
            return deadlock(each)
    for each in networks:
        if threading.get_ident() in each._members:
            return deadlock(each)
    return Deadlock("every task waits, and nothing is left that could happen", {})


@atexit.register
def _close_at_exit() -> None:
    """Networks left open end before the interpreter does, and their threads with them."""
    for each in list(_open):
        if (network := each()) is not None:
            with contextlib.suppress(OSError), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                network.close()


def _forget_in_child() -> None:
    """After a fork the networks are the parent's."""
    for each in _open:
        if (network := each()) is not None:
            network._closed = True
            for host in network._hosts:
                host._closed = True
    _open.clear()


os.register_at_fork(after_in_child=_forget_in_child)
