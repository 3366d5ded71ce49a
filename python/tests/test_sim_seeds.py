"""A run is the same for a seed: every packet and every event, over a hundred seeds."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import DEADLINE
from usertcp import sim

SEEDS = 100

FEW = 5
"""Seeds that other processes run as well."""

Scenario = Callable[[sim.Network, sim.Host, sim.Host], Any]


def recorded(folder: Path, seed: int, scenario: Scenario) -> dict[str, bytes]:
    """Runs a scenario: traces, captures and what it says."""
    folder.mkdir()
    with sim.Network(seed=seed) as net:
        hosts = [
            net.host(name, trace=folder / f"{name}.qlog", pcap=folder / f"{name}.pcapng") for name in ("a", "b")
        ]
        net.link(*hosts, rate=20e6, delay=0.01, jitter=0.005, loss=0.05, duplicate=0.03, reorder=0.05)
        said = scenario(net, *hosts)
        end = net._raw.now()
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    assert all(files.values())
    return {**files, "said": repr((said, end)).encode()}


def tasks(net: sim.Network, a: sim.Host, b: sim.Host) -> list[int]:
    """Three clients and a server that has a thread for each."""

    def answer(connection: Any) -> None:
        with connection:
            while data := connection.recv(4096):
                connection.sendall(data)

    def serve() -> None:
        with b.create_server(("", 7)) as listener:
            for _ in range(3):
                net.spawn(answer, listener.accept()[0])

    def ask(number: int) -> int:
        with a.create_connection(("b", 7), timeout=100) as connection:
            connection.sendall(bytes(5000 * number))
            left = 5000 * number
            while left:
                left -= len(connection.recv(left))
            return net._raw.now()

    net.spawn(serve)
    clients = [net.spawn(ask, number) for number in (1, 2, 3)]
    return [task.result() for task in clients]


def streams(net: sim.Network, a: sim.Host, b: sim.Host) -> list[float]:
    """The same in an event loop."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def ask(number: int) -> float:
        reader, writer = await a.open_connection("b", 7)
        writer.write(bytes(5000 * number))
        await reader.readexactly(5000 * number)
        writer.close()
        await writer.wait_closed()
        return asyncio.get_running_loop().time()

    async def main() -> list[float]:
        async with await b.start_server(answer, "", 7):
            times = await asyncio.gather(*(ask(number) for number in (1, 2, 3)))
            await asyncio.sleep(100)  # the server hears of the ends
            return times

    return sim.run(main(), net=net)


def web(net: sim.Network, a: sim.Host, b: sim.Host) -> list[float]:
    """A web server of the standard library with threads, and a client."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(bytes(10000))

        def log_message(self, *arguments: Any) -> None:
            """Says nothing."""

    with b.patch():
        server = ThreadingHTTPServer(("", 80), Page)
        threading.Thread(target=server.serve_forever).start()
    times = []
    with a.patch():
        for _ in range(2):
            with urllib.request.urlopen("http://b/", timeout=100) as answer:
                assert len(answer.read()) == 10000
            times.append(time.time())
    with b.patch():
        server.shutdown()
        server.server_close()
    return times


def cancelled(net: sim.Network, a: sim.Host, b: sim.Host) -> float:
    """Many clients that are cut off together, each with a last word: asyncio cancels them in the order of a set."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def ask() -> None:
        _, writer = await a.open_connection("b", 7)
        try:
            await asyncio.sleep(100)
        finally:
            writer.write(b"goodbye")
            writer.close()

    async def main() -> float:
        async with await b.start_server(answer, "", 7):
            with contextlib.suppress(BaseExceptionGroup):
                async with asyncio.TaskGroup() as group:
                    for _ in range(8):
                        group.create_task(ask())
                    await asyncio.sleep(5)
                    raise KeyError
            await asyncio.sleep(100)
            return asyncio.get_running_loop().time()

    return sim.run(main(), net=net)


SCENARIOS = {scenario.__name__: scenario for scenario in (tasks, streams, cancelled, web)}


@pytest.mark.parametrize("scenario", SCENARIOS.values())
def test_a_seed_gives_the_same_run(tmp_path: Path, scenario: Scenario) -> None:
    runs = []
    for seed in range(SEEDS if scenario is tasks else SEEDS // 5):
        one, other = (recorded(tmp_path / f"{seed}-{again}", seed, scenario) for again in range(2))
        assert one.keys() == other.keys()
        for name in one:
            assert one[name] == other[name], f"seed {seed}: {name} differs"
        runs.append(one)
    assert len({run["a.pcapng"] for run in runs}) == len(runs), "the seed has no say"


def digests(folder: Path) -> dict[str, str]:
    """What becomes of a few seeds of each scenario."""
    return {
        f"{title} {seed} {name}": hashlib.sha256(data).hexdigest()
        for title, scenario in SCENARIOS.items()
        for seed in range(FEW)
        for name, data in recorded(folder / f"{title}-{seed}", seed, scenario).items()
    }


def test_a_seed_gives_the_same_run_in_another_process(tmp_path: Path) -> None:
    """Whatever the order of its sets, and wherever its objects are."""
    program = "import json, pathlib, sys, test_sim_seeds as t; print(json.dumps(t.digests(pathlib.Path(sys.argv[1]))))"
    runs = []
    for hashes in ("0", "12345"):
        (folder := tmp_path / hashes).mkdir()
        paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        done = subprocess.run(
            [sys.executable, "-c", program, folder],
            env={**os.environ, "PYTHONHASHSEED": hashes, "PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            timeout=3 * DEADLINE,
            check=True,
        )
        runs.append(json.loads(done.stdout))
    assert runs[0].keys() == runs[1].keys() and len(runs[0]) >= 5 * FEW * len(SCENARIOS)
    assert [name for name in runs[0] if runs[0][name] != runs[1][name]] == []
