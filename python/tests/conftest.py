"""What the tests share: two stacks joined back to back, and a sandbox with the kernel on the other side."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import os
import re
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
import trustme
import usertcp

DEADLINE = 20.0
"""Seconds after which a test gives up; nothing waits that long when it works."""


class Family(NamedTuple):
    """The addresses of one family on the links of the tests."""

    number: int
    near: str
    far: str


V4 = Family(socket.AF_INET, "192.0.2.1", "192.0.2.2")
V6 = Family(socket.AF_INET6, "2001:db8::1", "2001:db8::2")
NEAR = ["192.0.2.1/24", "2001:db8::1/64"]
FAR = ["192.0.2.2/24", "2001:db8::2/64"]


def built(program: str) -> Path | None:
    """A program of the repository, if cargo has built it."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).parents[2] / "target"))
    return next((path for kind in ("debug", "release") if (path := target / kind / program).exists()), None)


TRACECHECK = built("usertcp-tracecheck")
"""What judges captures."""


def captured(folder: Path, name: str) -> dict[str, Any]:
    """Settings of a stack whose packets are judged in the end."""
    return {"pcap": folder / f"{name}.judged"} if TRACECHECK else {}


def judge(folder: Path, *allowed: str) -> None:
    """Whatever the test was about, what the stacks sent keeps to the RFCs, but for kinds of violation that are `allowed`."""
    captures = [path for path in folder.glob("*.judged") if path.stat().st_size]
    if not captures:
        return
    # Programs may ask for keep-alives after a second, and let routers cut.
    allowed = ("keep-alive-too-soon", "may-fragment", *allowed)
    options = ["--capturing", "--slack", "500", *(word for kind in allowed for word in ("--allow", kind))]
    assert TRACECHECK
    done = subprocess.run([TRACECHECK, *options, *captures], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


class Back(NamedTuple):
    """Two stacks joined back to back: no device, no privilege."""

    near: usertcp.Stack
    far: usertcp.Stack


def joined(folder: Path | None = None, /, **settings: Any) -> Back:
    """Two stacks on the ends of a socket pair; `settings` go to both, captures to `folder`."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    own = [captured(folder, name) if folder else {} for name in ("near", "far")]
    near = usertcp.Stack(fd=left.detach(), addresses=NEAR, **own[0], **settings)
    return Back(near, usertcp.Stack(fd=right.detach(), addresses=FAR, **own[1], **settings))


class Task(threading.Thread):
    """A call on another thread, whose answer or exception `answer` gives back."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        super().__init__(daemon=True)
        self.call, self.arguments = call, arguments
        self.value: Any = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.value = self.call(*self.arguments)
        except BaseException as error:
            self.error = error

    def ended(self) -> BaseException | None:
        """Waits for the end; the exception, if there was one."""
        self.join(DEADLINE)
        assert not self.is_alive(), f"{self.call} still runs after {DEADLINE} seconds"
        return self.error

    def answer(self) -> Any:
        """Waits for the answer."""
        if (error := self.ended()) is not None:
            raise error
        return self.value


def asleep(process: int, thread: int) -> None:
    """Waits until a thread sleeps in the kernel, several looks in a row."""
    seen, end, pause = 0, time.monotonic() + DEADLINE, threading.Event()
    while seen < 10:
        assert time.monotonic() < end, "the thread never sleeps"
        with open(f"/proc/{process}/task/{thread}/stat") as file:
            state = file.read().rsplit(")", 1)[1].split()[0]
        seen = seen + 1 if state == "S" else 0
        pause.wait(0.002)


def works(process: int) -> None:
    """Waits until the main thread has had a tenth of a second of a CPU from now on."""
    first: int | None = None
    end, pause = time.monotonic() + DEADLINE, threading.Event()
    while True:
        assert time.monotonic() < end, "the thread sleeps"
        with open(f"/proc/{process}/task/{process}/stat") as file:
            user, system = file.read().rsplit(")", 1)[1].split()[11:13]
        ticks = int(user) + int(system)
        first = ticks if first is None else first
        if (ticks - first) * 10 >= os.sysconf("SC_CLK_TCK"):
            return
        pause.wait(0.002)


def blocked(task: Task) -> None:
    """Waits until the task sleeps in a call of a socket."""
    end, pause = time.monotonic() + DEADLINE, threading.Event()
    while not in_socket(task):
        assert time.monotonic() < end and task.is_alive(), "the task never entered the call"
        pause.wait(0.002)
    assert task.native_id
    asleep(os.getpid(), task.native_id)


def in_socket(task: Task) -> bool:
    """Whether the innermost Python frame of the task is one of a socket's methods, or a poll set's."""
    frame = sys._current_frames().get(task.ident or 0)
    return frame is not None and frame.f_code.co_filename.endswith(("_socket.py", "_poll_set.py"))


@pytest.fixture(params=[V4, V6], ids=["v4", "v6"])
def family(request: pytest.FixtureRequest) -> Family:
    """Once with each address family."""
    return cast(Family, request.param)


@pytest.fixture
def back(tmp_path: Path) -> Iterator[Back]:
    """Two stacks joined back to back; whatever is left open is reset at the end, and what they sent is judged."""
    stacks = joined(tmp_path, config={"tcp.rto_initial": 0.2})
    yield stacks
    for stack in stacks:
        finish(stack)
    judge(tmp_path, "syn-rto-too-low")


def finish(stack: usertcp.Stack) -> None:
    """Closes without waiting for anybody."""
    with contextlib.suppress(OSError):
        stack.close(timeout=0)


class Pair(NamedTuple):
    """The two ends of one connection between the stacks of `back`."""

    client: usertcp.Socket
    server: usertcp.Socket


def connected(back: Back, family: Family = V4) -> Pair:
    """A connection from near to far."""
    with back.far.create_server((family.far, 0), family=family.number) as listener:
        listener.settimeout(DEADLINE)
        client = back.near.create_connection(listener.getsockname()[:2], timeout=DEADLINE)
        server, _ = listener.accept()
    server.settimeout(DEADLINE)
    return Pair(client, server)


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))


def fill(sock: usertcp.Socket | socket.socket, data: bytes) -> str:
    """Sends all and the end of the stream: the digest."""
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)
    return hashlib.sha256(data).hexdigest()


def drain(sock: usertcp.Socket | socket.socket) -> str:
    """Reads to the end of the stream: the digest."""
    digest = hashlib.sha256()
    memory = memoryview(bytearray(1 << 18))
    while count := sock.recv_into(memory):
        digest.update(memory[:count])
    return digest.hexdigest()


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    """In a loop that tells of sockets that block, and until every connection is closed at both ends."""

    async def bounded() -> Any:
        async with asyncio.timeout(DEADLINE):
            answer = await main()
            while others := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.gather(*others)
            for _ in range(5):
                await turn()
            return answer

    return asyncio.run(bounded(), debug=True)


async def turn() -> None:
    """Lets everything run once that can."""
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(done.set_result, None)
    await done


@pytest.fixture
def pair(back: Back) -> Iterator[Pair]:
    """A connection over IPv4 between two stacks."""
    ends = connected(back)
    yield ends
    for end in ends:
        end.abort()


class Authority(NamedTuple):
    """TLS for servers at the addresses of the tests and for clients that trust them, made for this run."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="session")
def authority() -> Authority:
    """An authority that nobody else knows."""
    issuer = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    issuer.issue_cert(V4.near, V4.far, V6.near, V6.far).configure_cert(server)
    client = ssl.create_default_context()
    issuer.configure_trust(client)
    return Authority(server, client)


@pytest.fixture(scope="session")
def granted() -> None:
    """Skips, with the reason, where a sandbox cannot be made."""
    try:
        usertcp.Sandbox(host_addresses=NEAR).close()
    except OSError as error:
        pytest.skip(f"no sandbox here: {error}")


@pytest.fixture(params=[True, False], ids=["offload", "plain"])
def sandbox(request: pytest.FixtureRequest, granted: None) -> Iterator[usertcp.Sandbox]:
    """A sandbox whose kernel has the near addresses; once with offload, once without."""
    with usertcp.Sandbox(host_addresses=NEAR, offload=request.param) as sandbox:
        yield sandbox


@pytest.fixture
def stack(sandbox: usertcp.Sandbox, tmp_path: Path) -> Iterator[usertcp.Stack]:
    """A stack with the far addresses on the sandbox's TUN; what it sent is judged in the end."""
    stack = sandbox.stack(addresses=FAR, **captured(tmp_path, "stack"))
    yield stack
    finish(stack)
    judge(tmp_path)


def kernel_socket(sandbox: usertcp.Sandbox, family: Family) -> socket.socket:
    """A TCP socket of the sandbox's kernel."""
    sock = sandbox.socket(family.number)
    with contextlib.suppress(OSError):  # an ordinary user may not choose it everywhere
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    sock.settimeout(DEADLINE)
    return sock


def passed(result: pytest.RunResult, count: int) -> None:
    """All of so many tests passed, and nothing warned."""
    assert (result.ret, result.parseoutcomes()) == (0, {"passed": count}), result.stdout.str()


def section(result: pytest.RunResult) -> list[str]:
    """The lines of the report's own section."""
    lines = result.outlines
    begin = next(at for at, line in enumerate(lines) if re.fullmatch(r"-+ usertcp -+", line))
    return list(itertools.takewhile(lambda line: not re.match(r"[-=_]{5}", line), lines[begin + 1 :]))


started: list[subprocess.Popen[str]] = []


def begun(prelude: str, program: str, *options: str) -> subprocess.Popen[str]:
    """Starts Python with `prelude` and then `program`, indented or not; it ends with the test at the latest."""
    text = prelude + textwrap.dedent(program)
    command = [sys.executable, *options, "-c", text]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    started.append(process)
    return process


@pytest.fixture(autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    yield
    while started:
        process = started.pop()
        if process.poll() is None:
            process.kill()
            process.wait()


def outcome(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Waits for its end: exit code, output, errors."""
    with process:
        try:
            output, errors = process.communicate(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"still runs: {process.communicate()}") from None
    return process.returncode, output, errors
