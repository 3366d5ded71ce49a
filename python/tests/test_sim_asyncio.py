"""asyncio in a simulated network: its clock, its sockets, several hosts in one loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
import signal
import socket
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
import usertcp
from conftest import Authority, V4
from usertcp import sim

T = TypeVar("T")

DATA = random.Random(8).randbytes(300_000)


class Two(NamedTuple):
    """Two hosts with a link."""

    net: sim.Network
    a: sim.Host
    b: sim.Host
    link: sim.Link


@pytest.fixture
def two() -> Iterator[Two]:
    with sim.Network(seed=11) as net:
        a = net.host("a", addresses=[f"{V4.near}/24", "2001:db8::1/64"])
        b = net.host("b", addresses=[f"{V4.far}/24", "2001:db8::2/64"])
        yield Two(net, a, b, net.link(a, b, delay=0.01))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def echoed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bytes:
    async def send() -> None:
        writer.write(data)
        await writer.drain()

    _, back = await asyncio.gather(send(), reader.readexactly(len(data)))
    writer.close()
    await writer.wait_closed()
    return back


def run(main: Coroutine[Any, Any, T], **options: Any) -> T:
    """`sim.run`, until every connection is closed at both ends."""

    async def bounded() -> T:
        answer = await main
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.gather(*others)
        await asyncio.sleep(1)
        return answer

    return sim.run(bounded(), **options)


def test_time_is_the_networks(two: Two) -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        times = [loop.time()]
        await asyncio.sleep(30)
        times.append(loop.time())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        times.append(loop.time())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(100), 2.5)
        times += [loop.time(), time.monotonic(), two.net.now]
        return times

    begun = time.monotonic()
    assert sim.run(main(), net=two.net) == pytest.approx([0, 30, 35, 37.5, 37.5, 37.5], abs=1e-6)
    assert time.monotonic() - begun < 10


def test_several_hosts_in_one_loop(two: Two) -> None:
    """Each coroutine says which one it is on."""

    async def serve(ready: asyncio.Event) -> None:
        with two.b.patch():
            assert socket.gethostname() == "b"
            server = await asyncio.start_server(echo, "b", 7)
            ready.set()
            async with server:
                await server.serve_forever()

    async def ask(number: int) -> bytes:
        with two.a.patch():
            await asyncio.sleep(number)
            assert socket.gethostname() == "a"
            reader, writer = await asyncio.open_connection("b", 7)
            assert isinstance(writer.get_extra_info("socket")._sock, usertcp.Socket)
            assert writer.get_extra_info("sockname")[0] == two.a.address
            return await echoed(reader, writer, b"%d" % number * 1000)

    async def main() -> None:
        ready = asyncio.Event()
        server = asyncio.create_task(serve(ready))
        await ready.wait()
        answers = await asyncio.gather(*(ask(number) for number in range(5)))
        assert answers == [b"%d" % number * 1000 for number in range(5)]
        server.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server

    run(main(), net=two.net, debug=True)
    assert 4 < two.net.now < 7


def test_bulk_over_a_bad_link(two: Two) -> None:
    two.link.set(loss=0.03, reorder=0.02, rate=50e6)

    async def main() -> None:
        async with await two.b.start_server(echo, "", 7):
            reader, writer = await two.a.open_connection("b", 7)
            assert await echoed(reader, writer, DATA) == DATA

    run(main(), net=two.net)
    assert two.link.counters.forward["lost"] > 0


@pytest.mark.parametrize("debug", [False, True])
def test_tls(two: Two, authority: Authority, debug: bool) -> None:
    async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go\n")
        await writer.start_tls(authority.server)
        writer.write((await reader.readline()).upper())
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        with two.b.patch():
            whole = await asyncio.start_server(echo, "b", 443, ssl=authority.server)
            later = await asyncio.start_server(upgrade, "b", 25)
        with two.a.patch():
            async with whole, later:
                reader, writer = await asyncio.open_connection(V4.far, 443, ssl=authority.client)
                assert await echoed(reader, writer, DATA) == DATA
                reader, writer = await asyncio.open_connection("b", 25)
                writer.write(b"STARTTLS\n")
                assert await reader.readline() == b"go\n"
                await writer.start_tls(authority.client, server_hostname=V4.far)
                writer.write(b"secret\n")
                assert await reader.read() == b"SECRET\n"
                writer.close()
                await writer.wait_closed()

    run(main(), net=two.net, debug=debug)


def test_the_loops_socket_calls(two: Two, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)

    async def serve(listener: usertcp.Socket) -> bytes:
        loop, got = asyncio.get_running_loop(), bytearray()
        sock, _ = await loop.sock_accept(listener)
        with sock:
            sock.setblocking(False)
            memory = bytearray(1 << 16)
            while count := await loop.sock_recv_into(sock, memory):
                got += memory[:count]
            with path.open("rb") as file:
                assert await loop.sock_sendfile(sock, file) == len(DATA)
        return bytes(got)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with two.b.create_server(("", 80)) as listener, two.a.socket() as sock:
            listener.setblocking(False)
            sock.setblocking(False)
            task = asyncio.create_task(serve(listener))
            await loop.sock_connect(sock, (V4.far, 80))
            await loop.sock_sendall(sock, DATA)
            sock.shutdown(socket.SHUT_WR)
            back = bytearray()
            while data := await loop.sock_recv(sock, 1 << 16):
                back += data
            assert back == DATA
            assert await task == DATA
            with two.a.socket() as other:
                other.setblocking(False)
                with pytest.raises(ConnectionRefusedError):
                    await loop.sock_connect(other, (V4.far, 9))

    run(main(), net=two.net, debug=True)


def test_datagrams(two: Two) -> None:
    class Shout(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.transport.sendto(data.upper(), addr)

    class Hear(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.heard = asyncio.get_running_loop().create_future()

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.heard.set_result((data, addr))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with two.b.patch():
            server, _ = await loop.create_datagram_endpoint(Shout, local_addr=("b", 53))
        with two.a.patch():
            client, hear = await loop.create_datagram_endpoint(Hear, remote_addr=("b", 53), family=socket.AF_INET)
        client.sendto(b"loud")
        assert await hear.heard == (b"LOUD", (V4.far, 53))
        client.close()
        server.close()

    run(main(), net=two.net)


def test_names_are_answered_without_a_thread(two: Two) -> None:
    two.net.names["www.example.com"] = ["2001:db8::2", V4.far]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        threads = threading.active_count()
        infos = await loop.getaddrinfo("www.example.com", 80, type=socket.SOCK_STREAM)
        assert [info[4][0] for info in infos] == ["2001:db8::2", V4.far]
        assert (await loop.getaddrinfo(None, 80, flags=socket.AI_PASSIVE))[0][4] == ("0.0.0.0", 80)
        assert await loop.getnameinfo((V4.far, 80)) == ("b", "http")
        assert threading.active_count() == threads
        with pytest.raises(socket.gaierror):
            await loop.getaddrinfo("nobody.example.com", 80)

    for debug in (False, True):
        sim.run(main(), host=two.a, debug=debug)


def test_addresses_are_tried_beside_each_other(two: Two) -> None:
    """As in RFC 8305, by the clock of the network."""
    two.net.names["service"] = ["2001:db8::99", V4.far]

    async def main() -> float:
        async with await two.b.start_server(echo, "", 7):
            begun = two.net.now
            _, writer = await asyncio.open_connection("service", 7, happy_eyeballs_delay=0.25)
            took = two.net.now - begun
            assert writer.get_extra_info("peername")[0] == V4.far
            writer.close()
            await writer.wait_closed()
            return took

    assert run(main(), host=two.a) < 0.5


def test_threads_of_the_loop_are_tasks(two: Two) -> None:
    def work(seconds: float) -> tuple[float, str]:
        time.sleep(seconds)
        return time.monotonic(), socket.gethostname()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        answers = await asyncio.gather(
            asyncio.to_thread(work, 3), loop.run_in_executor(None, work, 2), asyncio.sleep(1)
        )
        assert answers[0] == (3, "a") and answers[1] == (2, "a")
        with two.b.patch():
            assert (await asyncio.to_thread(work, 1))[1] == "b"
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)

    sim.run(main(), host=two.a, debug=True)
    assert two.net.now == 4


def test_the_end_waits_for_threads(two: Two) -> None:
    ended: list[float] = []

    def work() -> None:
        time.sleep(60)
        ended.append(time.monotonic())

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor(None, work)

    sim.run(main(), host=two.a)
    assert ended == [60]


def test_calls_from_other_tasks(two: Two) -> None:
    async def main() -> str:
        loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

        def call() -> None:
            two.net.sleep(20)
            loop.call_soon_threadsafe(done.set_result, "called")

        two.net.spawn(call)
        return str(await done)

    assert sim.run(main(), net=two.net, debug=True) == "called"
    assert two.net.now == 20


def test_blocking_code_beside_a_loop(two: Two) -> None:
    def ask() -> bytes:
        with socket.create_connection(("b", 7), 30) as sock:
            sock.sendall(b"blocking")
            return sock.recv(100)

    async def main() -> bytes:
        async with await asyncio.start_server(echo, "b", 7):
            task = two.net.spawn(ask, host=two.a)
            return await asyncio.to_thread(task.result)

    assert run(main(), host=two.b) == b"blocking"


def test_loops_in_several_tasks(two: Two) -> None:
    async def serve() -> None:
        ended = asyncio.Event()

        async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await echo(reader, writer)
            ended.set()

        async with await asyncio.start_server(once, "b", 7):
            await ended.wait()

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection("b", 7)
        return await echoed(reader, writer, DATA)

    server = two.net.spawn(lambda: sim.run(serve(), host=two.b))
    two.net.run_for(1)
    client = two.net.spawn(lambda: sim.run(ask(), host=two.a))
    assert client.result() == DATA
    server.result()


def test_asyncio_run_itself(two: Two) -> None:
    """Code that makes its own loop gets one of the network."""

    async def main() -> float:
        await asyncio.sleep(100)
        reader, writer = await asyncio.open_connection("b", 7)
        assert await echoed(reader, writer, b"x") == b"x"
        return time.monotonic()

    ended: list[str] = []

    async def serve() -> None:
        try:
            async with await asyncio.start_server(echo, "b", 7) as server:
                await server.serve_forever()
        finally:
            ended.append("cancelled")

    two.net.spawn(lambda: asyncio.run(serve()), host=two.b)
    with two.a.patch():
        assert 100 < asyncio.run(main()) < 101
    two.net.sleep(1)
    two.net.close()
    assert ended == ["cancelled"], "coroutines end in order when their network does"


async def reading() -> None:
    """Waits for a pipe of the kernel."""
    reader, writer = os.pipe()
    try:
        asyncio.get_running_loop().add_reader(reader, lambda: None)
        await asyncio.sleep(1000)
    finally:
        asyncio.get_running_loop().remove_reader(reader)
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize(
    "wait",
    [lambda: asyncio.sleep(1000), lambda: asyncio.Event().wait(), reading, lambda: asyncio.to_thread(time.sleep, 1000)],
    ids=["sleep", "event", "pipe", "thread"],
)
def test_a_loop_that_waits_for_no_socket_hears_of_the_end(two: Two, wait: Callable[[], Awaitable[object]]) -> None:
    ended: list[str] = []

    async def main() -> None:
        try:
            await wait()
        finally:
            ended.append("cancelled")

    task = two.net.spawn(lambda: sim.run(main(), host=two.a))
    two.net.sleep(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # it would not have ended in time
        two.net.close()
    assert ended == ["cancelled"]
    with pytest.raises(OSError) as caught:
        task.result()
    assert caught.value.errno == errno.ECANCELED


def test_cancelling(two: Two) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with two.b.create_server(("", 80)) as listener, two.a.create_connection(("b", 80)) as client:
            server, _ = listener.accept()
            with server:
                server.setblocking(False)
                task = asyncio.create_task(loop.sock_recv(server, 1))
                await asyncio.sleep(1)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                client.sendall(b"x")
                assert await loop.sock_recv(server, 1) == b"x"

    run(main(), net=two.net)


def test_a_partition_in_the_middle(two: Two) -> None:
    async def main() -> None:
        async with await two.b.start_server(echo, "", 7):
            reader, writer = await two.a.open_connection("b", 7)
            writer.write(b"one")
            assert await reader.readexactly(3) == b"one"
            two.net.partition([two.a], [two.b])
            writer.write(b"two")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(10):
                    await reader.readexactly(3)
            two.net.heal()
            assert await reader.readexactly(3) == b"two"
            writer.close()
            await writer.wait_closed()

    run(main(), net=two.net)


def test_files_of_the_kernel_in_the_loop(two: Two) -> None:
    async def main() -> None:
        one, other = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=one)
        peer, answers = await asyncio.open_connection(sock=other)
        writer.write(b"hello")
        assert await peer.readexactly(5) == b"hello"
        for each in (writer, answers):
            each.close()
            await each.wait_closed()

    run(main(), host=two.a)


def test_a_deadlock_tells_of_coroutines(two: Two) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(never(), name="inner")
        await task

    with pytest.raises(sim.Deadlock) as caught:
        sim.run(main(), net=two.net)
    assert "await asyncio.Event().wait()" in caught.value.stacks["inner (asyncio)"]
    assert any("await task" in stack for stack in caught.value.stacks.values())
    assert "sim.run(main(), net=two.net)" in caught.value.stacks["main"]


def test_a_loop_that_turns_round_lets_others_run(two: Two) -> None:
    done: list[bool] = []

    async def main() -> None:
        while not done:
            await asyncio.sleep(0)

    def work() -> None:
        two.net.sleep(0.001)
        done.append(True)

    task = two.net.spawn(work)
    sim.run(main(), net=two.net)
    task.result()
    assert two.net.now == pytest.approx(0.001, abs=1e-3)


def test_signals(two: Two) -> None:
    async def main() -> None:
        loop, caught = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, caught.set)
        loop.call_later(5, os.kill, os.getpid(), signal.SIGUSR1)
        keep = loop.call_later(1000, caught.set)
        await caught.wait()
        keep.cancel()
        assert loop.remove_signal_handler(signal.SIGUSR1)
        assert loop.time() == pytest.approx(5, abs=1)
        with pytest.raises(TypeError):
            loop.add_signal_handler(signal.SIGUSR1, main)

    sim.run(main(), net=two.net)


def test_which_network(two: Two) -> None:
    async def now() -> float:
        return asyncio.get_running_loop().time()

    assert sim.run(now()) == 0  # the only one
    with sim.Network() as other:
        with pytest.raises(ValueError, match="which network"):
            sim.run(now())
        with pytest.raises(ValueError, match="is not of"):
            sim.run(now(), net=other, host=two.a)
        with sim.patch_time(other):
            other.sleep(3)
            assert sim.run(now()) == 3
        with pytest.raises(ZeroDivisionError):
            sim.run(fails(), net=other)


def test_a_loop_that_knows_nothing_of_the_network(two: Two) -> None:
    with pytest.raises(RuntimeError, match="usertcp.sim.run"):
        asyncio.run(two.a.open_connection("b", 7))
    with pytest.raises(RuntimeError, match="usertcp.sim.run"):
        asyncio.run(two.a.start_server(echo))


async def fails() -> None:
    raise ZeroDivisionError
