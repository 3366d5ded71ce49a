"""HTTP and websockets by libraries for asyncio: aiohttp serves, and aiohttp and httpx ask."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import httpx
import pytest
from aiohttp import web
from conftest import DEADLINE

from libraries.conftest import DATA, SERVER, Trust, World

NEVER = web.AppKey("never", asyncio.Event)


async def data(request: web.Request) -> web.StreamResponse:
    return web.Response(body=DATA)


async def chunks(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    answer.enable_chunked_encoding()
    await answer.prepare(request)
    for at in range(0, len(DATA), 70_000):
        await answer.write(DATA[at : at + 70_000])
    await answer.write_eof()
    return answer


async def digest_of(request: web.Request) -> web.StreamResponse:
    digest = hashlib.sha256()
    async for piece in request.content.iter_any():
        digest.update(piece)
    return web.Response(text=digest.hexdigest())


async def elsewhere(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/data")


async def peer(request: web.Request) -> web.StreamResponse:
    assert request.transport
    return web.json_response(request.transport.get_extra_info("peername"))


async def never(request: web.Request) -> web.StreamResponse:
    await request.app[NEVER].wait()
    return web.Response()


async def echo(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is aiohttp.WSMsgType.BINARY:
            await socket.send_bytes(message.data)
        else:
            await socket.send_str(message.data.upper())
    return socket


@contextlib.asynccontextmanager
async def served(world: World, context: ssl.SSLContext | None) -> AsyncIterator[str]:
    """aiohttp's server on the server's host; its address by name."""
    app = web.Application(client_max_size=0)
    app[NEVER] = asyncio.Event()
    app.add_routes([web.get("/data", data), web.get("/chunks", chunks), web.post("/", digest_of)])
    app.add_routes([web.get("/elsewhere", elsewhere), web.get("/peer", peer), web.get("/never", never)])
    app.add_routes([web.get("/echo", echo)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=DEADLINE)
    await runner.setup()
    try:
        with world.server.patch():
            site = web.TCPSite(runner, world.address, 0, ssl_context=context)
            await site.start()
        yield f"{'https' if context else 'http'}://{SERVER}:{runner.addresses[0][1]}"
    finally:
        app[NEVER].set()
        await runner.cleanup()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(params=["http", "https"])
def server_context(request: pytest.FixtureRequest, trust: Trust) -> ssl.SSLContext | None:
    """The TLS of the server, if it has any."""
    return trust.server if request.param == "https" else None


async def ask_aiohttp(world: World, session: aiohttp.ClientSession, url: str) -> None:
    """What aiohttp's client is asked for, by whichever way it connects."""
    for path in ("/data", "/chunks", "/elsewhere"):
        async with session.get(url + path) as answer:
            assert await answer.read() == DATA
    async with session.post(url, data=DATA) as answer:
        assert await answer.text() == digest(DATA)
    peers = set()
    for _ in range(3):
        async with session.get(f"{url}/peer") as answer:
            peers.add(await answer.text())
    assert len(peers) == 1, "one connection for all"
    bodies = await asyncio.gather(*[_read(session, f"{url}/data") for _ in range(5)])
    assert bodies == [DATA] * 5
    async with session.ws_connect(f"{url}/echo") as messages:
        await messages.send_str("word")
        assert await messages.receive_str() == "WORD"
        await messages.send_bytes(DATA)
        assert await messages.receive_bytes() == DATA
    with pytest.raises(aiohttp.ClientResponseError, match="404"):
        async with session.get(f"{url}/none", raise_for_status=True):
            pass
    with pytest.raises(asyncio.TimeoutError):
        async with session.get(f"{url}/never", timeout=aiohttp.ClientTimeout(world.patience)):
            pass
    with pytest.raises(aiohttp.ClientConnectorError, match="[Cc]onnect"):
        async with session.get(f"http://{SERVER}:9/"):
            pass
    with pytest.raises(aiohttp.ClientConnectorDNSError):
        async with session.get("http://nobody.invalid/"):
            pass


async def _read(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url) as answer:
        return await answer.read()


LIMITS = aiohttp.ClientTimeout(DEADLINE)


@pytest.mark.library("aiohttp")
def test_aiohttp(world: World, trust: Trust, server_context: ssl.SSLContext | None) -> None:
    async def main() -> None:
        async with served(world, server_context) as url:
            with world.client.patch():
                connector = aiohttp.TCPConnector(ssl=trust.client)
                async with aiohttp.ClientSession(connector=connector, timeout=LIMITS) as session:
                    await ask_aiohttp(world, session, url)

    world.run(main)


@pytest.mark.library("aiohttp")
def test_aiohttp_with_a_connector(own: World, trust: Trust, server_context: ssl.SSLContext | None) -> None:
    async def main() -> None:
        async with served(own, server_context) as url:
            connector = own.stack.aiohttp_connector(ssl=trust.client)
            async with aiohttp.ClientSession(connector=connector, timeout=LIMITS) as session:
                await ask_aiohttp(own, session, url)

    own.run(main)


async def ask_httpx(world: World, client: httpx.AsyncClient, url: str) -> None:
    """What httpx is asked for, by whichever way it connects."""
    for path in ("/data", "/chunks", "/elsewhere"):
        assert (await client.get(url + path)).content == DATA
    assert (await client.post(url, content=DATA)).text == digest(DATA)
    assert len({(await client.get(f"{url}/peer")).text for _ in range(3)}) == 1
    answers = await asyncio.gather(*[client.get(f"{url}/data") for _ in range(5)])
    assert [answer.content for answer in answers] == [DATA] * 5
    async with client.stream("GET", f"{url}/data") as answer:
        assert b"".join([piece async for piece in answer.aiter_bytes(10_000)]) == DATA
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        (await client.get(f"{url}/none")).raise_for_status()
    with pytest.raises(httpx.ReadTimeout):
        await client.get(f"{url}/never", timeout=world.patience)
    with pytest.raises(httpx.ConnectError):
        await client.get(f"http://{SERVER}:9/")
    with pytest.raises(httpx.ConnectError):
        await client.get("http://nobody.invalid/")


OPTIONS: dict[str, Any] = {"timeout": DEADLINE, "follow_redirects": True, "trust_env": False}


@pytest.mark.library("httpx")
def test_httpx(world: World, trust: Trust, server_context: ssl.SSLContext | None) -> None:
    async def main() -> None:
        async with served(world, server_context) as url:
            with world.client.patch():
                async with httpx.AsyncClient(verify=trust.client, **OPTIONS) as client:
                    await ask_httpx(world, client, url)

    world.run(main)


@pytest.mark.library("httpx")
def test_httpx_with_a_transport(own: World, trust: Trust, server_context: ssl.SSLContext | None) -> None:
    async def main() -> None:
        async with served(own, server_context) as url:
            transport = own.stack.httpx_async_transport(verify=trust.client)
            async with httpx.AsyncClient(transport=transport, **OPTIONS) as client:
                await ask_httpx(own, client, url)

    own.run(main)


@pytest.mark.library("httpx")
def test_httpx_tries_again(own: World) -> None:
    async def main() -> None:
        transport = own.stack.httpx_async_transport(retries=2)
        async with httpx.AsyncClient(transport=transport, **OPTIONS) as client:
            with own.lasting(0.5), pytest.raises(httpx.ConnectError):
                await client.get(f"http://{own.address}:9/")

    own.run(main)
