"""What the running code belongs to: context variables, which threads, tasks of asyncio and `contextvars` carry on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from usertcp._stack import Stack
    from usertcp.sim import Network

STACK: ContextVar[Stack | None] = ContextVar("usertcp.stack", default=None)
"""The stack that makes the sockets of the code here, if `patch` has not set one for all threads."""

NETWORK: ContextVar[Network | None] = ContextVar("usertcp.network", default=None)
"""The simulated network that the code here runs in: its time is the network's, its threads are tasks."""


@contextlib.contextmanager
def belonging(network: Network | None, stack: Stack | None) -> Iterator[None]:
    """Has the code of the block, and what it starts, belong to a network and a stack; None: to the system."""
    of_network, of_stack = NETWORK.set(network), STACK.set(stack)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # left in another context than it was entered in, which is as it was
            STACK.reset(of_stack)
            NETWORK.reset(of_network)
