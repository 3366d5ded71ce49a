"""redis-py, blocking and for asyncio: against redis-server on the kernel's side, and a small server elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from conftest import DEADLINE, V4, V6
from redis.backoff import NoBackoff
from redis.retry import Retry

from libraries.conftest import DATA, SERVER, TunWorld, World, on_tun
from libraries.servers import Keys, Threads

OPTIONS: dict[str, Any] = {
    "host": SERVER,
    "socket_timeout": DEADLINE,
    "socket_connect_timeout": DEADLINE,
}


def redis_server() -> str:
    """Debian's package redis-server."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server here")
    return program


@contextlib.contextmanager
def running(world: TunWorld, folder: Path) -> Iterator[int]:
    """redis-server on the kernel's side; its port."""
    port = 6379
    words = [redis_server(), "--port", str(port), "--bind", V4.near, V6.near, "--dir", str(folder)]
    words += ["--save", "", "--daemonize", "no", "--protected-mode", "no"]
    with world.sandbox.spawn(words, stdout=subprocess.PIPE) as child:
        assert child.stdout
        for line in child.stdout:
            if b"eady to accept connections" in line:
                break
        else:
            raise AssertionError("redis-server has ended")
        yield port


@contextlib.contextmanager
def small(world: World) -> Iterator[int]:
    """The small server on the server's host; its port."""
    with world.server.patch():
        server = Threads((world.address, 0), Keys)
    with world.serving(server):
        yield server.server_address[1]


def ask(client: redis.Redis) -> None:
    """What both servers know."""
    assert client.ping()
    assert client.set("data", DATA)
    assert client.get("data") == DATA
    assert client.get("nothing") is None
    assert [client.incr("count") for _ in range(3)] == [1, 2, 3]
    assert client.rpush("list", "a", "b", "c") == 3
    assert client.lrange("list", 0, -1) == [b"a", b"b", b"c"]
    with client.pipeline() as pipe:
        pipe.set("x", "1")
        pipe.incr("x")
        pipe.get("x")
        assert pipe.execute() == [True, 2, b"2"]
    with client.pipeline(transaction=False) as pipe:
        for number in range(100):
            pipe.set(f"key{number}", number)
        assert pipe.execute() == [True] * 100
    with pytest.raises(redis.ResponseError):
        client.hget("data", "field")


@pytest.mark.parametrize("protocol", [2, 3])
def test_blocking(world: World, protocol: int) -> None:
    with small(world) as port, world.client.patch():
        with redis.Redis(port=port, protocol=protocol, **OPTIONS) as client:
            ask(client)
        with redis.Redis(
            port=port, **{**OPTIONS, "socket_timeout": world.patience}, retry=Retry(NoBackoff(), 0)
        ) as client:
            with pytest.raises(redis.TimeoutError):
                client.blpop(["empty"], 0)
        with redis.Redis(port=9, **OPTIONS, retry=Retry(NoBackoff(), 0)) as client:
            with pytest.raises(redis.ConnectionError, match="refused"):
                client.ping()


async def ask_async(port: int) -> None:
    async with redis.asyncio.Redis(port=port, **OPTIONS) as client:
        assert await client.ping()
        assert await client.set("data", DATA)
        assert await client.get("data") == DATA
        counts = await asyncio.gather(*[client.incr("many") for _ in range(10)])
        assert sorted(counts) == list(range(1, 11))
        async with client.pipeline() as pipe:
            pipe.set("y", "1")
            pipe.incr("y")
            assert await pipe.execute() == [True, 2]


def test_for_asyncio(world: World) -> None:
    async def main() -> None:
        with world.client.patch():
            await ask_async(port)

    with small(world) as port:
        world.run(main)


def test_redis_server(granted: None, tmp_path: Path) -> None:
    with on_tun(tmp_path, True) as world, running(world, tmp_path) as port, world.client.patch():
        with redis.Redis(port=port, **OPTIONS) as client, redis.Redis(port=port, **OPTIONS) as other:
            assert client.info()["redis_version"]
            ask(client)
            assert client.blpop(["list"], 1) == (b"list", b"a")
            with client.pubsub() as heard:
                heard.subscribe("channel")
                assert heard.get_message(timeout=DEADLINE)["type"] == "subscribe"
                assert other.publish("channel", b"word") == 1
                assert heard.get_message(timeout=DEADLINE)["data"] == b"word"
            assert client.register_script("return ARGV[1] + 1")(args=[41]) == 42

        async def main() -> None:
            await ask_async(port)

        world.run(main)
