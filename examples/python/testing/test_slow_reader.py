"""What does a reader who does not read cost the others?

The kernel's buffers on loopback hide that for megabytes. Here buffers, rates and time are what the test says.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from usertcp import sim

PORT = 7000
TICK = b"x" * 10_000


class Ticker:
    """The code under test: sends the same news to every subscriber, ten times a second.

    News for a subscriber wait in a queue; one who is `BEHIND` items behind is cut off, so that nobody costs more memory than that.
    """

    BEHIND = 20

    def __init__(self) -> None:
        self.queues: dict[asyncio.StreamWriter, asyncio.Queue[bytes | None]] = {}
        self.cut_off = 0

    async def subscriber(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one subscriber."""
        queue = self.queues[writer] = asyncio.Queue(self.BEHIND)
        try:
            while (item := await queue.get()) is not None:
                writer.write(item)
                await writer.drain()
        except OSError:
            pass
        finally:
            self.queues.pop(writer, None)
            writer.close()

    def publish(self, item: bytes) -> None:
        """Queues an item for everybody."""
        for writer, queue in list(self.queues.items()):
            try:
                queue.put_nowait(item)
            except asyncio.QueueFull:
                self.cut_off += 1
                del self.queues[writer]
                writer.transport.abort()

    def close(self) -> None:
        """The end of the news."""
        for queue in self.queues.values():
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    async def run(self) -> None:
        """Publishes for ever."""
        while True:
            self.publish(TICK)
            await asyncio.sleep(0.1)


@asynccontextmanager
async def ticking(host: sim.Host) -> AsyncIterator[Ticker]:
    """A ticker at work on a host."""
    ticker = Ticker()
    async with await host.start_server(ticker.subscriber, port=PORT):
        task = asyncio.create_task(ticker.run())
        yield ticker
        task.cancel()
        ticker.close()
        await asyncio.sleep(60)  # of the network's time: everybody has seen the end


async def read_for(seconds: float, reader: asyncio.StreamReader, *, pause: float = 0.0) -> int:
    """How many bytes come in so many seconds, with a pause before each item."""
    count, loop = 0, asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        await asyncio.sleep(pause)
        count += len(await reader.readexactly(len(TICK)))
    return count


async def test_who_reads_gets_everything(usertcp_net: sim.Network) -> None:
    server, fast = usertcp_net.host("server"), usertcp_net.host("fast")
    usertcp_net.link(fast, server, rate=10e6, delay=0.02)
    async with ticking(server) as ticker:
        reader, writer = await fast.open_connection("server", PORT)
        assert await read_for(60, reader) == pytest.approx(600 * len(TICK), rel=0.02)
        writer.close()
    assert ticker.cut_off == 0


async def test_who_does_not_read_is_cut_off_and_costs_the_others_nothing(usertcp_net: sim.Network) -> None:
    server = usertcp_net.host("server")
    fast, stuck = usertcp_net.host("fast"), usertcp_net.host("stuck", config={"buffers.receive": 65536})
    for host in (fast, stuck):
        usertcp_net.link(host, server, rate=10e6, delay=0.02)
    async with ticking(server) as ticker:
        reader, writer = await fast.open_connection("server", PORT)
        _, idle = await stuck.open_connection("server", PORT)
        assert await read_for(120, reader) == pytest.approx(1200 * len(TICK), rel=0.02)
        assert ticker.cut_off == 1
        assert len(ticker.queues) == 1
        writer.close()
        idle.close()


async def test_a_thin_link_is_no_reason_to_be_cut_off_for_a_short_burst(usertcp_net: sim.Network) -> None:
    server, thin = usertcp_net.host("server"), usertcp_net.host("thin")
    link = usertcp_net.link(thin, server, rate=10e6, delay=0.02)
    async with ticking(server) as ticker:
        reader, writer = await thin.open_connection("server", PORT)
        await read_for(10, reader)
        link.cut()
        await asyncio.sleep(1.5)
        link.heal()
        assert await read_for(60, reader) >= 600 * len(TICK)
        writer.close()
    assert ticker.cut_off == 0
