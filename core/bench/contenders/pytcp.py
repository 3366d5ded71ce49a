#!/usr/bin/env python3
"""PyTCP, a TCP/IP stack that is all Python, as a contender of `make bench`: one of it in each of two processes."""

from __future__ import annotations

import asyncio
import sys

import alone
from pmd_net_addr import Ip4IfAddr
from pmd_pytcp import socket, stack
from pmd_pytcp.lib.interface_layer import InterfaceLayer

# It takes whatever it is given to send, and stops working with too much of it.
QUEUED = 256 << 10
LOOK = 0.001
# It has its addresses only some time after it has started.
SETTLES = 0.5


async def opened(fd: int, address: str):
    """The stack on `fd`, and a socket."""
    host = Ip4IfAddr(f"{address}/24")
    stack.init(fd=fd, layer=InterfaceLayer.L3, mtu=1500, ip4_host=host, ip6_support=False)
    await stack.start()
    await asyncio.sleep(SETTLES)
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


async def receive(fd: int, words: dict[str, str]) -> None:
    server = await opened(fd, alone.RECEIVER)
    server.bind((alone.RECEIVER, alone.PORT))
    server.listen(backlog=1)
    sock, _ = await server.accept()
    window = alone.Window(words)
    while not window.is_over(len(await sock.recv(alone.BUFFER))):
        pass


async def send(fd: int) -> None:
    sock = await opened(fd, alone.SENDER)
    await asyncio.sleep(SETTLES)
    await sock.connect((alone.RECEIVER, alone.PORT))
    data = bytes(alone.BUFFER)
    while True:
        await sock.send(data)
        while len(sock.tcp_session._tx.buffer) > QUEUED:
            await asyncio.sleep(LOOK)


def main() -> None:
    words = dict(word.split("=", 1) for word in sys.argv[1:])
    if words.get("link") != "socketpair":
        raise SystemExit("pytcp: over a pair of sockets only")
    alone.two_processes(lambda fd: asyncio.run(receive(fd, words)), lambda fd: asyncio.run(send(fd)))


main()
