"""`Task`: a function that runs in a thread of a simulated network."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from usertcp._here import NETWORK, STACK, belonging
from usertcp.sim import _world
from usertcp.sim._threads import Member

if TYPE_CHECKING:
    from usertcp.sim._host import Host
    from usertcp.sim._network import Network

T = TypeVar("T")


class Task(Generic[T]):
    """A function that runs beside others in a network, made by `Network.spawn`."""

    def __init__(
        self,
        network: Network,
        function: Callable[..., T],
        arguments: tuple[Any, ...],
        host: Host | None,
        name: str,
    ) -> None:
        self._network = network
        self._function: Callable[..., T] | None = function
        self._arguments = arguments
        self._host = host
        self._member = Member(network, name)
        self._value: T | None = None
        self._error: BaseException | None = None
        self._unseen = False
        self._begin()

    @property
    def name(self) -> str:
        """Its name, as reports have it."""
        return self._member.name

    @property
    def host(self) -> Host | None:
        """The host that the function runs on."""
        return self._host

    def done(self) -> bool:
        """Whether the function has returned or raised."""
        return self._member.over

    def join(self, timeout: float | None = None) -> bool:
        """Waits for the end of the function, at most `timeout` seconds of the network's time; whether it has ended.

        A task that joins itself is a `RuntimeError`.
        """
        if self._member.ident == threading.get_ident() and not self.done():
            raise RuntimeError("a task cannot wait for itself")
        return self._member.wait(timeout)

    def result(self, timeout: float | None = None) -> T:
        """What the function has returned, after waiting for it; what it has raised is raised here.

        `TimeoutError` if it has not ended after `timeout` seconds of the network's time.
        """
        error = self.exception(timeout)
        if error is not None:
            raise error
        return cast(T, self._value)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the function has raised, after waiting for it; else as `result`."""
        if not self.join(timeout):
            raise TimeoutError(f"task {self.name!r} still runs after {timeout} seconds")
        self._unseen = False
        return self._error

    def _begin(self) -> None:
        context = contextvars.copy_context()
        context.run(NETWORK.set, self._network)
        context.run(STACK.set, self._host)
        raw = self._network._raw
        number = raw.task()
        _world.install()
        after = _world.remove

        def carried() -> None:
            self._network._carry(number, self._member, lambda: context.run(self._run), after)

        try:
            with belonging(None, None):
                threading.Thread(target=carried, name=self.name, daemon=True).start()
        except BaseException:
            raw.leave(number)
            after()
            raise
        self._network._tasks[self] = None
        raw.sleep(raw.now())  # until it waits

    def _run(self) -> None:
        function, arguments = self._function, self._arguments
        self._function, self._arguments = None, ()
        assert function is not None
        try:
            self._value = function(*arguments)
        except BaseException as error:
            self._error = error
            self._unseen = not self._network.closed  # what the network's end cuts off is no news
        else:
            del self._network._tasks[self]

    def __repr__(self) -> str:
        state = "runs"
        if self.done():
            state = "returned" if self._error is None else f"raised {type(self._error).__name__}"
        return f"<usertcp.sim.Task {self.name!r} {state}>"
