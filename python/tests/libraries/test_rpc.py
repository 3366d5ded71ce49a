"""socketserver by itself, and xmlrpc on top of it."""

from __future__ import annotations

import contextlib
import operator
import socket
import socketserver
import ssl
import xmlrpc.client
import xmlrpc.server
from typing import Any

import pytest
from conftest import DEADLINE

from libraries.conftest import DATA, SERVER, Trust, World


class Lines(socketserver.StreamRequestHandler):
    """Answers each line."""

    timeout = DEADLINE

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line.upper())


class Secured(socketserver.TCPServer):
    """Speaks TLS if it has a context."""

    context: ssl.SSLContext | None = None

    def get_request(self) -> tuple[socket.socket, Any]:
        sock, address = super().get_request()
        if self.context:
            sock = self.context.wrap_socket(sock, server_side=True)
        return sock, address


class AtOnce(socketserver.ThreadingMixIn, Secured):
    """A thread for each client."""


@pytest.mark.library("socketserver")
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
@pytest.mark.parametrize("kind", [Secured, AtOnce])
def test_socketserver(world: World, trust: Trust, kind: type[Secured], tls: bool) -> None:
    def talk(number: int) -> None:
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(socket.create_connection((SERVER, server.server_address[1]), DEADLINE))
            if tls:
                sock = stack.enter_context(trust.client.wrap_socket(sock, server_hostname=SERVER))
            with sock.makefile("rwb") as file:
                for word in (b"one", b"two", b"three"):
                    file.write(b"%s %d\n" % (word, number))
                    file.flush()
                    assert file.readline() == b"%s %d\n" % (word.upper(), number)

    with world.server.patch():
        server = kind((world.address, 0), Lines)
    if tls:
        server.context = trust.server
    with world.serving(server), world.client.patch():
        for number in range(5):
            talk(number)


class Rpc(Secured, xmlrpc.server.SimpleXMLRPCServer):
    """Calls by XML."""


@pytest.mark.library("xmlrpc")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_xmlrpc(world: World, trust: Trust, scheme: str) -> None:
    with world.server.patch():
        server = Rpc((world.address, 0), logRequests=False, allow_none=True)
    if scheme == "https":
        server.context = trust.server
    server.register_function(operator.pow, "pow")
    server.register_function(lambda data: xmlrpc.client.Binary(data.data[::-1]), "turned")
    server.register_multicall_functions()
    url = f"{scheme}://{SERVER}:{server.server_address[1]}/"
    with world.serving(server), world.client.patch():
        context = trust.client if scheme == "https" else None
        with xmlrpc.client.ServerProxy(url, allow_none=True, context=context) as proxy:
            assert proxy.pow(2, 10) == 1024
            answer: Any = proxy.turned(xmlrpc.client.Binary(DATA))
            assert answer.data == DATA[::-1]
            with pytest.raises(xmlrpc.client.Fault, match="ZeroDivisionError"):
                proxy.pow(0, -1)
            calls = xmlrpc.client.MultiCall(proxy)
            for number in range(10):
                calls.pow(number, 2)
            answers: Any = calls()
            assert list(answers) == [number**2 for number in range(10)]
        with xmlrpc.client.ServerProxy(f"http://{SERVER}:9/") as nobody, pytest.raises(
            ConnectionRefusedError
        ):
            nobody.pow(2, 2)
