"""HTTP by blocking libraries, over plain connections and TLS: http.server serves, and everybody asks."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import http.server
import io
import json
import pickle
import socket
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
import urllib3
from conftest import DEADLINE

from libraries.conftest import DATA, SERVER, Trust, World


class Pages(http.server.BaseHTTPRequestHandler):
    """Data whole and in chunks, a place to post to, one that leads elsewhere, and one that never answers."""

    protocol_version = "HTTP/1.1"
    timeout = DEADLINE
    server: Server

    def do_CONNECT(self) -> None:
        """As a proxy that is whom it is asked for."""
        self.close_connection = False  # some ask in HTTP/1.0
        self.server.store.append(self.path)
        self.send_response(200)
        self.end_headers()
        assert self.server.behind
        self.connection = self.server.behind.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)

    def finish(self) -> None:
        super().finish()
        if self.connection is not self.request:
            self.connection.close()

    def do_GET(self) -> None:
        if self.path.startswith("http://"):
            self.server.store.append(self.path)
            self.path = f"/{self.path.rpartition('/')[2]}"
        match self.path:
            case "/data":
                self.answer(DATA)
            case "/chunks":
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for at in range(0, len(DATA), 70_000):
                    piece = DATA[at : at + 70_000]
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n")
            case "/elsewhere":
                self.send_response(302)
                self.send_header("Location", "/data")
                self.send_header("Content-Length", "0")
                self.end_headers()
            case "/busy":
                self.send_response(503)
                self.send_header("Retry-After", "1")
                self.send_header("Content-Length", "0")
                self.end_headers()
            case "/peer":
                self.answer(json.dumps(self.client_address).encode())
            case "/never":
                self.close_connection = True
                with contextlib.suppress(OSError):
                    self.rfile.read(1)  # the end, when the client has had enough
            case _:
                self.send_error(404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(hashlib.sha256(body).hexdigest().encode())

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Says nothing."""


class Server(http.server.ThreadingHTTPServer):
    """Waits for its threads in the end, and speaks TLS if it has a context."""

    daemon_threads = False
    context: ssl.SSLContext | None = None
    behind: ssl.SSLContext | None = None
    """What a proxy speaks once it is asked to connect."""
    store: list[str]
    """What a proxy was asked for."""

    def get_request(self) -> tuple[socket.socket, Any]:
        sock, address = super().get_request()
        if self.context:
            sock = self.context.wrap_socket(sock, server_side=True)
        return sock, address

    def handle_error(self, request: Any, address: Any) -> None:
        raise


@contextlib.contextmanager
def served(world: World, trust: Trust, scheme: str) -> Iterator[str]:
    """A web server on the server's host; its address by name."""
    with world.server.patch():
        server = Server((world.address, 0), Pages)
    if scheme == "https":
        server.context = trust.server
    with world.serving(server):
        yield f"{scheme}://{SERVER}:{server.server_port}"


@pytest.fixture(params=["http", "https"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def web(world: World, trust: Trust, scheme: str) -> Iterator[str]:
    """The address of a web server, and the libraries are on the client's host."""
    with served(world, trust, scheme) as url, world.client.patch():
        yield url


@pytest.fixture
def web_of_own(own: World, trust: Trust, scheme: str) -> Iterator[str]:
    """The address of a web server for a client that is given a stack; module `socket` is as it always is."""
    with served(own, trust, scheme) as url:
        yield url


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def refused(world: World, url: str) -> str:
    """An address where nobody listens."""
    return f"{url.rsplit(':', 1)[0]}:9"


@pytest.mark.library("http.client", "http.server")
def test_http_client(world: World, web: str, trust: Trust) -> None:
    scheme, place = web.split("://")
    connection: http.client.HTTPConnection
    if scheme == "http":
        connection = http.client.HTTPConnection(place, timeout=DEADLINE)
    else:
        connection = http.client.HTTPSConnection(place, timeout=DEADLINE, context=trust.client)
    with contextlib.closing(connection):
        for path in ("/data", "/chunks", "/data"):
            connection.request("GET", path)
            assert connection.getresponse().read() == DATA
            sock = connection.sock
        assert connection.sock is sock
        connection.request("POST", "/", body=io.BytesIO(DATA), headers={"Content-Length": str(len(DATA))})
        assert connection.getresponse().read().decode() == digest(DATA)
        sock.settimeout(world.patience)
        connection.request("GET", "/never")
        with pytest.raises(TimeoutError):
            connection.getresponse()
    nobody = http.client.HTTPConnection(refused(world, place), timeout=DEADLINE)
    with contextlib.closing(nobody), pytest.raises(ConnectionRefusedError):
        nobody.connect()


@pytest.mark.library("urllib", "http.server")
def test_urllib(world: World, web: str, trust: Trust) -> None:
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust.client)
    )
    for path in ("data", "chunks", "elsewhere"):
        with opener.open(f"{web}/{path}", timeout=DEADLINE) as answer:
            assert answer.read() == DATA
    with opener.open(f"{web}/", data=DATA, timeout=DEADLINE) as answer:
        assert answer.read().decode() == digest(DATA)
    with pytest.raises(urllib.error.HTTPError, match="404") as missing:
        opener.open(f"{web}/none", timeout=DEADLINE)
    missing.value.close()
    with pytest.raises(TimeoutError):
        opener.open(f"{web}/never", timeout=world.patience)
    with pytest.raises(urllib.error.URLError) as nobody:
        opener.open(refused(world, web), timeout=DEADLINE)
    assert isinstance(nobody.value.reason, ConnectionRefusedError)


def pool(trust: Trust) -> urllib3.PoolManager:
    return urllib3.PoolManager(ssl_context=trust.client, retries=False, timeout=DEADLINE)


@pytest.mark.library("urllib3")
def test_urllib3(world: World, web: str, trust: Trust) -> None:
    with pool(trust) as manager:
        for path in ("/data", "/chunks"):
            assert manager.request("GET", web + path).data == DATA
        assert manager.request("POST", web, body=DATA).data.decode() == digest(DATA)
        peers = {manager.request("GET", f"{web}/peer").data for _ in range(3)}
        assert len(peers) == 1, "one connection for all"
        answer = manager.request("GET", f"{web}/data", preload_content=False)
        assert b"".join(answer.stream(10_000)) == DATA
        answer.release_conn()
        with pytest.raises(urllib3.exceptions.ReadTimeoutError):
            manager.request("GET", f"{web}/never", timeout=world.patience)
        with pytest.raises(urllib3.exceptions.NewConnectionError, match="refused"):
            manager.request("GET", refused(world, web))
        with pytest.raises(urllib3.exceptions.NameResolutionError):
            manager.request("GET", "http://nobody.invalid/")


def ask_requests(world: World, session: requests.Session, web: str) -> None:
    """What requests is asked for, by whichever way it connects."""
    for path in ("/data", "/chunks", "/elsewhere"):
        assert session.get(web + path, timeout=DEADLINE).content == DATA
    assert session.post(web, data=DATA, timeout=DEADLINE).text == digest(DATA)
    assert len({session.get(f"{web}/peer", timeout=DEADLINE).text for _ in range(3)}) == 1
    with session.get(f"{web}/data", stream=True, timeout=DEADLINE) as answer:
        assert b"".join(answer.iter_content(10_000)) == DATA
    with pytest.raises(requests.HTTPError, match="404"):
        session.get(f"{web}/none", timeout=DEADLINE).raise_for_status()
    with pytest.raises(requests.ReadTimeout):
        session.get(f"{web}/never", timeout=world.patience)
    with pytest.raises(requests.ConnectionError, match="refused"):
        session.get(refused(world, web), timeout=DEADLINE)
    with pytest.raises(requests.ConnectionError, match="resolve"):
        session.get("http://nobody.invalid/", timeout=DEADLINE)


@pytest.fixture
def session(trust: Trust) -> Iterator[requests.Session]:
    """A session of requests that knows the authority from a file, the only way it takes."""
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(trust.file)
        yield session


@pytest.mark.library("requests")
def test_requests(world: World, web: str, session: requests.Session) -> None:
    ask_requests(world, session, web)


@pytest.mark.library("requests")
def test_requests_with_an_adapter(own: World, web_of_own: str, session: requests.Session) -> None:
    for prefix in ("http://", "https://"):
        session.mount(prefix, own.stack.requests_adapter())
    ask_requests(own, session, web_of_own)


class Fewer(urllib3.Retry):
    """Retries of a program's own."""


@pytest.mark.library("requests")
@pytest.mark.parametrize("kind", [urllib3.Retry, Fewer])
def test_requests_tries_again(
    own: World, trust: Trust, session: requests.Session, kind: type[urllib3.Retry]
) -> None:
    """With pauses of urllib3's and of the server's choice, by the clock of the stack."""
    adapter = own.stack.requests_adapter(max_retries=kind(2, backoff_factor=0.25))
    assert isinstance(adapter.max_retries, kind)
    session.mount("http://", adapter)
    with own.lasting(0.5), pytest.raises(requests.ConnectionError, match="refused"):
        session.get(f"http://{own.address}:9/", timeout=DEADLINE)
    adapter.max_retries = kind(1)
    with served(own, trust, "http") as url, session:
        with own.lasting(1):
            assert session.get(f"{url}/busy", timeout=DEADLINE).status_code == 503


def ask_httpx(world: World, client: httpx.Client, web: str) -> None:
    """What httpx is asked for, by whichever way it connects."""
    for path in ("/data", "/chunks", "/elsewhere"):
        assert client.get(web + path).content == DATA
    assert client.post(web, content=DATA).text == digest(DATA)
    assert len({client.get(f"{web}/peer").text for _ in range(3)}) == 1
    with client.stream("GET", f"{web}/data") as answer:
        assert b"".join(answer.iter_bytes(10_000)) == DATA
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        client.get(f"{web}/none").raise_for_status()
    with pytest.raises(httpx.ReadTimeout):
        client.get(f"{web}/never", timeout=world.patience)
    with pytest.raises(httpx.ConnectError, match="refused"):
        client.get(refused(world, web))
    with pytest.raises(httpx.ConnectError, match="not known"):
        client.get("http://nobody.invalid/")


OPTIONS: dict[str, Any] = {"timeout": DEADLINE, "follow_redirects": True, "trust_env": False}


@pytest.mark.library("httpx")
def test_httpx(world: World, web: str, trust: Trust) -> None:
    with httpx.Client(verify=trust.client, **OPTIONS) as client:
        ask_httpx(world, client, web)


@pytest.mark.library("httpx")
def test_httpx_with_a_transport(own: World, web_of_own: str, trust: Trust) -> None:
    with httpx.Client(transport=own.stack.httpx_transport(verify=trust.client), **OPTIONS) as client:
        ask_httpx(own, client, web_of_own)


@pytest.mark.library("httpx")
def test_httpx_tries_again(own: World) -> None:
    """The transport's own retries, which sleep by the clock of the stack."""
    with httpx.Client(transport=own.stack.httpx_transport(retries=2), **OPTIONS) as client:
        # The first of them at once, the second after half a second.
        with own.lasting(0.5), pytest.raises(httpx.ConnectError, match="refused"):
            client.get(f"http://{own.address}:9/")


@pytest.fixture
def proxy(own: World, trust: Trust) -> Iterator[tuple[str, list[str]]]:
    """The address of a proxy by name, and what it was asked for."""
    with own.server.patch():
        server = Server((own.address, 0), Pages)
    server.behind, server.store = trust.server, []
    with own.serving(server):
        yield f"http://{SERVER}:{server.server_port}", server.store


ASKED = ["http://nobody.invalid/data", f"{SERVER}:443"]


@pytest.mark.library("requests")
def test_requests_by_a_proxy(own: World, proxy: tuple[str, list[str]], session: requests.Session) -> None:
    url, asked = proxy
    for prefix in ("http://", "https://"):
        session.mount(prefix, own.stack.requests_adapter())
    proxies = {"http": url, "https": url}
    for wanted in ("http://nobody.invalid/data", f"https://{SERVER}/data"):
        assert session.get(wanted, timeout=DEADLINE, proxies=proxies).content == DATA
    assert asked == ASKED
    with pytest.raises(requests.exceptions.InvalidSchema, match="SOCKS"):
        session.get("http://nobody.invalid/", proxies={"http": "socks5://192.0.2.9"})


@pytest.mark.library("httpx")
def test_httpx_by_a_proxy(own: World, proxy: tuple[str, list[str]], trust: Trust) -> None:
    url, asked = proxy
    transport = own.stack.httpx_transport(verify=trust.client, proxy=url)
    with httpx.Client(transport=transport, **OPTIONS) as client:
        for wanted in ("http://nobody.invalid/data", f"https://{SERVER}/data"):
            assert client.get(wanted).content == DATA

    async def main() -> None:
        transport = own.stack.httpx_async_transport(verify=trust.client, proxy=url)
        async with httpx.AsyncClient(transport=transport, **OPTIONS) as client:
            for wanted in ("http://nobody.invalid/data", f"https://{SERVER}/data"):
                assert (await client.get(wanted)).content == DATA

    own.run(main)
    assert asked == ASKED * 2


def test_an_adapter_stays_where_it_is(own: World) -> None:
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(own.stack.requests_adapter())


@pytest.mark.parametrize(
    ("method", "library"),
    [
        ("requests_adapter", "requests"),
        ("httpx_transport", "httpx"),
        ("httpx_async_transport", "httpx"),
        ("aiohttp_connector", "aiohttp"),
    ],
)
def test_without_the_library(own: World, monkeypatch: pytest.MonkeyPatch, method: str, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"usertcp._adapters._{library}", raising=False)
    with pytest.raises(ImportError, match=rf"Stack\.{method} needs the library {library}") as caught:
        getattr(own.stack, method)()
    assert caught.value.name == library


def test_a_transport_has_no_unix_sockets(own: World) -> None:
    for make in (own.stack.httpx_transport, own.stack.httpx_async_transport):
        with pytest.raises(TypeError, match="AF_UNIX"):
            make(uds="/run/socket")
