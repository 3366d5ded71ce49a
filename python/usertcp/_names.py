"""Names of hosts: `Names`, and `getaddrinfo` over a stack."""

from __future__ import annotations

import dataclasses
import functools
import operator
import os
import socket
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

Info = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
"""What `getaddrinfo` returns a list of: family, type, protocol, canonical name, address."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Names:
    """How a stack looks names up. What is None is as the system's /etc/resolv.conf says when the stack is opened."""

    nameservers: Iterable[str] | None = None
    """Name servers, at most 3, with a port where it is not 53: "192.0.2.53", "[2001:db8::53]:5353". They are asked
    through the stack: 127.0.0.53 is an address of the stack's own."""
    search: Iterable[str] | None = None
    """Domains to try behind names of few dots."""
    ndots: int | None = None
    """Dots from which on a name is first tried as it is, at most 15."""
    timeout: float | None = None
    """Seconds that a name server may take before the next is asked, at most 30."""
    attempts: int | None = None
    """How often each name server is asked, at most 5."""
    hosts: str | os.PathLike[str] | None = None
    """A file of names that need no server; None is /etc/hosts, "" is none."""
    connect_delay: float | None = None
    """Seconds that connecting to one address of a host may take before the next is tried beside it; None is 0.25."""


def prepared(given: Names | Mapping[str, Any] | None) -> Names | None:
    """`Names` whose parts are lists, as `_usertcp.Stack` takes them."""
    if given is None:
        return None
    if isinstance(given, Mapping):
        given = Names(**given)
    for field in ("nameservers", "search"):
        if isinstance(getattr(given, field), str):
            raise TypeError(f"{field} must be a list, not a str")
    return dataclasses.replace(
        given,
        nameservers=None if given.nameservers is None else [str(server) for server in given.nameservers],
        search=None if given.search is None else list(given.search),
    )


_FLAGS = (
    socket.AI_PASSIVE
    | socket.AI_CANONNAME
    | socket.AI_NUMERICHOST
    | socket.AI_NUMERICSERV
    | socket.AI_ADDRCONFIG
)
_KINDS = {
    socket.SOCK_STREAM: (socket.IPPROTO_TCP, "tcp"),
    socket.SOCK_DGRAM: (socket.IPPROTO_UDP, "udp"),
}
_FAMILIES = (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6)


def text_of(host: str | bytes) -> str:
    """A host's name in ASCII."""
    if isinstance(host, bytes):
        return host.decode("ascii", "replace")
    return host if host.isascii() else host.encode("idna").decode("ascii")


def _error(number: int, text: str) -> socket.gaierror:
    return socket.gaierror(number, text)


def _port(service: str | bytes | int | None, protocol: str, numeric: bool) -> int | None:
    if service is None:
        return 0
    if not isinstance(service, (str, bytes)):
        return operator.index(service) & 0xFFFF
    text = service if isinstance(service, str) else service.decode("ascii", "replace")
    if text.isdecimal():
        return int(text) & 0xFFFF
    try:
        return None if numeric else socket.getservbyname(text, protocol)
    except OSError:
        return None


def _scoped(host: str) -> tuple[str, int]:
    """A host and the number of the link that an address of IPv6 names, as in fe80::1%1; 0 where it names none."""
    address, mark, link = host.partition("%")
    if not mark or ":" not in address:
        return host, 0
    if not link.isdecimal():
        raise _error(socket.EAI_NONAME, f"'{link}' is no number of a link: a stack has one, number 1")
    return address, int(link) & 0xFFFFFFFF


def is_numeric(host: str) -> bool:
    """Whether a host is an address in digits."""
    return _is_numeric(host)


def _parses(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.split("%")[0])
        except (OSError, ValueError):
            continue
        return True
    return False


_is_numeric = functools.lru_cache(_parses)
"""Every datagram that is sent asks, mostly about the same hosts."""


class Resolver(Protocol):
    """What knows the addresses of hosts."""

    def resolve(self, host: str, family: int) -> list[tuple[int, str]]:
        """The addresses of a host, best first, each with its family; `family` 0 is both. `socket.gaierror`."""


def getaddrinfo(
    raw: Resolver,
    host: str | bytes | None,
    port: str | bytes | int | None,
    family: int = 0,
    type: int = 0,
    proto: int = 0,
    flags: int = 0,
) -> list[Info]:
    """`socket.getaddrinfo` by a resolver, such as a stack; see `Stack.getaddrinfo`."""
    if flags & ~_FLAGS:
        raise _error(socket.EAI_BADFLAGS, "Bad value for ai_flags")
    if family not in _FAMILIES:
        raise _error(socket.EAI_FAMILY, "ai_family not supported")
    kinds = [kind for kind in _KINDS if type in (0, kind) and proto in (0, _KINDS[kind][0])]
    if not kinds:
        raise _error(socket.EAI_SOCKTYPE, "ai_socktype not supported")
    if host is None and port is None:
        raise _error(socket.EAI_NONAME, "Name or service not known")
    numeric = bool(flags & socket.AI_NUMERICSERV)
    ports = [(kind, _port(port, _KINDS[kind][1], numeric)) for kind in kinds]
    ends = [(kind, number) for kind, number in ports if number is not None]
    if not ends:
        raise _error(socket.EAI_SERVICE, "Servname not supported for ai_socktype")
    name, scope = _scoped("" if host is None else text_of(host))
    if not name:
        all_of = ("0.0.0.0", "::") if flags & socket.AI_PASSIVE else ("127.0.0.1", "::1")
        found = [(socket.AF_INET, all_of[0]), (socket.AF_INET6, all_of[1])]
        found = [(each, address) for each, address in found if family in (0, each)]
    elif flags & socket.AI_NUMERICHOST and not is_numeric(name):
        raise _error(socket.EAI_NONAME, "Name or service not known")
    else:
        found = [(socket.AddressFamily(each), address) for each, address in raw.resolve(name, family)]
    canonical = name if flags & socket.AI_CANONNAME else ""
    infos: list[Info] = []
    for each, address in found:
        for kind, number in ends:
            end: tuple[Any, ...] = (address, number)
            if each == socket.AF_INET6:
                end += (0, scope)
            shown = canonical if not infos else ""
            infos.append((each, kind, _KINDS[kind][0], shown, end))
    return infos
