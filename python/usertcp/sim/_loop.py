"""asyncio in a network's time: `EventLoop`, and `run`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import itertools
import signal
import socket
import weakref
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from usertcp import _usertcp
from usertcp._here import NETWORK, STACK
from usertcp._socket import Socket
from usertcp.sim import _world
from usertcp.sim._host import Host
from usertcp.sim._waiting import Selector

if TYPE_CHECKING:
    from usertcp.sim._network import Network

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

THREADS = 32
"""Most threads of a loop's own executor, on every machine the same."""


class _Task(asyncio.Task[Any]):
    """Its hash is its number, so that sets of tasks have an order of their own: asyncio cancels what is left in theirs."""

    def __init__(self, number: int, coro: Any, **options: Any) -> None:
        self._number = number
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number


class EventLoop(asyncio.SelectorEventLoop):
    """An event loop of asyncio in a network: its clock is the network's, and while it waits, the others have their turn.

    It takes sockets of the network's hosts, and beside them files of the kernel, which it looks at every 10 ms of the network's
    time. `run_in_executor` and `asyncio.to_thread` run functions as tasks of the network. Names are looked up without a thread
    if the network knows them.
    """

    _ready: Any
    _executor_shutdown_called: bool
    _default_executor: concurrent.futures.Executor | None
    _signal_handlers: dict[int, asyncio.Handle]

    def __init__(self, network: Network) -> None:
        self._network = network
        self._bell = _usertcp.Signal(network._raw)
        super().__init__(Selector(network, self._bell))
        numbers = itertools.count()
        self.set_task_factory(lambda loop, coro, **options: _Task(next(numbers), coro, loop=loop, **options))
        network._loops[:] = [each for each in network._loops if each() is not None]
        network._loops.append(weakref.ref(self))

    def time(self) -> float:
        """Seconds since the network began."""
        return self._network.now

    # What wakes the loop is not a pair of sockets but a signal that the network knows.

    def _make_self_pipe(self) -> None:
        pass

    def _close_self_pipe(self) -> None:
        pass

    def _write_to_self(self) -> None:
        self._bell.set()

    def _stop_serving(self, sock: socket.socket) -> None:
        if sock.fileno() < 0:  # the network was closed, and the socket has no descriptor any more
            sock.close()
        else:
            super()._stop_serving(sock)  # type: ignore[misc]

    def add_signal_handler(self, sig: int, callback: Callable[[*Ts], Any], *args: *Ts) -> None:
        """Has a signal of the system call a function in the loop; from the main thread."""
        if asyncio.iscoroutine(callback) or asyncio.iscoroutinefunction(callback):
            raise TypeError("coroutines cannot be used with add_signal_handler()")
        self._check_closed()  # type: ignore[attr-defined]
        handle = asyncio.Handle(callback, args, self, None)

        def caught(number: int, frame: object) -> None:
            if not handle.cancelled():
                self._ready.append(handle)
                self._bell.set()

        try:
            signal.signal(sig, caught)
        except ValueError as error:
            raise RuntimeError(str(error)) from None
        self._signal_handlers[sig] = handle

    # Threads

    def run_in_executor(  # type: ignore[override]
        self, executor: concurrent.futures.Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Runs a function in a thread: with executor None a task of the network, on the host of the caller."""
        if executor is None:
            if self._default_executor is None and not self._executor_shutdown_called:
                self._default_executor = concurrent.futures.ThreadPoolExecutor(THREADS, "asyncio")
            func = functools.partial(contextvars.copy_context().run, func)
        return super().run_in_executor(executor, func, *args)

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        """The addresses of a host: at once if the network knows it, else as `socket.getaddrinfo` in a thread."""
        stack = STACK.get()
        if stack is not None and stack._answers_at_once(host):
            return stack.getaddrinfo(host, port, family, type, proto, flags)
        return await super().getaddrinfo(host, port, family=family, type=type, proto=proto, flags=flags)

    async def getnameinfo(
        self, sockaddr: tuple[str, int] | tuple[str, int, int, int], flags: int = 0
    ) -> tuple[str, str]:
        """The name of an address: the network's, without a thread."""
        stack = STACK.get()
        if isinstance(stack, Host):
            return stack.getnameinfo(sockaddr, flags)
        return await super().getnameinfo(sockaddr, flags)

    async def _sock_sendfile_native(self, sock: socket.socket, file: Any, offset: int, count: int | None) -> int:
        if isinstance(sock, Socket):
            raise asyncio.SendfileNotAvailableError("the bytes go through the network")
        return await super()._sock_sendfile_native(sock, file, offset, count)  # type: ignore[misc,no-any-return]


def run(
    main: Coroutine[Any, Any, T],
    *,
    net: Network | None = None,
    host: Host | None = None,
    debug: bool | None = None,
) -> T:
    """Runs a coroutine of asyncio in a network and returns its result, as `asyncio.run` does: in the network's time.

    net:   the network; if not given, that of the host, or of the block of `patch` or `patch_time` around, or the only one
           that this thread has made and not closed
    host:  whose sockets the code makes, as in a block of `Host.patch`. Without one each coroutine says so itself:
           `with host.patch():` holds for the coroutine that it stands in, and for the tasks that are made in it
    debug: whether asyncio runs in its debug mode

    While the loop waits, the other tasks of the network run and time passes: `await asyncio.sleep(30)` takes no real time.
    """
    from usertcp.sim._network import only_open

    network = host.network if host is not None else None
    if net is not None and network not in (None, net):
        main.close()
        raise ValueError(f"{host!r} is not of {net!r}")
    network = net or network or NETWORK.get() or only_open()
    if network is None:
        main.close()
        raise ValueError("which network? Give net or host")
    around = STACK.get()
    here = host or (around if isinstance(around, Host) and around.network is network else None)
    with _world.inside(network, here):
        with asyncio.Runner(debug=debug, loop_factory=functools.partial(EventLoop, network)) as runner:
            return runner.run(main)
