"""asyncio's streams over a stack: what `Stack.open_connection` and `Stack.start_server` do.

A socket of a stack can be handed to asyncio itself as well, which is all that happens here: `sock=` of its functions,
`loop.sock_recv` and its like.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl as tls
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from usertcp import _usertcp
from usertcp._here import NETWORK
from usertcp._names import Info, is_numeric

if TYPE_CHECKING:
    from usertcp._socket import Address, Socket
    from usertcp._stack import Stack

ClientConnected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None]
"""What a server calls for each connection: a function, or a coroutine that becomes a task."""


async def open_connection(
    stack: Stack,
    host: str,
    port: int,
    *,
    ssl: tls.SSLContext | bool | None = None,
    server_hostname: str | None = None,
    local_addr: Address | None = None,
    **options: Any,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connects to host and port and returns streams, as `asyncio.open_connection` does.

    A host is an address or a name, whose addresses are tried one after the other.

    ssl:             a context, or True for the default one: speaks TLS
    server_hostname: name in the server's certificate, if it is not the host
    local_addr:      own (host, port) to connect from
    options:         the others of `asyncio.open_connection`, such as `limit`
    """
    _check_loop(stack)
    sock = await _connected(stack, host, port, local_addr)
    try:
        name = host if ssl and server_hostname is None else server_hostname
        return await asyncio.open_connection(sock=sock, ssl=ssl or None, server_hostname=name, **options)
    except BaseException:
        sock.close()
        raise


async def addresses(stack: Stack, host: str, port: int, family: int = 0) -> list[Info]:
    """The addresses of a host for connections, as `Stack.getaddrinfo` gives them; the loop goes on meanwhile."""
    look_up = functools.partial(stack.getaddrinfo, host, port, family, socket.SOCK_STREAM)
    if stack._answers_at_once(host):
        return look_up()
    return await asyncio.get_running_loop().run_in_executor(None, look_up)


def _check_loop(stack: Stack) -> None:
    """A loop that knows nothing of the network of a simulated host would wait for ever."""
    if stack.SIMULATED and NETWORK.get() is None:
        raise RuntimeError(f"{stack!r} is of a simulated network: run the coroutine with usertcp.sim.run")


async def _connected(stack: Stack, host: str, port: int, local: Address | None) -> Socket:
    """Connects to the addresses of a host, one after the other."""
    loop = asyncio.get_running_loop()
    if is_numeric(host):
        found: list[tuple[int, Address]] = [(_usertcp.family_of(host), (host, port))]
    else:
        found = [(info[0], info[4]) for info in await addresses(stack, host, port)]
    last: OSError | None = None
    for family, address in found:
        sock = stack.socket(family, proto=socket.IPPROTO_TCP)
        try:
            sock.setblocking(False)
            if local is not None:
                sock.bind(local)
            await loop.sock_connect(sock, address)
            return sock
        except OSError as error:
            sock.close()
            last = error
        except BaseException:
            sock.close()
            raise
    assert last is not None
    raise last


async def start_server(
    stack: Stack,
    client_connected: ClientConnected,
    host: str = "",
    port: int = 0,
    *,
    family: int | None = None,
    backlog: int = 100,
    reuse_port: bool = False,
    dualstack_ipv6: bool = False,
    ssl: tls.SSLContext | None = None,
    **options: Any,
) -> asyncio.Server:
    """Listens on host and port and serves each connection, as `asyncio.start_server` does.

    host, port, family, backlog, reuse_port, dualstack_ipv6: as `Stack.create_server` takes them
    ssl:     a context with a certificate: speaks TLS
    options: the others of `asyncio.start_server`, such as `limit`
    """
    _check_loop(stack)
    sock = stack.create_server(
        (host, port), family=family, backlog=backlog, reuse_port=reuse_port, dualstack_ipv6=dualstack_ipv6
    )
    try:
        return await asyncio.start_server(client_connected, sock=sock, backlog=backlog, ssl=ssl, **options)
    except BaseException:
        sock.close()
        raise
