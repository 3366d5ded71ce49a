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
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from libraries.conftest import DATA, SERVER, Trust, TunWorld, World
from libraries.servers import Keys, Threads

pytestmark = pytest.mark.library("redis")

OPTIONS: dict[str, Any] = {
    "host": SERVER,
    "socket_timeout": DEADLINE,
    "socket_connect_timeout": DEADLINE,
}


@pytest.fixture(params=[False, True], ids=["clear", "tls"])
def tls(request: pytest.FixtureRequest) -> bool:
    """Whether the library and the server speak TLS."""
    return bool(request.param)


@pytest.fixture
def options(tls: bool, trust: Trust) -> dict[str, Any]:
    """What a client of the library is made with."""
    return {**OPTIONS, "ssl": True, "ssl_ca_certs": str(trust.file)} if tls else OPTIONS


def redis_server() -> str:
    """Debian's package redis-server, which knows TLS."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server here")
    return program


@contextlib.contextmanager
def running(world: TunWorld, folder: Path, trust: Trust | None) -> Iterator[int]:
    """redis-server on the kernel's side, in TLS if there is a `trust`; its port."""
    port = 6379
    words = [redis_server(), "--bind", V4.near, V6.near, "--dir", str(folder)]
    words += ["--save", "", "--daemonize", "no", "--protected-mode", "no"]
    if trust is None:
        words += ["--port", str(port)]
    else:
        own = folder / "server.pem"
        trust.issuer.issue_cert(SERVER).private_key_and_cert_chain_pem.write_to_path(str(own))
        words += ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no"]
        words += ["--tls-cert-file", str(own), "--tls-key-file", str(own)]
        words += ["--tls-ca-cert-file", str(trust.file)]
    with world.sandbox.spawn(words, stdout=subprocess.PIPE) as child:
        assert child.stdout
        for line in child.stdout:
            if b"eady to accept connections" in line:
                break
        else:
            raise AssertionError("redis-server has ended")
        yield port


@contextlib.contextmanager
def small(world: World, trust: Trust | None) -> Iterator[int]:
    """The small server on the server's host, in TLS if there is a `trust`; its port."""
    with world.server.patch():
        server = Threads((world.address, 0), Keys)
    if trust:
        server.context, server.at_once = trust.server, True
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
def test_blocking(world: World, trust: Trust, tls: bool, options: dict[str, Any], protocol: int) -> None:
    with small(world, trust if tls else None) as port, world.client.patch():
        with redis.Redis(port=port, protocol=protocol, **options) as client:
            ask(client)
        with redis.Redis(
            port=port, **{**options, "socket_timeout": world.patience}, retry=Retry(NoBackoff(), 0)
        ) as client:
            with pytest.raises(redis.TimeoutError):
                client.blpop(["empty"], 0)
        with redis.Redis(port=9, **options, retry=Retry(NoBackoff(), 0)) as client:
            with pytest.raises(redis.ConnectionError, match="refused"):
                client.ping()


async def ask_async(client: redis.asyncio.Redis) -> None:
    """What both servers know."""
    assert await client.ping()
    assert await client.set("data", DATA)
    assert await client.get("data") == DATA
    counts = await asyncio.gather(*[client.incr("many") for _ in range(10)])
    assert sorted(counts) == list(range(1, 11))
    async with client.pipeline() as pipe:
        pipe.set("y", "1")
        pipe.incr("y")
        assert await pipe.execute() == [True, 2]


@pytest.mark.parametrize("protocol", [2, 3])
def test_for_asyncio(world: World, trust: Trust, tls: bool, options: dict[str, Any], protocol: int) -> None:
    once = AsyncRetry(NoBackoff(), 0)

    async def main() -> None:
        with world.client.patch():
            async with redis.asyncio.Redis(port=port, protocol=protocol, **options) as client:
                await ask_async(client)
            async with redis.asyncio.Redis(
                port=port, protocol=protocol, **{**options, "socket_timeout": world.patience}, retry=once
            ) as client:
                with pytest.raises(redis.TimeoutError):
                    await client.blpop(["empty"], 0)
            async with redis.asyncio.Redis(port=9, **options, retry=once) as client:
                with pytest.raises(redis.ConnectionError):
                    await client.ping()

    with small(world, trust if tls else None) as port:
        world.run(main)


@pytest.mark.parametrize("where", ["tun"], indirect=True)
def test_redis_server(
    world: TunWorld, tmp_path: Path, trust: Trust, tls: bool, options: dict[str, Any]
) -> None:
    with running(world, tmp_path, trust if tls else None) as port, world.client.patch():
        with redis.Redis(port=port, **options) as client, redis.Redis(port=port, **options) as other:
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
            async with redis.asyncio.Redis(port=port, **options) as client:
                await ask_async(client)

        world.run(main)
