"""Measures in which a contender has both ends: over a pair of connected sockets, and on a virtual network."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Callable

BUFFER = 64 << 10
RECEIVER = "198.51.100.1"
SENDER = "198.51.100.2"
PORT = 5001
LONGEST = 60
# linux/prctl.h
PR_SET_PDEATHSIG = 1


class Window:
    """Counts bytes within the window, which begins a while after it is made, and says so."""

    def __init__(self, words: dict[str, str]) -> None:
        self.begins = time.monotonic_ns() + int(words["warm"]) * 1_000_000
        self.length = int(words["window"]) * 1_000_000
        self.begun = 0
        self.bytes = 0

    def is_over(self, count: int) -> bool:
        """Counts; true once the end of it has been said."""
        now = time.monotonic_ns()
        if not self.begun:
            if now >= self.begins:
                self.begun = now
                print("begin", flush=True)
            return False
        self.bytes += count
        if now - self.begun < self.length:
            return False
        print(f"end {now - self.begun} {self.bytes}", flush=True)
        return True


def two_processes(receive: Callable[[int], None], send: Callable[[int], None]) -> None:
    """Runs `receive` here and `send` in a child, each with the descriptor of its end of a pair of sockets."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent, child = os.getpid(), os.fork()
    # Neither outlives a measure.
    signal.alarm(LONGEST)
    if not child:
        # Whoever measures kills the parent, which then kills nobody.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            return
        ends[0].close()
        send(ends[1].fileno())
        return
    ends[1].close()
    try:
        receive(ends[0].fileno())
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def socketpair(words: dict[str, str]) -> None:
    """Two stacks, one in each process."""
    import usertcp

    def receive(fd: int) -> None:
        with usertcp.Stack(fd=fd, addresses=[f"{RECEIVER}/24"]) as stack, stack.create_server(("", PORT)) as server:
            sock, _ = server.accept()
            with sock:
                buffer = bytearray(BUFFER)
                window = Window(words)
                while not window.is_over(sock.recv_into(buffer)):
                    pass

    def send(fd: int) -> None:
        with usertcp.Stack(fd=fd, addresses=[f"{SENDER}/24"]) as stack:
            sock = connected(lambda: stack.create_connection((RECEIVER, PORT)))
            data = bytes(BUFFER)
            while True:
                sock.sendall(data)

    two_processes(receive, send)


def connected(connect: Callable[[], socket.socket]) -> socket.socket:
    """Tries until the other side listens."""
    while True:
        try:
            return connect()
        except ConnectionRefusedError:
            time.sleep(0.01)


def simulated(words: dict[str, str]) -> None:
    """Two hosts of a virtual network, joined by a link that does nothing to packets."""
    from usertcp import sim

    if words["role"] == "time-out":
        return timed_out()
    with sim.Network(seed=1) as network:
        receiver, sender = network.host("receiver"), network.host("sender")
        network.link(receiver, sender)
        server = receiver.create_server(("", PORT))
        address = server.getsockname()[1]

        def send() -> None:
            data = bytes(BUFFER)
            with sender.create_connection(("receiver", address)) as sock:
                while True:
                    sock.sendall(data)

        network.spawn(send)
        sock, _ = server.accept()
        buffer = bytearray(BUFFER)
        window = Window(words)
        while not window.is_over(sock.recv_into(buffer)):
            pass
        os._exit(0)


def timed_out() -> None:
    """A network from its making to its end, with a read between them that ends after 30 s of its time."""
    from usertcp import sim

    print("begin", flush=True)
    begun = time.monotonic_ns()
    with sim.Network(seed=1) as network:
        receiver, sender = network.host("receiver"), network.host("sender")
        network.link(receiver, sender)
        with receiver.create_server(("", PORT)), sender.create_connection(("receiver", PORT), timeout=30) as sock:
            with contextlib.suppress(TimeoutError):
                sock.recv(1)
            waited = network.now
    took = time.monotonic_ns() - begun
    if waited < 30:
        raise SystemExit("the read has not timed out")
    print(f"end {took} 1", flush=True)


def run(link: str, words: dict[str, str]) -> None:
    """The measure over this link."""
    if words["role"] not in ("receive", "time-out"):
        raise SystemExit(f"{words['role']}: no part in that on {link}")
    {"socketpair": socketpair, "simulated": simulated}[link](words)
    sys.stdout.flush()
