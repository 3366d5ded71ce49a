"""`Stack`: IP addresses of the program's own on a link of its choice."""

from __future__ import annotations

import atexit
import dataclasses
import logging
import operator
import os
import socket
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

from usertcp import _usertcp
from usertcp._adapters import Adapters
from usertcp._here import belonging
from usertcp._intercept import Interceptor
from usertcp._names import Info, Names, getaddrinfo, is_numeric, prepared, text_of
from usertcp._patch import patched
from usertcp._socket import Address, Socket
from usertcp._trace import HasDescriptor, TraceTarget, lent

if TYPE_CHECKING:
    import asyncio
    import contextlib

    from usertcp import aio

Setting = bool | int | float | str | None
"""A value of `Stack(config=...)`: times are seconds, None is none."""

DEFAULTS: Mapping[str, Setting] = MappingProxyType(_usertcp.default_settings())
"""Every setting that `Stack(config=...)` takes, with its default."""

LINGER_AT_EXIT = 1.0
"""Seconds that stacks left open have at the interpreter's end to send what is queued."""

_AS_NEW_SOCKETS: object = socket._GLOBAL_DEFAULT_TIMEOUT  # type: ignore[attr-defined]
"""What `http.client` and its like pass as the time-out when nobody set one."""

_LEVELS = {"error": 1, "warning": 2, "info": 3, "debug": 4, "trace": 5}
_LOGGING_LEVELS = (logging.NOTSET, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG, 5)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Impairment:
    """Faults put between a stack and its link, each direction by itself; the same each time with a seed."""

    rate: int = 0
    """Bits a second; 0 is no limit, and no queue."""
    delay: float = 0.0
    """Seconds that each packet is delayed."""
    jitter: float = 0.0
    """Most seconds, random, added to the delay."""
    loss: float = 0.0
    """Probability that a packet is lost, 0.0 to 1.0; outside of bursts, where there are such."""
    duplicate: float = 0.0
    """Probability that a packet comes twice."""
    reorder: float = 0.0
    """Probability that a packet is held back and overtaken."""
    reorder_delay: float = 0.0
    """Seconds that an overtaken packet is held back at least."""
    reorder_jitter: float = 0.0
    """Most seconds, random, added to `reorder_delay`."""
    corrupt: float = 0.0
    """Probability that one bit of a packet is flipped."""
    queue: int = 0
    """Packets that may wait while `rate` keeps the link busy; 0 is 1000, or any number if `queue_bytes` is set."""
    queue_bytes: int = 0
    """Bytes that may wait; 0 is no limit beside `queue`."""
    mark: int = 0
    """Packets waiting from which on one more is marked if it uses ECN (RFC 3168); 0 marks none."""
    burst_enter: float = 0.0
    """Bursts of loss after Gilbert and Elliott: probability that a packet finds one begun."""
    burst_leave: float = 0.0
    """Probability that a packet finds the burst over."""
    burst_loss: float = 0.0
    """Probability that a packet of a burst is lost."""
    police_rate: int = 0
    """Bits a second that a policer, a token bucket, lets pass; 0 is none. It drops and never delays."""
    police_burst: int = 0
    """Bytes that its bucket holds."""
    mtu: int = 0
    """Bytes of the largest packet that passes; 0 is any. IPv4 without "don't fragment" is cut, others are dropped."""
    mtu_told: bool = False
    """Whether their source is told by ICMP; if not, the link is a black hole."""
    memory: int = 0
    """Bytes of memory for packets under way; 0 is 128 MiB. More are dropped."""


class Stack(Adapters):
    """A TCP/IP stack with addresses of its own, running on threads of its own until it is closed.

    addresses:      its addresses with prefix lengths, such as ["192.0.2.2/24", "2001:db8::2/64"]
    routes:         the networks that the link leads to beside those of its addresses, such as
                    ["198.51.100.0/24", "default via 192.0.2.1", "::/0 mtu 1400"]; whatever is in none
                    of them is ENETUNREACH. Without any the link leads everywhere
    tun:            name of the TUN device to attach to or make; None lets the kernel pick one
    host_addresses: addresses that the kernel's side of the TUN gets
    fd:             instead of a TUN by name, an open descriptor: a TUN, or a socket with one IP packet
                    a message (SOCK_SEQPACKET, SOCK_DGRAM); or a sequence of all queues of a TUN that was
                    opened with IFF_MULTI_QUEUE, one for each worker. The stack owns descriptors that it
                    is given as numbers once it is open; of an object with a `fileno` method, such as a
                    socket, it takes a duplicate, and the object stays the caller's to close
    workers:        threads that work for the stack, 1 to 64, each on a queue of the link of its own: for what
                    one CPU cannot carry. A TUN by name gets as many queues; with more than one there are no
                    impairments. They keep to the CPUs of the thread that makes the stack
    mtu:            largest IP packet of the link, bytes
    offload:        "auto", "off" or "required": segmentation and checksums are left to the TUN
    seed:           makes initial sequence numbers, ports and faults the same every time
    pcap:           file that every packet is written to (pcapng)
    pcap_ring:      bytes of packets, 131072 or more, that are kept in memory instead, the last ones; they are
                    written when a connection is cut off by a reset of either side or because nobody answered,
                    and by `dump_capture`
    impairment:     an `Impairment`, or a dict of its fields, for both directions
    impairment_in:  the same for what the stack receives; `impairment` is then for what it sends
    log:            "error", "warning", "info", "debug" or "trace": records up to this level go to
                    logging.getLogger("usertcp")
    trace:          file (a path, or an open file or descriptor) that what happens to every connection is
                    written to, as lines of JSON: see `trace`
    control_path:   where other programs of the same user ask what the stack has: an AF_UNIX socket, made with
                    mode 0600 and removed when the stack is closed. `usertcp ss PATH` shows the sockets
    names:          a `Names`, or a dict of its fields: name servers, search list, hosts file; otherwise as the
                    system's /etc/resolv.conf and /etc/hosts say
    config:         settings by name, such as {"tcp.rto_min": 0.1}; `usertcp.DEFAULTS` has them all.
                    Buffers begin with "buffers.receive_initial" and "buffers.send_initial" bytes and
                    grow up to "buffers.receive" and "buffers.send" with what passes through them,
                    unless SO_RCVBUF or SO_SNDBUF fixes a size; all connections of the stack together
                    hold no more than "buffers.total".
                    "personality", "linux" or "freebsd", says whose habits the others begin with where
                    the RFCs leave a choice. "freebsd": the options of a SYN in the order MSS, window
                    scale, SACK permitted, timestamps; buffers of 64 KiB for receiving, made whole
                    segments once connected, and 32 KiB for sending, and a window scale of 6; the exact
                    room offered; acknowledgements delayed by 40 ms from the first segment on, every
                    second one at once; data of a SYN kept that crosses the stack's own

    As a context manager it closes at the end of the block.
    """

    SIMULATED: ClassVar[bool] = False
    """Whether it is a host of a simulated network, where the kernel has no streams of connections."""

    _speaks_tls = False
    """Whether `ssl` takes the stack's sockets as they are, instead of the streams that they are detached as."""

    def __init__(
        self,
        *,
        addresses: str | Iterable[object] = (),
        routes: str | Iterable[object] = (),
        tun: str | None = None,
        host_addresses: str | Iterable[object] = (),
        fd: int | HasDescriptor | Sequence[int | HasDescriptor] | None = None,
        workers: int = 1,
        mtu: int = 1500,
        offload: Literal["auto", "off", "required"] = "auto",
        seed: int | None = None,
        pcap: str | os.PathLike[str] | None = None,
        pcap_ring: int = 0,
        impairment: Impairment | Mapping[str, float] | None = None,
        impairment_in: Impairment | Mapping[str, float] | None = None,
        log: Literal["error", "warning", "info", "debug", "trace"] | None = None,
        trace: TraceTarget | None = None,
        control_path: str | os.PathLike[str] | None = None,
        names: Names | Mapping[str, Any] | None = None,
        config: Mapping[str, Setting] | None = None,
    ) -> None:
        self._closed = True
        fds, owned = (None, ()) if fd is None else _descriptors(fd)
        if fds is not None and tun is not None:
            raise TypeError("give the stack a tun by name or an fd, not both")

        def opened(queue: _usertcp.Log | None, trace_fd: int | None) -> _usertcp.Stack:
            return _usertcp.Stack(
                addresses=_texts(addresses),
                routes=_texts(routes),
                mtu=mtu,
                tun=tun,
                host_addresses=_texts(host_addresses),
                fds=fds,
                workers=workers,
                offload=offload,
                seed=seed,
                pcap=pcap,
                impairment=_impairment(impairment),
                impairment_in=_impairment(impairment_in),
                log=queue,
                trace=trace_fd,
                control_path=control_path,
                pcap_ring=pcap_ring,
                names=prepared(names),
                config=dict(config or {}),
            )

        self._begin(opened, log, trace)
        for each in owned:
            os.close(each)
        _live.add(self)

    def _answers_at_once(self, host: str | bytes | None) -> bool:
        """Whether `getaddrinfo` knows a host without asking anybody over the network."""
        return False

    def _begin(
        self,
        opened: Callable[[_usertcp.Log | None, int | None], _usertcp.Stack],
        log: str | None,
        trace: TraceTarget | None,
    ) -> None:
        """Begins with the stack that `opened` returns, which it is given a queue for its log and a file for its trace."""
        self._closed = True
        self._log = None if log is None else _Log(log)
        try:
            with lent(trace) as trace_fd:
                self._raw = opened(self._log.queue if self._log else None, trace_fd)
        except BaseException:
            if self._log:
                self._log.close()
            raise
        self._closed = False

    def socket(self, family: int = socket.AF_INET, type: int = socket.SOCK_STREAM, proto: int = 0) -> Socket:
        """A new socket of `family` `AF_INET` or `AF_INET6`, `type` `SOCK_STREAM` (TCP) or `SOCK_DGRAM` (UDP);
        `SOCK_NONBLOCK` may be added to the type.
        """
        flags = type & (socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        sock = Socket(self, self._raw.socket(family, type & ~flags, proto), proto)
        if flags & socket.SOCK_NONBLOCK:
            sock.setblocking(False)
        return sock

    def intercept(
        self,
        prefix: str,
        ports: tuple[int, int] | int | None = None,
        *,
        queue: int | None = None,
        timeout: float | None = None,
    ) -> Interceptor:
        """Has the program decide about every connection request for the addresses of a prefix, whether or not they
        are the stack's own: an iterable `Interceptor` of requests to accept, refuse or drop, from any thread.

        Listeners on the stack's own addresses go first; of several interceptors the longest prefix has the
        request. Beside TCP nothing is taken for other hosts' addresses: no echo is answered, no datagram received.

        prefix:  "203.0.113.0/24", "2001:db8:5::/48"; "0.0.0.0/0" and "::/0" are all addresses of a family
        ports:   the first and the last port, or one; None: all
        queue:   undecided requests that are kept; more are dropped and counted. None: `tcp.intercept_queue`
        timeout: seconds for which one is kept. None: `tcp.intercept_timeout`
        """
        first, last = (1, 65535) if ports is None else (ports, ports) if isinstance(ports, int) else ports
        return Interceptor(self, self._raw.intercept(prefix, (first, last), queue, timeout))

    def create_connection(
        self,
        address: Address,
        timeout: object = _AS_NEW_SOCKETS,
        source_address: Address | None = None,
        *,
        all_errors: bool = False,
    ) -> Socket:
        """Connects to (host, port) and returns the socket, as `socket.create_connection` does.

        A host is an address or a name. The addresses of a name are tried in order, the families in turn, each begun
        when the one before fails or has taken a quarter of a second; the first connection is it (RFC 8305). With a
        `source_address` they are tried one after the other.

        timeout:        seconds for connecting and for each call after it, or None for no limit; looking up the name
                        and connecting take no longer together
        source_address: own (host, port) to connect from
        all_errors:     raises a failure to connect in an `ExceptionGroup`
        """
        limit = socket.getdefaulttimeout() if timeout is _AS_NEW_SOCKETS else cast(float | None, timeout)
        try:
            if source_address is None and not is_numeric(address[0]):
                sock = Socket(self, self._raw.connect_to(text_of(address[0]), address[1], limit))
                sock.settimeout(limit)
                return sock
            return self._connected(address, limit, source_address)
        except socket.gaierror:
            raise
        except OSError as error:
            if all_errors:
                raise ExceptionGroup("create_connection failed", [error]) from None
            raise

    def _connected(self, address: Address, limit: float | None, source: Address | None) -> Socket:
        """Connects to the addresses of a host, one after the other, from an address of the caller's choice."""
        last: OSError | None = None
        if is_numeric(address[0]):
            found: list[tuple[int, Address]] = [(_usertcp.family_of(address[0]), address)]
        else:
            infos = self.getaddrinfo(address[0], address[1], type=socket.SOCK_STREAM)
            found = [(info[0], info[4]) for info in infos]
        for family, each in found:
            sock = self.socket(family, proto=socket.IPPROTO_TCP)
            try:
                sock.settimeout(limit)
                if source:
                    sock.bind(source)
                sock.connect(each)
                return sock
            except OSError as error:
                sock.close()
                last = error
            except BaseException:
                sock.close()
                raise
        assert last is not None
        raise last

    def getaddrinfo(
        self,
        host: str | bytes | None,
        port: str | bytes | int | None,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[Info]:
        """The addresses of a host, as `socket.getaddrinfo` gives them, asked for over the stack; `socket.gaierror`.

        They are in the order in which they should be tried (RFC 6724). Names are looked up as `Names` says, in the
        hosts file first; "localhost" is the stack itself. Of `flags` AI_PASSIVE, AI_CANONNAME (which is the name
        itself), AI_NUMERICHOST and AI_NUMERICSERV are obeyed; AI_ADDRCONFIG need not be: what the stack has no way to
        comes last. Others are EAI_BADFLAGS.
        """
        return getaddrinfo(self._raw, host, port, family, type, proto, flags)

    def create_server(
        self,
        address: Address,
        *,
        family: int | None = None,
        backlog: int | None = None,
        reuse_port: bool = False,
        dualstack_ipv6: bool = False,
    ) -> Socket:
        """Listens on (host, port) and returns the socket, as `socket.create_server` does.

        Host "" is every address of `family`, `AF_INET` if not given; port 0 picks one. `backlog`, 128 if not
        given, is how many connections may wait to be accepted; with `reuse_port` several sockets share the
        port and its connections. `dualstack_ipv6` takes connections over IPv4 too, from addresses like
        ::ffff:192.0.2.1; `family` must be `AF_INET6` then, and the host "" or "::".
        """
        if family is None and address[0] and not is_numeric(text_of(address[0])):
            family = self.getaddrinfo(address[0], 0, type=socket.SOCK_STREAM)[0][0]
        elif family is None:
            family = _usertcp.family_of(address[0]) if address[0] else socket.AF_INET
        if dualstack_ipv6 and family != socket.AF_INET6:
            raise ValueError("dualstack_ipv6 requires AF_INET6 family")
        sock = self.socket(family, proto=socket.IPPROTO_TCP)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dualstack_ipv6)
            sock.bind(address)
            sock.listen(128 if backlog is None else backlog)
        except BaseException:
            sock.close()
            raise
        return sock

    def has_dualstack_ipv6(self) -> bool:
        """Whether `create_server` takes connections of both families on one socket: it does."""
        return True

    async def open_connection(
        self, host: str, port: int, **options: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connects for asyncio, with the options of `asyncio.open_connection`: see `usertcp.aio.open_connection`."""
        from usertcp import aio  # asyncio is for those who use it

        return await aio.open_connection(self, host, port, **options)

    async def start_server(
        self, client_connected: aio.ClientConnected, host: str = "", port: int = 0, **options: Any
    ) -> asyncio.Server:
        """Listens for asyncio, with the options of `asyncio.start_server`: see `usertcp.aio.start_server`."""
        from usertcp import aio  # asyncio is for those who use it

        return await aio.start_server(self, client_connected, host, port, **options)

    def patch(self) -> contextlib.AbstractContextManager[None]:
        """Lets the rest of the program use the stack, unmodified, until the end of the block.

        In the block `socket.socket` makes TCP and UDP sockets of this stack, on every thread, and so does whatever asks
        module `socket` for one: `socket.create_connection`, `urllib.request`, asyncio, `http.server`.
        `socket.getaddrinfo` is the stack's. Sockets of other kinds are the kernel's as before. What was made stays
        what it is.

            with stack.patch():
                urllib.request.urlopen("http://192.0.2.1/")
        """
        return patched(self)

    def trace(self, target: TraceTarget | None) -> None:
        """Writes what happens to every connection to `target` from now on, those that live already included, and
        what the stack drops; None: no more.

        A path is made anew; an open file or a descriptor is duplicated. Each line is a JSON object, in the
        structure of qlog: states, every segment with the reason that it was sent for, every packet dropped with
        the name of its counter, congestion window, round-trip times and timers whenever they change. The stack's
        own thread writes: a pipe that blocks holds up the stack, one that does not loses events, which are counted.

            stack.trace("connections.qlog")
            for line in open("connections.qlog"):
                event = json.loads(line)
        """
        with lent(target) as fd:
            self._raw.trace(fd)

    def counters(self) -> dict[str, int]:
        """Totals by name: packets, bytes, retransmissions, and each reason for dropping a packet."""
        return self._raw.counters()

    def impair(
        self,
        outgoing: Impairment | Mapping[str, float] | None,
        incoming: Impairment | Mapping[str, float] | None = None,
    ) -> None:
        """Changes the faults between stack and link, for what is sent and received from now on: as `impairment` and
        `impairment_in`, None and None being none. Packets under way arrive as they would have, in order.

        `ValueError`: a setting is wrong, and nothing has changed. `OSError` EINVAL: the stack was opened without
        `impairment`, which may be one that does nothing.
        """
        there, back = _impairment(outgoing), _impairment(incoming)
        self._raw.impair(there or Impairment(), back or there or Impairment())

    def dump_capture(self) -> None:
        """Writes to the capture file what `pcap_ring` has kept, as when a connection is cut off."""
        self._raw.dump_capture()

    def sockets(self) -> list[_usertcp.SocketInfo]:
        """Every socket of the stack, also those that the program does not hold: half open, or closed and not over.
        Printed they look as in `ss -ti`.

            for each in stack.sockets():
                print(each)
        """
        return self._raw.sockets()

    def _speak_tls(self) -> None:
        """From now on `ssl` takes the stack's sockets as they are."""
        from usertcp import _tls  # ssl is for those who use it

        _tls.install()
        self._speaks_tls = True

    def _now(self) -> float:
        """Seconds of the clock by which time-outs of the stack's sockets run."""
        return time.monotonic()

    def _sleep(self, seconds: float) -> None:
        """Sleeps by that clock."""
        time.sleep(seconds)

    @property
    def device_name(self) -> str:
        """Name of the TUN device; empty for a descriptor that has none."""
        return self._raw.device_name

    @property
    def offloaded(self) -> bool:
        """Whether the device takes super-frames."""
        return self._raw.offloaded

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self, timeout: float | None = 10.0) -> None:
        """Ends the stack: calls that sleep raise, queued data and the ends of streams go out.

        What is not done after `timeout` seconds is reset, and `TimeoutError` says so; None waits as long as
        the protocol does. Closing twice is no error.
        """
        if self._closed:
            return
        self._closed = True
        _live.discard(self)
        try:
            self._raw.close(timeout)
        finally:
            if self._log:
                self._log.close()

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
            self.close(timeout=10.0 if kind is None else 0.0)
        except TimeoutError:
            pass

    def __repr__(self) -> str:
        state = " [closed]" if self._closed else ""
        name = getattr(self, "_raw", None) and self.device_name
        return f"<usertcp.Stack{state}{' ' + name if name else ''}>"

    def __del__(self) -> None:
        if getattr(self, "_closed", True):
            return
        warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
        try:
            self.close(timeout=0.0)
        except OSError:
            pass


class _Log:
    """Carries records from the stack's queue to `logging`, on a thread that may wait for anything."""

    def __init__(self, level: str) -> None:
        if level not in _LEVELS:
            raise ValueError(f"log must be one of {', '.join(_LEVELS)}, not {level!r}")
        self.queue = _usertcp.Log(_LEVELS[level])
        with belonging(None, None):  # not a task of a simulated network
            self._thread = threading.Thread(target=self._deliver, name="usertcp-log", daemon=True)
            self._thread.start()

    def _deliver(self) -> None:
        logger = logging.getLogger("usertcp")
        while record := self.queue.pop():
            level, text = record
            logger.log(_LOGGING_LEVELS[level], "%s", text)

    def close(self) -> None:
        """Delivers what is queued and ends."""
        self.queue.close()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)


_live: weakref.WeakSet[Stack] = weakref.WeakSet()


@atexit.register
def _close_at_exit() -> None:
    """Stacks left open end in order: peers see the ends of their streams, not silence."""
    left = list(_live)
    if left:
        _usertcp._leave()
    end = time.monotonic() + LINGER_AT_EXIT
    for stack in left:
        try:
            stack.close(timeout=max(0.0, end - time.monotonic()))
        except OSError:
            pass


def _forget_in_child() -> None:
    """After a fork the stacks are the parent's: the child has neither their threads nor their connections."""
    for stack in _live:
        stack._closed = True
    _live.clear()


os.register_at_fork(after_in_child=_forget_in_child)


def _impairment(given: Impairment | Mapping[str, float] | None) -> Impairment | None:
    if isinstance(given, Mapping):
        return Impairment(**cast(dict[str, Any], dict(given)))
    return given


def _descriptors(given: int | HasDescriptor | Sequence[int | HasDescriptor]) -> tuple[list[int], list[int]]:
    """The descriptors of all queues of a link, and those of them that were given as numbers."""
    several = given if isinstance(given, Sequence) else [given]
    numbers = [each.fileno() if hasattr(each, "fileno") else operator.index(each) for each in several]
    for at, number in enumerate(numbers):
        os.fstat(number)
        if number in numbers[:at]:
            raise ValueError(f"descriptor {number} is given twice: each queue of a link has one of its own")
    owned = [number for number, each in zip(numbers, several, strict=True) if not hasattr(each, "fileno")]
    return numbers, owned


def _texts(addresses: str | Iterable[object]) -> list[str]:
    """One address or several, as text or as objects of module `ipaddress`."""
    if isinstance(addresses, str):
        return [addresses]
    return [str(address) for address in addresses]
