"""Against the kernel's own sockets and the standard library's programs, over a TUN in a sandbox."""

from __future__ import annotations

import http.client
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import usertcp
from conftest import DEADLINE, FAR, NEAR, V4, Family, Task, drain, fill, kernel_socket

SIZE = 16 << 20


def text(size: int = SIZE) -> bytes:
    return random.Random(size).randbytes(size)


def exchange(ours: usertcp.Socket, theirs: socket.socket) -> None:
    """Both directions at once, compared."""
    one, other = text(), text(SIZE + 1)
    with ours, theirs:
        ours.settimeout(DEADLINE)
        sent = [Task(fill, ours, one), Task(fill, theirs, other)]
        got = [Task(drain, theirs), Task(drain, ours)]
        assert [task.answer() for task in got] == [task.answer() for task in sent]


def test_a_client_of_the_stack(sandbox: usertcp.Sandbox, stack: usertcp.Stack, family: Family) -> None:
    with kernel_socket(sandbox, family) as listener:
        listener.bind((family.near, 0))
        listener.listen()
        ours = stack.create_connection(listener.getsockname()[:2], timeout=DEADLINE)
        theirs, address = listener.accept()
        assert address[:2] == ours.getsockname()[:2]
        exchange(ours, theirs)


def test_a_server_of_the_stack(sandbox: usertcp.Sandbox, stack: usertcp.Stack, family: Family) -> None:
    with stack.create_server((family.far, 0)) as listener:
        listener.settimeout(DEADLINE)
        theirs = kernel_socket(sandbox, family)
        theirs.connect(listener.getsockname()[:2])
        ours, address = listener.accept()
        assert address[:2] == theirs.getsockname()[:2]
        exchange(ours, theirs)


@pytest.mark.usefixtures("granted")
@pytest.mark.parametrize("workers", [2, 4])
def test_several_workers_are_one_stack(family: Family, workers: int) -> None:
    with (
        usertcp.Sandbox(host_addresses=NEAR, queues=workers) as box,
        box.stack(addresses=FAR) as stack,
        stack.create_server((family.far, 0)) as listener,
    ):
        listener.settimeout(DEADLINE)
        pairs = []
        for _ in range(12):
            theirs = kernel_socket(box, family)
            theirs.connect(listener.getsockname()[:2])
            pairs.append((listener.accept()[0], theirs))
        for number, (ours, theirs) in enumerate(pairs):
            data = text(10_000 + number)
            with ours, theirs:
                ours.settimeout(DEADLINE)
                task = Task(fill, theirs, data)
                assert drain(ours) == task.answer()
        assert stack.counters()["packets_forwarded"] > 0
        assert stack.counters()["drop_worker_queue"] == 0


def test_workers_need_a_queue_each(sandbox: usertcp.Sandbox) -> None:
    fd = sandbox.tun()
    try:
        with pytest.raises(OSError, match="IFF_MULTI_QUEUE|queues"):
            usertcp.Stack(fd=fd, workers=2, addresses=FAR)
    finally:
        os.close(fd)


@pytest.mark.parametrize("wanted", [True, False])
def test_selective_acknowledgement_is_a_setting(sandbox: usertcp.Sandbox, wanted: bool) -> None:
    selective = 2
    with sandbox.stack(addresses=FAR, config={"tcp.sack": wanted}) as stack, kernel_socket(sandbox, V4) as listener:
        listener.bind((V4.near, 0))
        listener.listen()
        with stack.create_connection(listener.getsockname(), timeout=DEADLINE) as ours:
            theirs, _ = listener.accept()
            with theirs:
                options = theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5]
                assert options & selective == ours.tcp_info().options & selective == (selective if wanted else 0)
                # A slow machine may be late for a tail loss probe, which the kernel then reports.
                assert ours.tcp_info().dsack_dups <= stack.counters()["tcp_tail_probes"]


def test_a_refusal_of_the_kernel(stack: usertcp.Stack, family: Family) -> None:
    with pytest.raises(ConnectionRefusedError):
        stack.create_connection((family.near, 9), timeout=DEADLINE)


def test_eight_clients_of_the_kernel_at_once(
    sandbox: usertcp.Sandbox, stack: usertcp.Stack, family: Family
) -> None:
    data = text(1 << 20)

    def echo(sock: usertcp.Socket) -> None:
        with sock:
            while piece := sock.recv(65536):
                sock.sendall(piece)

    def client(address: Any) -> bool:
        with kernel_socket(sandbox, family) as sock:
            sock.connect(address)
            sender = Task(fill, sock, data)
            digest = drain(sock)
            return bool(digest == sender.answer())

    with stack.create_server((family.far, 0), backlog=8) as listener:
        listener.settimeout(DEADLINE)
        clients = [Task(client, listener.getsockname()[:2]) for _ in range(8)]
        echoes = [Task(echo, listener.accept()[0]) for _ in range(8)]
        assert all(task.answer() for task in clients)
        for task in echoes:
            task.answer()


@pytest.fixture
def web(sandbox: usertcp.Sandbox, family: Family, tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A real web server on the kernel's side, with one file; its address."""
    (tmp_path / "file").write_bytes(text())
    command = ["-u", "-m", "http.server", "--bind", family.near, "-p", "HTTP/1.1", "-d", str(tmp_path), "0"]
    pipe = subprocess.PIPE
    with sandbox.spawn([sys.executable, *command], stdout=pipe, stderr=subprocess.DEVNULL) as child:
        assert child.stdout
        line = child.stdout.readline().decode()
        assert line.startswith("Serving HTTP on"), line
        yield family.near, int(line.split(" port ")[1].split()[0])


def test_http_client_runs_unmodified(stack: usertcp.Stack, web: tuple[str, int]) -> None:
    """By its hook for making connections, and then over the same connection again."""
    connection = http.client.HTTPConnection(*web, timeout=DEADLINE)
    connection._create_connection = stack.create_connection  # type: ignore[attr-defined]
    for _ in range(2):
        connection.request("GET", "/file")
        with connection.getresponse() as response:
            assert response.status == 200
            assert response.read() == text()
    assert isinstance(connection.sock, usertcp.Socket)
    connection.close()


def test_http_client_takes_a_socket(stack: usertcp.Stack, web: tuple[str, int]) -> None:
    connection = http.client.HTTPConnection(*web)
    connection.sock = stack.create_connection(web, timeout=DEADLINE)
    connection.request("GET", "/none", headers={"Connection": "close"})
    response = connection.getresponse()
    assert response.status == 404
    response.read()
    connection.close()


ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "python"


def test_the_readme_works_as_it_stands(granted: None) -> None:
    text = (ROOT / "python" / "README.md").read_text()
    program = text.split("```python\n")[2].split("```")[0]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("192.0.2.1 b'hello'\n", "")


def test_the_readme_looks_on_and_steers(granted: None, tmp_path: Path) -> None:
    text = (ROOT / "python" / "README.md").read_text().partition("## Looking on")[2]
    program = text.split("```python\n")[1].split("```")[0]
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("b'reno' ('192.0.2.1', 80)\n", "")
    assert '"trigger":"data"' in (tmp_path / "one.qlog").read_text()


def test_the_example_downloads(sandbox: usertcp.Sandbox, web: tuple[str, int], tmp_path: Path) -> None:
    host = f"[{web[0]}]" if ":" in web[0] else web[0]
    fd, copy = sandbox.tun(), tmp_path / "copy"
    command: list[str | Path] = [sys.executable, EXAMPLES / "get.py", "--fd", str(fd), "-o", copy]
    for address in FAR:
        command += ["--address", address]
    command.append(f"http://{host}:{web[1]}/file")
    try:
        done = subprocess.run(command, pass_fds=[fd], capture_output=True, text=True, timeout=60)
    finally:
        os.close(fd)
    assert done.returncode == 0, done.stderr
    assert copy.read_bytes() == text()
    told = dict(word.split("=") for word in done.stdout.split())
    assert int(told["bytes"]) == SIZE
    assert float(told["seconds"]) > 0
    assert int(told["retransmits"]) >= 0


@pytest.mark.parametrize("program", ["echo_server.py", "asyncio_echo.py"])
def test_the_example_echoes(sandbox: usertcp.Sandbox, family: Family, program: str) -> None:
    fd = sandbox.tun()
    command: list[str | Path] = [
        sys.executable,
        "-u",
        EXAMPLES / program,
        "--fd",
        str(fd),
        "--port",
        "7",
    ]
    for address in FAR:
        command += ["--address", address]
    try:
        process = subprocess.Popen(command, pass_fds=[fd], stdout=subprocess.PIPE, text=True)
    finally:
        os.close(fd)
    with process:
        assert process.stdout
        assert "listening" in process.stdout.readline()
        data = text(1 << 20)
        for _ in range(2):
            with kernel_socket(sandbox, family) as sock:
                sock.connect((family.far, 7))
                sender = Task(fill, sock, data)
                assert drain(sock) == sender.answer()
        process.terminate()
        assert process.wait(DEADLINE) == 0


BY_NAME = """
import socket, sys, usertcp
with usertcp.Stack(
    tun="ours%d",
    addresses=["198.51.100.2/24", "2001:db8:1::2/64"],
    host_addresses=["198.51.100.1/24", "2001:db8:1::1/64"],
    offload=sys.argv[1],
    mtu=1400,
) as stack:
    assert stack.device_name == "ours0", stack.device_name
    assert stack.offloaded is (sys.argv[1] != "off")
    for host in ("198.51.100.2", "2001:db8:1::2"):
        with stack.create_server((host, 7)) as listener:
            with socket.create_connection((host, 7), timeout=20) as theirs:
                ours, _ = listener.accept()
                with ours:
                    theirs.sendall(b"over a device by name")
                    assert ours.recv(100) == b"over a device by name"
"""


@pytest.mark.parametrize("offload", ["auto", "off", "required"])
def test_a_device_by_name(granted: None, offload: str) -> None:
    """In a sandbox, where the program may make devices."""
    with usertcp.Sandbox() as sandbox:
        argv = [sys.executable, "-c", BY_NAME, offload]
        with sandbox.spawn(argv, stderr=subprocess.PIPE) as child:
            code = child.wait(DEADLINE)
            assert child.stderr
            assert (code, child.stderr.read()) == (0, b"")


def test_children_of_the_sandbox(granted: None, tmp_path: Path) -> None:
    with usertcp.Sandbox(host_addresses=NEAR) as sandbox:
        pipe = subprocess.PIPE
        with sandbox.spawn([sys.executable, "-c", "print(input() * 2)"], stdin=pipe, stdout=pipe) as child:
            assert child.stdin and child.stdout
            child.stdin.write(b"ab\n")
            assert child.stdout.read() == b"abab\n"
            assert child.wait(DEADLINE) == 0
        with sandbox.spawn(["/bin/sh", "-c", 'exit "$CODE"'], env={"CODE": "7"}) as child:
            assert child.wait(DEADLINE) == 7
            assert (child.poll(), child.returncode) == (7, 7)
        with sandbox.spawn(["/bin/sleep", "60"]) as child:
            assert child.poll() is None
            with pytest.raises(TimeoutError):
                child.wait(0.01)
            child.terminate()
            assert child.wait(DEADLINE) == 128 + 15
            child.kill()
        with (tmp_path / "out").open("wb") as file:
            command = ["/bin/sh", "-c", "echo one; echo two >&2"]
            with sandbox.spawn(command, stdout=file, stderr=subprocess.STDOUT) as child:
                assert child.wait(DEADLINE) == 0
        assert (tmp_path / "out").read_bytes() == b"one\ntwo\n"


def test_a_closed_sandbox_says_so(granted: None) -> None:
    sandbox = usertcp.Sandbox(host_addresses=NEAR)
    sandbox.close()
    sandbox.close()
    with pytest.raises(ValueError, match="closed"):
        sandbox.tun()


def test_the_kernels_sockets_are_plain_sockets(sandbox: usertcp.Sandbox) -> None:
    with sandbox.socket(type=socket.SOCK_DGRAM) as sock:
        assert type(sock) is socket.socket
        assert not sock.get_inheritable()
        sock.bind((V4.near, 0))
