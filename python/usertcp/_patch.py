"""What stands in for module `socket` while `patch` is in force: the sockets that the program makes are a stack's."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from usertcp._here import STACK

if TYPE_CHECKING:
    from usertcp._stack import Stack

KERNEL = socket.socket
"""The class of the standard library."""

_OWN: dict[int, int] = {socket.SOCK_STREAM: socket.IPPROTO_TCP, socket.SOCK_DGRAM: socket.IPPROTO_UDP}
"""The kinds of socket that a stack has, and the protocol of each."""

_one_at_a_time = threading.Lock()
_counting = threading.Lock()
_installed = 0
_everywhere: Stack | None = None


@contextlib.contextmanager
def patched(stack: Stack) -> Iterator[None]:
    """Has module `socket` make sockets of `stack` until the end of the block, on every thread."""
    global _everywhere
    if not _one_at_a_time.acquire(blocking=False):
        raise RuntimeError("module socket is patched already")
    try:
        stack._speak_tls()
        install()
        _everywhere = stack
        try:
            yield
        finally:
            _everywhere = None
            remove()
    finally:
        _one_at_a_time.release()


def install() -> None:
    """Has module `socket` ask whose sockets the calling code makes; to be followed by `remove`."""
    global _installed
    with _counting:
        if _installed == 0:
            socket.socket = Routed  # type: ignore[misc]
            for name, answer in _ANSWERS.items():
                setattr(socket, name, answer)
        _installed += 1


def remove() -> None:
    """Module `socket` is as it was, if nobody else needs it."""
    global _installed
    with _counting:
        _installed -= 1
        if _installed == 0:
            socket.socket = KERNEL  # type: ignore[misc]
            for name, kernels in _FUNCTIONS.items():
                setattr(socket, name, kernels)


def _stack() -> Stack | None:
    """Whose sockets the calling code makes; None: the kernel's."""
    return STACK.get() or _everywhere


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

    def __new__(cls, *arguments: Any, **options: Any) -> Any:
        if cls is not Routed:  # somebody has derived a class from it
            return KERNEL.__new__(cls)
        stack = _stack()
        if stack is None:
            return KERNEL(*arguments, **options)
        return _made(stack, *arguments, **options)


_FUNCTIONS = {
    name: getattr(socket, name)
    for name in (
        "getaddrinfo",
        "getnameinfo",
        "gethostbyname",
        "gethostbyname_ex",
        "gethostbyaddr",
        "gethostname",
    )
}
"""Functions of module `socket` that a stack answers if it has a method of the name."""


def _answering(name: str, kernels: Callable[..., Any]) -> Callable[..., Any]:
    """What stands in for a function; whoever keeps it gets the kernel's answer after the block."""

    def answer(*arguments: Any, **options: Any) -> Any:
        return getattr(_stack(), name, kernels)(*arguments, **options)

    answer.__name__ = answer.__qualname__ = name
    answer.__doc__ = kernels.__doc__
    return answer


_ANSWERS = {name: _answering(name, kernels) for name, kernels in _FUNCTIONS.items()}

STAND_INS: list[tuple[Any, Any]] = [
    (KERNEL, Routed),
    *((kernels, _ANSWERS[name]) for name, kernels in _FUNCTIONS.items()),
]
"""What stands in for what, for modules that have taken it by name."""


def _made(
    stack: Stack, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None
) -> socket.socket:
    """What `socket.socket` is called with by programs, `socketpair`, `fromfd` and `accept`."""
    kind = socket.SOCK_STREAM if type == -1 else type
    own = _OWN.get(kind & ~(socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC))
    if fileno is None and own and proto in (-1, 0, own) and family in (-1, socket.AF_INET, socket.AF_INET6):
        return stack.socket(socket.AF_INET if family == -1 else family, kind, max(proto, 0))
    return KERNEL(family, type, proto, fileno)
