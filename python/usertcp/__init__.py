"""TCP/IP in user space: sockets over a TCP stack that runs inside the program.

A `Stack` has IP addresses of its own on a link of the program's choice, and makes `Socket` objects that
behave like those of the standard library: the same methods, time-outs and exceptions.

    import usertcp

    with usertcp.Stack(tun="utcp0", addresses=["192.0.2.2/24"], host_addresses=["192.0.2.1/24"]) as stack:
        with stack.create_connection(("192.0.2.1", 80), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            print(connection.recv(4096))

Where the program may not open a TUN device, a `Sandbox` gives it one in a network namespace of its own, along
with sockets and programs on the kernel's side of it.
"""

from usertcp._intercept import Interceptor, Syn
from usertcp._names import Names
from usertcp._poll_set import PollSet
from usertcp._sandbox import Child, Sandbox
from usertcp._socket import Socket, poll
from usertcp._stack import DEFAULTS, Impairment, Stack
from usertcp._usertcp import EndReason, SocketInfo, StackError, TcpInfo, __version__, exported_addresses

version_info: tuple[int, int, int]
"""The version as numbers."""
version_info = tuple(int(part) for part in __version__.split("-")[0].split("."))  # type: ignore[assignment]

__all__ = [
    "DEFAULTS",
    "Child",
    "EndReason",
    "Impairment",
    "Interceptor",
    "Names",
    "PollSet",
    "Sandbox",
    "Socket",
    "SocketInfo",
    "Stack",
    "StackError",
    "Syn",
    "TcpInfo",
    "__version__",
    "exported_addresses",
    "poll",
    "version_info",
]
