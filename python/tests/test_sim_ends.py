"""Ctrl-C while a network waits, and the end of a program that has one."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time

import pytest
from conftest import DEADLINE, begun, outcome

SIMULATED = """
import asyncio, queue, select, signal, socket, sys, threading, time
import usertcp.sim
signal.signal(signal.SIGINT, signal.default_int_handler)
over = False
net = usertcp.sim.Network(seed=1)
near, far = net.host("near"), net.host("far")
net.link(near, far, delay=0.01)
listener = far.create_server(("", 80))
client = near.create_connection(("far", 80))
server, _ = listener.accept()

def compute():
    net.sleep(1)
    print("waiting", flush=True)
    while not over:
        pass

def patched(wait):
    with near.patch():
        wait()

computing, sleeping = net.spawn(compute), net.spawn(net.sleep, 1000)
"""
"""A network where a task computes from the first second on."""


@pytest.mark.parametrize(
    "call",
    [
        "server.recv(1)",
        "server.recv_into(bytearray(1))",
        "listener.accept()",
        "usertcp.poll([(server, select.POLLIN)])",
        "computing.join()",
        "computing.result()",
        "net.sleep(10)",
        "net.run_for(10)",
        "patched(lambda: time.sleep(10))",
        "patched(lambda: select.select([server], [], []))",
        "patched(lambda: threading.Event().wait())",
        "patched(lambda: queue.Queue().get())",
    ],
)
def test_ctrl_c_interrupts_a_simulated_wait(call: str) -> None:
    """It lasts as long as another task computes without waiting."""
    process = begun(
        SIMULATED,
        f"""
        try:
            {call}
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        over = True
        computing.join()
        client.sendall(b"x")
        assert server.recv(1) == b"x" and 1 < net.now < 2
        net.close()
        """,
    )
    assert process.stdout
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    code, output, errors = outcome(process)
    assert code == 0, errors
    assert output == "interrupted\n"


def test_ctrl_c_ends_the_event_loop_of_a_network() -> None:
    """The first cancels, as asyncio has it, which has to wait for the task that computes; the second does not wait."""
    process = begun(
        SIMULATED,
        """
        try:
            usertcp.sim.run(asyncio.sleep(10), net=net)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        over = True
        net.close()
        """,
    )
    assert process.stdout
    assert process.stdout.readline() == "waiting\n"
    end = time.monotonic() + DEADLINE
    with process:
        while process.poll() is None and time.monotonic() < end:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
        assert (process.returncode, process.stdout.read()) == (0, "interrupted\n")


@pytest.mark.parametrize(
    "task",
    [
        "net.spawn(net.sleep, 1000)",
        "net.spawn(server.recv, 1)",
        "net.spawn(listener.accept)",
        "net.spawn(usertcp.poll, [(server, select.POLLIN)])",
        "net.spawn(time.sleep, 1000, host=near)",
        "net.spawn(threading.Event().wait, host=near)",
        "patched(lambda: threading.Thread(target=time.sleep, args=(1000,)).start())",
        "patched(lambda: threading.Thread(target=queue.Queue().get, daemon=True).start())",
        "net.spawn(lambda: usertcp.sim.run(asyncio.sleep(1000), net=net))",
        "net.spawn(net.spawn(net.sleep, 1000).join)",
        "server.close() or client.close()",
    ],
)
def test_the_interpreter_ends_with_an_open_network_and_sleeping_tasks(task: str) -> None:
    process = begun(SIMULATED, f"over = True\n{task}\nnet.run_for(10)\nprint('done')")
    code, output, errors = outcome(process)
    assert (code, output.splitlines(), errors) == (0, ["waiting", "done"], "")
