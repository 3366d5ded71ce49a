"""`Stack.patch`: for a while, the sockets that the rest of the program makes are a stack's."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from usertcp._stack import Stack

KERNEL = socket.socket
"""The class of the standard library."""

_KERNEL_GETADDRINFO = socket.getaddrinfo

_OWN: dict[int, int] = {socket.SOCK_STREAM: socket.IPPROTO_TCP, socket.SOCK_DGRAM: socket.IPPROTO_UDP}
"""The kinds of socket that a stack has, and the protocol of each."""

_one_at_a_time = threading.Lock()


@contextlib.contextmanager
def patched(stack: Stack) -> Iterator[None]:
    """Has module `socket` make sockets of `stack` until the end of the block."""
    if not _one_at_a_time.acquire(blocking=False):
        raise RuntimeError("module socket is patched already")
    try:
        stack._speak_tls()
        Routed.stack = stack
        socket.socket = Routed  # type: ignore[misc]
        socket.getaddrinfo = _getaddrinfo
        yield
    finally:
        socket.socket = KERNEL  # type: ignore[misc]
        socket.getaddrinfo = _KERNEL_GETADDRINFO
        Routed.stack = None
        _one_at_a_time.release()


class _SameFamily(type):
    """Whatever is a socket is an instance: also what was made before, and what is made below."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, KERNEL)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, KERNEL)


class Routed(KERNEL, metaclass=_SameFamily):
    """What stands in for `socket.socket`: makes sockets of the stack where it has such, else the kernel's.

    Whoever keeps it, such as a module that was imported in the block, gets the kernel's after the block.
    """

    __slots__ = ()

    stack: ClassVar[Stack | None] = None

    def __new__(cls, *arguments: Any, **options: Any) -> Any:
        if cls is not Routed:  # somebody has derived a class from it
            return KERNEL.__new__(cls)
        if Routed.stack is None:
            return KERNEL(*arguments, **options)
        return _made(Routed.stack, *arguments, **options)


def _getaddrinfo(*arguments: Any, **options: Any) -> Any:
    """What stands in for `socket.getaddrinfo`; whoever keeps it gets the kernel's after the block."""
    stack = Routed.stack
    return (_KERNEL_GETADDRINFO if stack is None else stack.getaddrinfo)(*arguments, **options)


def _made(
    stack: Stack, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None
) -> socket.socket:
    """What `socket.socket` is called with by programs, `socketpair`, `fromfd` and `accept`."""
    kind = socket.SOCK_STREAM if type == -1 else type
    own = _OWN.get(kind & ~(socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC))
    if fileno is None and own and proto in (-1, 0, own) and family in (-1, socket.AF_INET, socket.AF_INET6):
        return stack.socket(socket.AF_INET if family == -1 else family, kind, max(proto, 0))
    return KERNEL(family, type, proto, fileno)
