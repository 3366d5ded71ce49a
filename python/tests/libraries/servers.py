"""Small servers of mail, files and keys, for the libraries that ask such."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable
from typing import Any, ClassVar

from conftest import DEADLINE


class Threads(socketserver.ThreadingTCPServer):
    """A thread for each client, all of which have ended when it is closed; speaks TLS at once if told so."""

    allow_reuse_address = True
    context: ssl.SSLContext | None = None
    """For whoever asks to go on in TLS."""
    at_once = False
    """Whether connections begin with TLS."""
    store: dict[Any, Any]
    make: Callable[..., socket.socket]
    """Makes a socket of the server's host."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.store = {}
        super().__init__(*arguments, **options)

    def get_request(self) -> tuple[socket.socket, Any]:
        sock, address = super().get_request()
        if self.at_once and self.context:
            sock = self.context.wrap_socket(sock, server_side=True)
        return sock, address


class Talk(socketserver.BaseRequestHandler):
    """A conversation by lines."""

    server: Threads

    def setup(self) -> None:
        self.request.settimeout(DEADLINE)
        self.file = self.request.makefile("rb")

    def finish(self) -> None:
        self.file.close()
        self.request.close()

    def secure(self) -> None:
        """Goes on in TLS."""
        assert self.server.context
        self.file.close()
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        self.file = self.request.makefile("rb")

    def say(self, line: str) -> None:
        self.request.sendall(line.encode() + b"\r\n")

    def handle(self) -> None:
        self.greet()
        while line := self.file.readline():
            word, _, rest = line.decode().strip().partition(" ")
            answer = getattr(self, f"do_{word.upper()}", None)
            if answer is None:
                self.say("500 what?")
            elif answer(rest):
                return

    def greet(self) -> None:
        raise NotImplementedError


class Mail(Talk):
    """SMTP (RFC 5321) with STARTTLS and AUTH PLAIN; keeps letters under the number of their order."""

    def greet(self) -> None:
        self.sender, self.receivers = "", list[str]()
        self.say("220 mail")

    def do_EHLO(self, rest: str) -> None:
        tls = isinstance(self.request, ssl.SSLSocket)
        self.say("250-mail\r\n250-8BITMIME\r\n" + ("250 AUTH PLAIN" if tls else "250 STARTTLS"))

    def do_HELO(self, rest: str) -> None:
        self.say("250 mail")

    def do_STARTTLS(self, rest: str) -> None:
        self.say("220 go ahead")
        self.secure()

    def do_AUTH(self, rest: str) -> None:
        self.say("235 welcome" if rest.startswith("PLAIN ") else "504 no")

    def do_MAIL(self, rest: str) -> None:
        self.sender, self.receivers = rest, []
        self.say("250 ok")

    def do_RCPT(self, rest: str) -> None:
        if "nobody" in rest:
            self.say("550 no such person")
        else:
            self.receivers.append(rest)
            self.say("250 ok")

    def do_RSET(self, rest: str) -> None:
        self.say("250 ok")

    def do_DATA(self, rest: str) -> None:
        self.say("354 go ahead")
        lines = []
        while (line := self.file.readline()) != b".\r\n":
            lines.append(line.removeprefix(b"."))
        self.server.store[len(self.server.store)] = (self.sender, self.receivers, b"".join(lines))
        self.say("250 kept")

    def do_QUIT(self, rest: str) -> bool:
        self.say("221 bye")
        return True


class Files(Talk):
    """FTP (RFC 959, 2428, 4217): passive and active, in the clear and in TLS; keeps files by name."""

    def greet(self) -> None:
        self.private = False
        self.listener: socket.socket | None = None
        self.peer: tuple[str, int] | None = None
        self.say("220 files")

    def finish(self) -> None:
        if self.listener:
            self.listener.close()
        super().finish()

    def do_AUTH(self, rest: str) -> None:
        self.say("234 go ahead")
        self.secure()

    def do_PBSZ(self, rest: str) -> None:
        self.say("200 ok")

    def do_PROT(self, rest: str) -> None:
        self.private = rest == "P"
        self.say("200 ok")

    def do_CCC(self, rest: str) -> None:
        self.say("200 in the clear from here")
        self.file.close()
        tls: Any = self.request
        self.request = tls.unwrap()
        self.file = self.request.makefile("rb")

    def do_USER(self, rest: str) -> None:
        self.say("331 and the password?")

    def do_PASS(self, rest: str) -> None:
        self.say("230 welcome")

    def do_TYPE(self, rest: str) -> None:
        self.say("200 ok")

    def do_NOOP(self, rest: str) -> None:
        self.say("200 ok")

    def _listen(self) -> tuple[str, int]:
        """Listens beside the connection that asks, with a socket like the server's own."""
        host = self.request.getsockname()[0]
        self.listener = self.server.make(self.server.socket.family)
        self.listener.bind((host, 0))
        self.listener.listen(1)
        self.listener.settimeout(DEADLINE)
        return host, self.listener.getsockname()[1]

    def do_PASV(self, rest: str) -> None:
        host, port = self._listen()
        self.say(f"227 here ({host.replace('.', ',')},{port >> 8},{port & 255})")

    def do_EPSV(self, rest: str) -> None:
        self.say(f"229 here (|||{self._listen()[1]}|)")

    def do_PORT(self, rest: str) -> None:
        *host, high, low = rest.split(",")
        self.peer = ".".join(host), int(high) * 256 + int(low)
        self.say("200 ok")

    def do_EPRT(self, rest: str) -> None:
        _, _, host, port, _ = rest.split("|")
        self.peer = host, int(port)
        self.say("200 ok")

    @contextlib.contextmanager
    def _transfer(self) -> Any:
        """The connection for data."""
        self.say("150 it comes")
        if self.listener:
            sock, _ = self.listener.accept()
            self.listener.close()
            self.listener = None
        else:
            assert self.peer
            sock = self.server.make(self.server.socket.family)
            sock.connect(self.peer)
        sock.settimeout(DEADLINE)
        if self.private:
            assert self.server.context
            sock = self.server.context.wrap_socket(sock, server_side=True)
        with sock:
            yield sock
            if isinstance(sock, ssl.SSLSocket):
                sock.unwrap()
        self.say("226 done")

    def do_STOR(self, rest: str) -> None:
        with self._transfer() as sock:
            pieces = []
            while piece := sock.recv(1 << 16):
                pieces.append(piece)
            self.server.store[rest] = b"".join(pieces)

    def do_RETR(self, rest: str) -> None:
        if rest not in self.server.store:
            self.say("550 no such file")
            return
        with self._transfer() as sock:
            sock.sendall(self.server.store[rest])

    def do_NLST(self, rest: str) -> None:
        with self._transfer() as sock:
            sock.sendall("".join(f"{name}\r\n" for name in self.server.store).encode())

    def do_SIZE(self, rest: str) -> None:
        self.say(f"213 {len(self.server.store[rest])}")

    def do_QUIT(self, rest: str) -> bool:
        self.say("221 bye")
        return True


class Keys(Talk):
    """Redis's protocol (RESP 2 and 3) with the commands that the tests use."""

    lock: ClassVar[Any] = threading.Lock()

    def handle(self) -> None:
        self.resp = 2
        self.queued: list[list[bytes]] | None = None
        while line := self.file.readline():
            words = []
            for _ in range(int(line[1:])):
                length = int(self.file.readline()[1:])
                words.append(self.file.read(length + 2)[:length])
            self.request.sendall(self.answer(words))

    def answer(self, words: list[bytes]) -> bytes:
        name = words[0].decode().upper()
        if self.queued is not None and name != "EXEC":
            self.queued.append(words)
            return b"+QUEUED\r\n"
        call = getattr(self, f"do_{name}", None)
        return call(*words[1:]) if call else b"-ERR unknown command '%b'\r\n" % words[0]

    def do_HELLO(self, version: bytes = b"2", *rest: bytes) -> bytes:
        self.resp = int(version)
        return b"%b\r\n+proto\r\n:%b\r\n" % (b"%1" if self.resp == 3 else b"*2", version)

    def do_CLIENT(self, *rest: bytes) -> bytes:
        return b"+OK\r\n"

    def do_PING(self, *rest: bytes) -> bytes:
        return b"+PONG\r\n"

    def do_SET(self, key: bytes, value: bytes, *rest: bytes) -> bytes:
        self.server.store[key] = value
        return b"+OK\r\n"

    def do_GET(self, key: bytes) -> bytes:
        value = self.server.store.get(key)
        return bulk(value) if value is not None else b"_\r\n" if self.resp == 3 else b"$-1\r\n"

    def do_INCRBY(self, key: bytes, by: bytes) -> bytes:
        value = int(self.server.store.get(key, b"0")) + int(by)
        self.server.store[key] = b"%d" % value
        return b":%d\r\n" % value

    def do_RPUSH(self, key: bytes, *values: bytes) -> bytes:
        kept = self.server.store.setdefault(key, [])
        kept.extend(values)
        return b":%d\r\n" % len(kept)

    def do_LRANGE(self, key: bytes, *rest: bytes) -> bytes:
        kept = self.server.store.get(key, [])
        return b"*%d\r\n%b" % (len(kept), b"".join(map(bulk, kept)))

    def do_BLPOP(self, *rest: bytes) -> bytes:
        """Of nothing: waits for the client to give up."""
        self.file.read(1)
        return b""

    def do_MULTI(self) -> bytes:
        self.queued = []
        return b"+OK\r\n"

    def do_EXEC(self) -> bytes:
        queued, self.queued = self.queued or [], None
        return b"*%d\r\n%b" % (len(queued), b"".join(map(self.answer, queued)))


def bulk(value: bytes) -> bytes:
    """A string of bytes in Redis's protocol."""
    return b"$%d\r\n%b\r\n" % (len(value), value)
