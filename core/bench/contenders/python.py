#!/usr/bin/env python3
"""The contenders of `make bench` that are Python: docs/PERFORMANCE.md says what a contender finds and does.

who=ours-python     blocking sockets of the module usertcp
who=ours-asyncio    asyncio's streams over this stack
who=kernel-asyncio  asyncio's streams over sockets of Linux, in the peer's namespace

Where the contender has both ends (link=socketpair, link=simulated) alone.py has the measure.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import sys
import time

import alone

BUFFER = 64 << 10
LIMIT = 1 << 20
PEER = "198.51.100.254"
PORT = 5001
OWN = [f"198.51.100.{host}" for host in range(1, 33)]
LOOK = 0.01


class Order:
    """What to do, from words of the form name=value."""

    def __init__(self, words: list[str]) -> None:
        values = dict(word.split("=", 1) for word in words)
        self.who = values.get("who", "ours-python")
        self.role = values.get("role", "receive")
        self.mtu = int(values.get("mtu", 1500))
        self.warm = int(values.get("warm", 0)) * 1_000_000
        self.window = int(values.get("window", 0)) * 1_000_000
        self.caller = {int(values["caller"])} if "caller" in values else None
        roles = ("receive", "send", "echo", "churn") if self.who == "ours-python" else ("receive", "send", "echo")
        if self.role not in roles or values.get("connections", "1") != "1":
            raise SystemExit(f"{self.who}: one connection, and one of {roles}")


class Tally:
    """Bytes that came within the window, which begins a while after it is made."""

    def __init__(self, order: Order) -> None:
        self.begins = time.monotonic_ns() + order.warm
        self.ends = self.begins + order.window
        self.begun = 0
        self.over = False
        self.bytes = 0

    def add(self, count: int) -> None:
        """Counts, and says where the window begins and ends."""
        if self.over:
            return
        now = time.monotonic_ns()
        if self.begun:
            self.bytes += count
            if now >= self.ends:
                say(f"end {now - self.begun} {self.bytes}")
                self.over = True
        elif now >= self.begins:
            self.begun, self.ends = now, now + self.ends - self.begins
            say("begin")


def say(line: str) -> None:
    print(line, flush=True)


def stack_on_input(order: Order):
    import usertcp  # Linux has no use for it.

    stack = usertcp.Stack(fd=0, mtu=order.mtu, addresses=[f"{host}/24" for host in OWN])
    if order.caller:
        os.sched_setaffinity(0, order.caller)  # The thread that calls; the stack's stays where it was opened.
    return stack


def churn(order: Order) -> None:
    """Opens, sends a byte, receives a byte, closes."""
    with stack_on_input(order) as stack:
        say("open")
        for host in itertools.cycle(OWN):
            with stack.create_connection((PEER, PORT), source_address=(host, 0)) as sock:
                sock.sendall(b"\xa5")
                sock.recv(1)


def blocking(order: Order) -> None:
    """Loops over a blocking socket."""
    buffer = bytearray(BUFFER)
    with stack_on_input(order) as stack, stack.create_connection((PEER, PORT)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        say("open")
        if order.role == "receive":
            tally = Tally(order)
            sock.settimeout(LOOK)
            while True:
                count = 0
                with contextlib.suppress(TimeoutError):
                    count = sock.recv_into(buffer) or stop(order)
                tally.add(count)
        while order.role == "send":
            sock.sendall(buffer)
        view = memoryview(buffer)
        while count := sock.recv_into(buffer):
            sock.sendall(view[:count])
        stop(order)


async def streams(order: Order) -> None:
    """The same by asyncio's streams."""
    with contextlib.ExitStack() as held:
        if order.who == "kernel-asyncio":
            sock = socket.socket()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, (PEER, PORT))
            reader, writer = await asyncio.open_connection(sock=sock, limit=LIMIT)
        else:
            stack = held.enter_context(stack_on_input(order))
            reader, writer = await stack.open_connection(PEER, PORT, limit=LIMIT)
        say("open")
        if order.role == "receive":
            tally = Tally(order)
            while True:
                tally.add(len(await reader.read(BUFFER)) or stop(order))
        data = bytes(BUFFER)
        while order.role == "send":
            writer.write(data)
            await writer.drain()
        while some := await reader.read(BUFFER):
            writer.write(some)
            await writer.drain()
        stop(order)


def stop(order: Order) -> int:
    raise SystemExit(f"{order.who}: the connection has ended")


def main() -> None:
    words = dict(word.split("=", 1) for word in sys.argv[1:])
    if "link" in words:
        return alone.run(words["link"], words)
    order = Order(sys.argv[1:])
    if order.role == "churn":
        churn(order)
    elif order.who == "ours-python":
        blocking(order)
    else:
        asyncio.run(streams(order))


main()
