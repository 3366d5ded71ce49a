"""`Sandbox`: a network namespace with a TUN in it, for programs that are not granted one."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import warnings
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import IO, Any, Self

from usertcp import _usertcp
from usertcp._stack import Stack, _texts

Stream = int | IO[Any] | None
"""A standard stream of a child: None (as this program's), a descriptor, a file, or `PIPE`, `DEVNULL` and,
for stderr, `STDOUT` of module `subprocess`."""


class Sandbox:
    """A network namespace of its own with a TUN in it. Needs neither root nor privileges.

    host_addresses: addresses of the kernel's side, such as ["192.0.2.1/24", "2001:db8::1/64"]
    mtu:            largest IP packet of the TUN, bytes
    offload:        segmentation and checksum offload on the TUN; a stack with an impairment needs False
    queues:         queues of the TUN: as many as the stack on it is to have workers

    The namespace lives as long as this object, its TUN or a program in it does.
    """

    def __init__(
        self,
        *,
        host_addresses: str | Iterable[object] = (),
        mtu: int = 1500,
        offload: bool = True,
        queues: int = 1,
    ) -> None:
        self._raw: _usertcp.Sandbox | None = None
        self._mtu = mtu
        self._raw = _usertcp.Sandbox(
            host_addresses=_texts(host_addresses), mtu=mtu, offload=offload, queues=queues
        )

    def tun(self) -> int:
        """A descriptor of the TUN for `Stack(fd=...)`, which then owns it; else the caller's to close."""
        return self._open().tun()

    def tun_queues(self) -> list[int]:
        """The same of all queues of the TUN, for `Stack(fd=..., workers=...)`."""
        return self._open().tun_queues()

    def stack(self, **settings: Any) -> Stack:
        """A stack on the sandbox's TUN, with its MTU and a worker for each queue; `settings` as of `Stack`."""
        fds = self.tun_queues()
        try:
            return Stack(fd=fds, **{"mtu": self._mtu, "workers": len(fds), **settings})
        except BaseException:
            for fd in fds:
                os.close(fd)
            raise

    def socket(
        self,
        family: int = socket.AF_INET,
        type: int = socket.SOCK_STREAM,
        proto: int = 0,
    ) -> socket.socket:
        """A socket of the kernel, on the other side of the TUN."""
        fd = self._open().socket(family, type | socket.SOCK_CLOEXEC, proto)
        return socket.socket(family, type, proto, fileno=fd)

    def spawn(
        self,
        argv: Sequence[str | os.PathLike[str]],
        env: Mapping[str, str] | None = None,
        *,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
    ) -> Child:
        """Starts a program in the sandbox; `env` of None is this program's environment."""
        words = [os.fspath(word) for word in argv]
        environment = None if env is None else [f"{name}={value}" for name, value in env.items()]
        files: list[IO[bytes] | None] = []
        lent: list[int] = []
        try:
            for number, stream in enumerate((stdin, stdout, stderr)):
                fd, file = _stream(number, stream, lent)
                lent.append(fd)
                files.append(file)
            return Child(self._open().spawn(words, environment, *lent), *files)
        except BaseException:
            for file in files:
                if file:
                    file.close()
            raise
        finally:
            for fd in lent:
                os.close(fd)

    def close(self) -> None:
        """Lets go of the namespace. Closing twice is no error."""
        self._raw = None

    def _open(self) -> _usertcp.Sandbox:
        if self._raw is None:
            raise ValueError("the sandbox is closed")
        return self._raw

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        self.close()


class Child:
    """A program that runs in a sandbox. As a context manager it is killed at the end of the block."""

    stdin: IO[bytes] | None
    """The writing end, where stdin is a pipe."""
    stdout: IO[bytes] | None
    """The reading end, where stdout is a pipe."""
    stderr: IO[bytes] | None
    """The reading end, where stderr is a pipe."""
    returncode: int | None
    """Exit status, or 128 + signal, once `wait` or `poll` has seen the end."""

    def __init__(
        self,
        raw: _usertcp.Child,
        stdin: IO[bytes] | None,
        stdout: IO[bytes] | None,
        stderr: IO[bytes] | None,
    ) -> None:
        self._raw = raw
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self.returncode = None

    @property
    def pid(self) -> int:
        """Process id."""
        return self._raw.pid

    def poll(self) -> int | None:
        """Looks whether the program has ended: its return code, or None while it runs."""
        if self.returncode is None:
            self.returncode = self._raw.poll()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end and returns the return code; `TimeoutError` after `timeout` seconds."""
        if self.poll() is None:
            self._sleep(timeout)
        code = self.poll()
        if code is None:
            raise TimeoutError(f"process {self.pid} still runs after {timeout} seconds")
        return code

    def _sleep(self, timeout: float | None) -> None:
        fd = os.pidfd_open(self.pid)
        try:
            poller = select.poll()
            poller.register(fd, select.POLLIN)
            poller.poll(None if timeout is None else timeout * 1000)
        finally:
            os.close(fd)

    def send_signal(self, number: int) -> None:
        """Sends a signal, unless the program has ended."""
        if self.poll() is None:
            self._raw.kill(number)

    def kill(self) -> None:
        """Ends it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        self.kill()
        for file in (self.stdin, self.stdout, self.stderr):
            if file:
                file.close()
        self.wait()

    def __repr__(self) -> str:
        state = "running" if self.returncode is None else f"returncode={self.returncode}"
        return f"<usertcp.Child pid={self.pid} {state}>"

    def __del__(self) -> None:
        raw = getattr(self, "_raw", None)
        if raw is None or self.returncode is not None:
            return
        if self.poll() is None:
            warnings.warn(f"process {self.pid} still runs", ResourceWarning, stacklevel=2, source=self)


def _stream(number: int, stream: Stream, before: Sequence[int]) -> tuple[int, IO[bytes] | None]:
    """The child's end of a standard stream, a new descriptor, and this program's end if it is a pipe."""
    if stream is None:
        return os.dup(number), None
    if stream == subprocess.PIPE:
        reading, writing = os.pipe()
        if number == 0:
            return reading, os.fdopen(writing, "wb", buffering=0)
        return writing, os.fdopen(reading, "rb")
    if stream == subprocess.DEVNULL:
        return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC), None
    if stream == subprocess.STDOUT and number == 2:
        return os.dup(before[1]), None
    return os.dup(stream if isinstance(stream, int) else stream.fileno()), None
