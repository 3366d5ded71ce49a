"""Names of hosts over a stack: `getaddrinfo`, `create_connection`, asyncio and the block of `patch`."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import usertcp
from conftest import DEADLINE, FAR, NEAR, V4, V6, Back, Task, joined, run

NAMES = {"nameservers": ["192.0.2.2"], "search": [], "hosts": ""}


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Back]:
    """Two stacks, of which one asks the other, which has a name server that never answers."""
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.2 both four\n2001:db8::2 both\n192.0.2.1 self\n")
    back = joined(names={**NAMES, "hosts": hosts, "timeout": 0.05})
    with back.near, back.far, back.far.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((V4.far, 53))
        yield back


@contextlib.contextmanager
def raised(number: int) -> Iterator[None]:
    """The block ends in `socket.gaierror` of this number."""
    with pytest.raises(socket.gaierror) as caught:
        yield
    assert caught.value.errno == number


def test_getaddrinfo_of_what_needs_no_server(silent: Back) -> None:
    look_up = silent.near.getaddrinfo
    stream = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    four = (socket.AF_INET, *stream, (V4.far, 80))
    six = (socket.AF_INET6, *stream, (V6.far, 80, 0, 0))
    assert look_up("both", 80, type=socket.SOCK_STREAM) == [six, four]
    assert look_up(b"both", "80", proto=socket.IPPROTO_TCP) == [six, four]
    assert look_up("both", 80, socket.AF_INET, socket.SOCK_STREAM) == [four]
    assert look_up("192.0.2.2", 80, type=socket.SOCK_STREAM) == [four]
    assert [info[1] for info in look_up("four", 80)] == [socket.SOCK_STREAM, socket.SOCK_DGRAM]
    ends = [info[4] for info in look_up(None, 80, type=socket.SOCK_STREAM)]
    assert ends == [("127.0.0.1", 80), ("::1", 80, 0, 0)]
    passive = look_up(None, 80, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    assert [info[4][0] for info in passive] == ["0.0.0.0", "::"]
    named = look_up("both", 80, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME)
    assert [info[3] for info in named] == ["both", ""]


def test_the_link_of_an_address(silent: Back) -> None:
    for host, link in (("fe80::1%1", 1), ("fe80::1", 0), ("FF02::1%7", 7)):
        ((*_, address),) = silent.near.getaddrinfo(host, 80, type=socket.SOCK_STREAM)
        assert address == (host.lower().partition("%")[0], 80, 0, link)
    with raised(socket.EAI_NONAME):
        silent.near.getaddrinfo("fe80::1%lo", 80)


def test_errors_are_those_of_the_standard_library(silent: Back) -> None:
    look_up = silent.near.getaddrinfo
    with raised(socket.EAI_AGAIN):
        look_up("nobody.example", 80)
    with raised(socket.EAI_NONAME):
        look_up("any.invalid", 80)
    with raised(socket.EAI_NONAME):
        look_up("a b", 80)
    with raised(socket.EAI_NONAME):
        look_up("both", 80, flags=socket.AI_NUMERICHOST)
    with raised(socket.EAI_NONAME):
        look_up(None, None)
    with raised(socket.EAI_NODATA):
        look_up("192.0.2.1", 80, socket.AF_INET6)
    with raised(socket.EAI_SERVICE):
        look_up("both", "no-such-service")
    with raised(socket.EAI_SOCKTYPE):
        look_up("both", 80, type=socket.SOCK_RAW)
    with raised(socket.EAI_FAMILY):
        look_up("both", 80, socket.AF_UNIX)
    with raised(socket.EAI_BADFLAGS):
        look_up("both", 80, flags=socket.AI_V4MAPPED)
    silent.near.close(0)
    with pytest.raises(OSError):
        look_up("both", 80)


def test_create_connection_takes_names(silent: Back) -> None:
    near, far = silent
    with far.create_server((V4.far, 0)) as server, near.create_server((V4.near, 0)) as own:
        port = server.getsockname()[1]
        with near.create_connection(("both", port), timeout=DEADLINE) as client:
            assert client.getpeername() == (V4.far, port)
            assert client.gettimeout() == DEADLINE
        with near.create_connection(("four", port), DEADLINE, ("", 0)) as client:
            assert client.getpeername() == (V4.far, port)
        with near.create_connection(("self", own.getsockname()[1]), DEADLINE) as client:
            assert client.getpeername()[0] == V4.near
    with pytest.raises(ConnectionRefusedError):
        near.create_connection(("both", port), DEADLINE)
    with pytest.raises(ExceptionGroup):
        near.create_connection(("both", port), DEADLINE, all_errors=True)
    with pytest.raises(TimeoutError, match="timed out"):
        near.create_connection(("nobody.example", port), 0.02)
    with raised(socket.EAI_NONAME):
        near.create_connection(("any.invalid", port), DEADLINE)
    with pytest.raises(OverflowError):
        near.create_connection(("both", 65536), DEADLINE)


@pytest.mark.parametrize("four", ["four", b"four", bytearray(b"four")], ids=["str", "bytes", "bytearray"])
def test_every_address_may_be_a_name(silent: Back, four: Any) -> None:
    near, far = silent
    with far.create_server((V4.far, 0)) as server, near.socket() as client, near.socket() as again:
        port = server.getsockname()[1]
        client.bind(("self", 0))
        assert client.getsockname()[0] == V4.near
        client.settimeout(DEADLINE)
        client.connect((four, port))
        assert client.getpeername() == (V4.far, port)
        again.settimeout(DEADLINE)
        assert again.connect_ex((four, port)) == 0
        assert client.sendto(b"whatever it says", (four, 9)) == 16
    kind = socket.SOCK_DGRAM
    with far.socket(socket.AF_INET, kind) as receiver, near.socket(socket.AF_INET, kind) as sender:
        receiver.settimeout(DEADLINE)
        receiver.bind((V4.far, 0))
        port = receiver.getsockname()[1]
        sender.sendto(b"one", (four, port))
        sender.sendmsg([b"two"], [], 0, (four, port))
        assert [receiver.recv(10), receiver.recv(10)] == [b"one", b"two"]


def test_a_name_of_the_other_family_or_of_nobody(silent: Back) -> None:
    with silent.near.socket(socket.AF_INET6) as six, silent.near.socket() as four:
        for sock, host, number in (
            (six, "four", socket.EAI_AGAIN),
            (four, "any.invalid", socket.EAI_NONAME),
            (four, V6.far, socket.EAI_ADDRFAMILY),
        ):
            for call in (sock.bind, sock.connect, sock.connect_ex):
                with raised(number):
                    call((host, 80))
        six.bind(("localhost", 0))
        assert six.getsockname()[0] == "::1"
        four.bind(("localhost", 0))
        assert four.getsockname()[0] == "127.0.0.1"


def test_everybody_has_a_name(silent: Back) -> None:
    with silent.near.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        with pytest.raises(PermissionError):
            sender.sendto(b"x", ("<broadcast>", 9))
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        assert sender.sendto(b"to all", ("<broadcast>", 9)) == 6


def test_closing_the_stack_ends_a_lookup() -> None:
    back = joined(names={**NAMES, "timeout": 30.0})
    with back.far, back.far.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((V4.far, 53))
        task = Task(back.near.getaddrinfo, "nobody.example", 80)
        server.recvfrom(512)
        back.near.close(0)
        with pytest.raises(OSError):
            task.answer()


def test_a_signal_handler_ends_a_lookup() -> None:
    def enough(*_: object) -> None:
        raise RuntimeError("enough")

    back = joined(names={**NAMES, "timeout": 30.0})
    with back.near, back.far, back.far.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((V4.far, 53))
        before = signal.signal(signal.SIGALRM, enough)
        try:
            for call in (back.near.getaddrinfo, lambda *end: back.near.create_connection(end, DEADLINE)):
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                with pytest.raises(RuntimeError, match="enough"):
                    call("nobody.example", 80)
        finally:
            signal.signal(signal.SIGALRM, before)


def test_asyncio_takes_names(silent: Back) -> None:
    async def talk() -> bytes:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            writer.close()

        async with await silent.far.start_server(serve, V4.far, 7000):
            reader, writer = await silent.near.open_connection("both", 7000)
            writer.write(b"hello\n")
            answer = await reader.read()
            writer.close()
        return answer

    assert run(talk) == b"hello\n"


class Page(BaseHTTPRequestHandler):
    """A page that says whom it was asked for."""

    def do_GET(self) -> None:
        body = self.headers["Host"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


def test_patched_code_looks_names_up_over_the_stack(silent: Back) -> None:
    before = socket.getaddrinfo
    with silent.far.create_server((V4.far, 8080)) as listener:
        server = HTTPServer((V4.far, 8080), Page, bind_and_activate=False)
        server.socket.close()
        server.socket = listener
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with silent.near.patch():
            kept = socket.getaddrinfo
            assert kept("both", 80, type=socket.SOCK_STREAM)[0][4][0] == V6.far
            with urllib.request.urlopen("http://four:8080/", timeout=DEADLINE) as page:
                assert page.read() == b"four:8080"
            with raised(socket.EAI_NONAME):
                socket.create_connection(("any.invalid", 80))
        thread.join()
    assert socket.getaddrinfo is before
    assert kept("127.0.0.1", 80, type=socket.SOCK_STREAM) == before("127.0.0.1", 80, type=socket.SOCK_STREAM)


@pytest.mark.parametrize(
    ("names", "word"),
    [
        ({"nameservers": ["dns.example"]}, "dns.example"),
        ({"nameservers": ["192.0.2.1"] * 4}, "nameservers"),
        ({"search": ["a..b"]}, "a..b"),
        ({"timeout": 31.0}, "timeout"),
        ({"timeout": -1.0}, "timeout"),
        ({"attempts": 6}, "attempts"),
        ({"ndots": 16}, "ndots"),
        ({"connect_delay": 0.001}, "connect_delay"),
        ({"hosts": "/nowhere/hosts"}, "/nowhere/hosts"),
        ({"nameservers": "192.0.2.1"}, "must be a list"),
    ],
)
def test_settings_that_make_no_sense_are_refused(names: dict[str, Any], word: str) -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right, pytest.raises((OSError, ValueError, TypeError), match=word):
        usertcp.Stack(fd=left, addresses=NEAR, names=names)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[usertcp.Stack]:
    """A stack whose name server is dnsmasq, in a sandbox."""
    if not shutil.which("dnsmasq") and not Path("/usr/sbin/dnsmasq").exists():
        pytest.skip("dnsmasq is not installed (apt install dnsmasq-base)")
    hosts = tmp_path / "hosts"
    lines = [f"198.51.100.{number} many.example" for number in range(200)]
    hosts.write_text("\n".join([f"{V4.near} both.example h.corp.example", f"{V6.near} both.example", *lines, ""]))
    arguments = ["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file="]
    arguments += [f"--addn-hosts={hosts}", "--port=5353", "--bind-interfaces"]
    arguments += ["--local=/example/", f"--listen-address={V4.near}", "--cname=alias.example,both.example"]
    names = usertcp.Names(nameservers=[f"{V4.near}:5353"], search=["corp.example"], hosts="")
    with contextlib.ExitStack() as stack:
        try:
            sandbox = stack.enter_context(usertcp.Sandbox(host_addresses=NEAR))
        except OSError as error:
            pytest.skip(f"no sandbox is granted here: {error}")
        program = shutil.which("dnsmasq") or "/usr/sbin/dnsmasq"
        server = sandbox.spawn([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(server.kill)
        ours = stack.enter_context(usertcp.Stack(fd=sandbox.tun(), addresses=FAR, names=names))
        # Until it listens its port is closed.
        while True:
            try:
                ours.getaddrinfo("both.example", 80)
                break
            except socket.gaierror as error:
                assert error.errno == socket.EAI_FAIL and server.poll() is None, error
        yield ours


def test_a_real_name_server(served: usertcp.Stack) -> None:
    def found(name: str, family: int = 0) -> list[str]:
        infos = served.getaddrinfo(name, 80, family, socket.SOCK_STREAM)
        return [info[4][0] for info in infos]

    assert found("both.example") == found("alias.example") == [V6.near, V4.near]
    assert found("h") == [V4.near]
    before = served.counters()["tcp_active_opens"]
    assert len(found("many.example")) == 200
    assert served.counters()["tcp_active_opens"] == before + 1
    with raised(socket.EAI_NONAME):
        found("none.example")
    with raised(socket.EAI_NODATA):
        found("h.corp.example", socket.AF_INET6)
    with raised(socket.EAI_FAIL):
        found("elsewhere.test")
