"""What libraries that take a part of their own for connecting are given, so that they connect over a stack.

The libraries are imported by who asks for the part, and need not be there otherwise.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import aiohttp
    import httpx
    import requests.adapters

    from usertcp._stack import Stack


class Adapters:
    """The methods of `Stack` that make them. Each takes the options that the library's own part takes."""

    def requests_adapter(self, **options: Any) -> requests.adapters.HTTPAdapter:
        """A `requests.adapters.HTTPAdapter` that connects over the stack and looks names up over it, proxies' too.

        options: those of `HTTPAdapter`, such as `max_retries`

            session = requests.Session()
            session.mount("http://", stack.requests_adapter())
            session.mount("https://", stack.requests_adapter())

        `ImportError` without requests; the adapter has no SOCKS proxies.
        """
        with _wanted("requests", "requests_adapter"):
            from usertcp._adapters._requests import Adapter
        return Adapter(self._with_tls(), **options)

    def httpx_transport(self, **options: Any) -> httpx.HTTPTransport:
        """An `httpx.HTTPTransport` that connects over the stack and looks names up over it.

        options: those of `HTTPTransport`, such as `verify` and `retries`, but for `uds`

            with httpx.Client(transport=stack.httpx_transport()) as client:
                client.get("http://192.0.2.1/")

        `ImportError` without httpx.
        """
        with _wanted("httpx", "httpx_transport"):
            from usertcp._adapters._httpx import Transport
        return Transport(self._with_tls(), **options)

    def httpx_async_transport(self, **options: Any) -> httpx.AsyncHTTPTransport:
        """The same for `httpx.AsyncClient`, in a loop of asyncio: an `httpx.AsyncHTTPTransport`.

            async with httpx.AsyncClient(transport=stack.httpx_async_transport()) as client:
                await client.get("http://192.0.2.1/")

        `ImportError` without httpx.
        """
        with _wanted("httpx", "httpx_async_transport"):
            from usertcp._adapters._httpx import AsyncTransport
        return AsyncTransport(cast("Stack", self), **options)

    def aiohttp_connector(self, **options: Any) -> aiohttp.TCPConnector:
        """An `aiohttp.TCPConnector` that connects over the stack and looks names up over it. Made in a coroutine.

        options: those of `TCPConnector`, such as `ssl` and `limit`; with a `resolver` that is asked for names

            async with aiohttp.ClientSession(connector=stack.aiohttp_connector()) as session:
                async with session.get("http://192.0.2.1/") as answer:
                    ...

        `ImportError` without aiohttp 3.12 or later.
        """
        with _wanted("aiohttp", "aiohttp_connector"):
            from usertcp._adapters._aiohttp import connector
        return connector(cast("Stack", self), **options)

    def _with_tls(self) -> Stack:
        """The stack, whose sockets `ssl` is to take as they are: libraries ask them for addresses, in TLS as well."""
        stack = cast("Stack", self)
        stack._speak_tls()
        return stack


@contextlib.contextmanager
def _wanted(library: str, method: str) -> Iterator[None]:
    """Says who wants a library that is not there."""
    try:
        yield
    except ImportError as error:
        raise ImportError(f"Stack.{method} needs the library {library}: {error}", name=library) from error
