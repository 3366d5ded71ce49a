"""websockets, for asyncio and for threads, over plain connections and TLS."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest
import websockets
import websockets.asyncio.client
import websockets.asyncio.server
import websockets.sync.client
import websockets.sync.server
from conftest import DEADLINE

from libraries.conftest import DATA, SERVER, Trust, World


pytestmark = pytest.mark.library("websockets")


@pytest.fixture(params=["ws", "wss"])
def contexts(request: pytest.FixtureRequest, trust: Trust) -> dict[str, ssl.SSLContext | None]:
    """The TLS of both sides, if there is any."""
    if request.param == "ws":
        return {"server": None, "client": None}
    return {"server": trust.server, "client": trust.client}


def url_of(sock: Any, context: ssl.SSLContext | None) -> str:
    """The address of a server by name."""
    return f"{'wss' if context else 'ws'}://{SERVER}:{sock.getsockname()[1]}/"


LIMITS: dict[str, Any] = {"open_timeout": DEADLINE, "close_timeout": DEADLINE, "max_size": None}


def test_for_asyncio(world: World, contexts: dict[str, ssl.SSLContext | None]) -> None:
    async def echo(socket: websockets.asyncio.server.ServerConnection) -> None:
        async for message in socket:
            await socket.send(message.upper() if isinstance(message, str) else message)

    async def main() -> None:
        with world.server.patch():
            server = await websockets.asyncio.server.serve(
                echo, world.address, 0, ssl=contexts["server"], **LIMITS
            )
        async with server:
            url = url_of(server.sockets[0], contexts["server"])
            with world.client.patch():
                async with websockets.asyncio.client.connect(
                    url, ssl=contexts["client"], proxy=None, **LIMITS
                ) as socket:
                    await socket.send("word")
                    assert await socket.recv() == "WORD"
                    await socket.send(DATA)
                    assert await socket.recv() == DATA
                    await socket.send([b"in ", b"pieces"])
                    assert await socket.recv() == b"in pieces"
                    await (await socket.ping())
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(world.patience):
                            await socket.recv()
                    server.close()
                    with pytest.raises(websockets.ConnectionClosedOK) as caught:
                        await socket.recv()
                    assert caught.value.rcvd and caught.value.rcvd.code == 1001, "going away"
                with pytest.raises(OSError):
                    await websockets.asyncio.client.connect(f"ws://{SERVER}:9/", proxy=None, **LIMITS)

    world.run(main)


def test_for_threads(world: World, contexts: dict[str, ssl.SSLContext | None]) -> None:
    def echo(socket: websockets.sync.server.ServerConnection) -> None:
        for message in socket:
            socket.send(message.upper() if isinstance(message, str) else message)

    with world.server.patch():
        server = websockets.sync.server.serve(echo, world.address, 0, ssl=contexts["server"], **LIMITS)
    url = url_of(server.socket, contexts["server"])
    task = world.start(server.serve_forever)
    try:
        with (
            world.client.patch(),
            websockets.sync.client.connect(url, ssl=contexts["client"], proxy=None, **LIMITS) as socket,
        ):
            socket.send("word")
            assert socket.recv(DEADLINE) == "WORD"
            socket.send(DATA)
            assert socket.recv(DEADLINE) == DATA
            assert socket.ping().wait(DEADLINE)
            with pytest.raises(TimeoutError):
                socket.recv(world.patience)
            socket.close(reason="enough")
            with pytest.raises(websockets.ConnectionClosedOK, match="enough"):
                socket.recv(DEADLINE)
        with world.client.patch(), pytest.raises(ConnectionRefusedError):
            websockets.sync.client.connect(f"ws://{SERVER}:9/", proxy=None, **LIMITS)
    finally:
        with world.at_the_server():
            server.shutdown()
            task.answer()
