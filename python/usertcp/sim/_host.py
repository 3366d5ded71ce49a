"""`Host`: a stack whose link leads into a simulated network."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from usertcp import _usertcp
from usertcp._intercept import Interceptor
from usertcp._names import Info, Names, getaddrinfo, is_numeric, prepared, text_of
from usertcp._socket import Address, Socket
from usertcp._stack import _AS_NEW_SOCKETS, Stack
from usertcp._trace import TraceTarget
from usertcp.sim import _world

if TYPE_CHECKING:
    from usertcp.sim._network import Network

_NO_NAMES = Names(nameservers=(), search=(), hosts="")


class Host(Stack):
    """A host of a simulated network, made by `Network.host`: a `Stack` with all that it has, in the network's time.

    Calls that wait let the rest of the network go on; time-outs are in seconds of the network. Its sockets are like those of
    any stack, but for `detach`, which raises `OSError`: the kernel has no part in the network. Their `fileno` shows whether
    they are ready, to be asked without waiting; to wait for it, there are `usertcp.poll`, the event loop of `usertcp.sim.run`,
    and `select` and `selectors` in a block of `patch`.

    It looks names up in `Network.names` first, then as the `names` that it was made with say.
    """

    SIMULATED: ClassVar[bool] = True
    """It is: the kernel has no streams of its connections."""

    def __init__(
        self,
        network: Network,
        name: str,
        addresses: list[str],
        *,
        settings: dict[str, Any],
        mtu: int,
        routes: list[str],
        pcap: str | os.PathLike[str] | None,
        pcap_ring: int,
        log: Literal["error", "warning", "info", "debug", "trace"] | None,
        trace: TraceTarget | None,
        names: Names | Mapping[str, Any] | None,
    ) -> None:
        self._network = network
        self._name = name
        self._addresses = [each.partition("/")[0] for each in addresses]

        def opened(queue: _usertcp.Log | None, trace_fd: int | None) -> _usertcp.Stack:
            self._node, raw = network._raw.host(
                name=name,
                addresses=addresses,
                settings=settings,
                mtu=mtu,
                routes=routes,
                pcap=pcap,
                pcap_ring=pcap_ring,
                log=queue,
                trace=trace_fd,
                names=prepared(_NO_NAMES if names is None else names),
            )
            return raw

        self._begin(opened, log, trace)
        self._speak_tls()

    @property
    def network(self) -> Network:
        """The network that it is of."""
        return self._network

    @property
    def name(self) -> str:
        """Its name, which other hosts of the network find it by."""
        return self._name

    @property
    def addresses(self) -> list[str]:
        """Its addresses, without prefix lengths."""
        return list(self._addresses)

    @property
    def address(self) -> str:
        """The first of its addresses."""
        return self._addresses[0]

    def patch(self) -> AbstractContextManager[None]:
        """Lets unmodified code run on this host, until the end of the block.

        What it holds for goes by context variable: the code of the block, the threads and tasks of asyncio that it
        starts, but nobody else; so code of several hosts runs beside each other in one process, in threads or in one event
        loop. For that code:

        * `socket.socket` and whatever asks module `socket` for TCP and UDP make sockets of this host; AF_UNIX and
          `fileno=` are the kernel's as ever. `getaddrinfo`, `gethostbyname` and their like know the network's names.
        * `time` is the network's, as in a block of `patch_time`.
        * a `threading.Thread` that is started is a task of the network. Locks, conditions, events and queues that are made in
          the block hand the baton on while somebody waits for them, in the network's time; so does what is
          built of them, such as `concurrent.futures.ThreadPoolExecutor`, `queue.Queue`, `socketserver.ThreadingTCPServer`.
        * `select`, `poll`, `epoll` and `selectors` made in the block take simulated sockets, and descriptors of the
          kernel beside them, which they look at every 10 ms of the network's time.
        * `asyncio.run` makes the event loop of `usertcp.sim.run`.

            with server.patch():
                web = http.server.ThreadingHTTPServer(("", 80), Handler)
                threading.Thread(target=web.serve_forever).start()
            with client.patch():
                urllib.request.urlopen("http://server/", timeout=30)
        """
        return _world.inside(self._network, self)

    def intercept(
        self,
        prefix: str,
        ports: tuple[int, int] | int | None = None,
        *,
        queue: int | None = None,
        timeout: float | None = None,
    ) -> Interceptor:
        """Has the program decide about every connection request for the addresses of a prefix; see `Stack.intercept`.

        From now on the network leads packets for the prefix here, but for addresses that are another host's.
        """
        interceptor = super().intercept(prefix, ports, queue=queue, timeout=timeout)
        self._network._raw.lead(prefix, self._node)
        return interceptor

    def create_connection(
        self,
        address: Address,
        timeout: object = _AS_NEW_SOCKETS,
        source_address: Address | None = None,
        *,
        all_errors: bool = False,
    ) -> Socket:
        """Connects to (host, port) and returns the socket, as `socket.create_connection` does; see `Stack`.

        The addresses of a name of the network are tried one after the other, in their order.
        """
        infos = self._known(text_of(address[0]))
        if not infos:
            return super().create_connection(address, timeout, source_address, all_errors=all_errors)
        errors: list[OSError] = []
        for found in infos:
            try:
                return super().create_connection((found, *address[1:]), timeout, source_address)
            except OSError as error:
                errors.append(error)
        try:
            raise ExceptionGroup("create_connection failed", errors) if all_errors else errors[-1]
        finally:
            errors.clear()  # they have this frame in their traces

    def getaddrinfo(
        self,
        host: str | bytes | None,
        port: str | bytes | int | None,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[Info]:
        """The addresses of a host, as `socket.getaddrinfo` gives them; the network's names first. `socket.gaierror`."""
        return getaddrinfo(_Resolver(self), host, port, family, type, proto, flags)

    def gethostbyname(self, hostname: str, /) -> str:
        """The first IPv4 address of a host, as `socket.gethostbyname` gives it."""
        return str(self.getaddrinfo(hostname or "0.0.0.0", 0, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])

    def gethostbyname_ex(self, hostname: str, /) -> tuple[str, list[str], list[str]]:
        """Name, other names and IPv4 addresses of a host, as `socket.gethostbyname_ex` gives them."""
        infos = self.getaddrinfo(hostname, 0, socket.AF_INET, socket.SOCK_STREAM)
        return hostname, [], [str(info[4][0]) for info in infos]

    def gethostbyaddr(self, ip_address: str, /) -> tuple[str, list[str], list[str]]:
        """Name, other names and addresses of a host by its address, as `socket.gethostbyaddr` gives them."""
        wanted = self.getaddrinfo(ip_address, 0, type=socket.SOCK_STREAM)[0][4][0]
        found = [name for name, addresses in self._network.names.items() if wanted in addresses]
        if not found:
            raise socket.herror(1, "Unknown host")
        return found[0], found[1:], [wanted]

    def getnameinfo(self, sockaddr: Address, flags: int, /) -> tuple[str, str]:
        """Names of an address and a port, as `socket.getnameinfo` gives them."""
        if not is_numeric(sockaddr[0]):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        try:
            named = not flags & socket.NI_NUMERICHOST
            host = self.gethostbyaddr(sockaddr[0])[0] if named else sockaddr[0]
        except OSError:
            if flags & socket.NI_NAMEREQD:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
            host = sockaddr[0]
        try:
            kind = "udp" if flags & socket.NI_DGRAM else "tcp"
            numeric = flags & socket.NI_NUMERICSERV
            service = str(sockaddr[1]) if numeric else socket.getservbyport(sockaddr[1], kind)
        except OSError:
            service = str(sockaddr[1])
        return host, service

    def gethostname(self) -> str:
        """Its name."""
        return self._name

    def _now(self) -> float:
        return self._network.now

    def _sleep(self, seconds: float) -> None:
        self._network.sleep(seconds)

    def _known(self, name: str) -> list[str]:
        """The addresses that the network has for a name, those of families that the host has first."""
        found = self._network.names.get(name) or self._network.names.get(name.rstrip(".").lower()) or []
        own = {":" in address for address in self._addresses}
        return sorted(found, key=lambda address: (":" in address) not in own)

    def _answers_at_once(self, host: str | bytes | None) -> bool:
        """Whether nobody need be asked for a host's addresses."""
        if not host:
            return True
        name = text_of(host)
        return is_numeric(name) or name == "localhost" or bool(self._known(name))

    def __repr__(self) -> str:
        state = " [closed]" if self._closed else ""
        return f"<usertcp.sim.Host {self._name!r} {' '.join(self._addresses)}{state}>"

    def __del__(self) -> None:
        """Its network closes it."""


class _Resolver:
    """Looks names up in the network, then in the stack."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def resolve(self, host: str, family: int) -> list[tuple[int, str]]:
        """The addresses of a host, best first, each with its family."""
        known = self._host._known(host)
        if not known:
            return self._host._raw.resolve(host, family)
        found = [(socket.AF_INET6 if ":" in each else socket.AF_INET, each) for each in known]
        found = [(each, address) for each, address in found if family in (0, each)]
        if not found:
            raise socket.gaierror(socket.EAI_ADDRFAMILY, "Address family for hostname not supported")
        return [(int(each), address) for each, address in found]

