"""For aiohttp: a `TCPConnector` whose sockets are a stack's, and its resolver."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import aiohttp
import aiohttp.abc

from usertcp import aio

if TYPE_CHECKING:
    from usertcp._stack import Stack


class Resolver(aiohttp.abc.AbstractResolver):
    """Looks names up over a stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        """The addresses of a host, in the order in which they should be tried."""
        return [
            aiohttp.abc.ResolveResult(
                hostname=host,
                host=address[0],
                port=address[1],
                family=found,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for found, _, proto, _, address in await aio.addresses(self._stack, host, port, family)
        ]

    async def close(self) -> None:
        """Has nothing to let go of."""


def connector(stack: Stack, **options: Any) -> aiohttp.TCPConnector:
    """A `TCPConnector` over a stack; see `Stack.aiohttp_connector`."""

    def made(info: Any) -> socket.socket:
        return stack.socket(info[0], info[1], info[2])

    options.setdefault("resolver", Resolver(stack))
    return aiohttp.TCPConnector(socket_factory=made, **options)
