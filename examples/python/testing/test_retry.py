"""Does the client's retry policy do what its documentation says?

The policy under test: three attempts, five seconds of patience in each, a pause of one and then two seconds between them.
Tried with a real network it takes half a minute and a firewall; here each test takes some milliseconds, and is the same
every time.
"""

import http.client
import http.server
import time
from collections.abc import Iterator

import pytest
from usertcp import sim

PAGE = b"It works.\n" * 1000


class Unavailable(Exception):
    """No attempt was successful."""


def fetch(host: str, path: str, *, attempts: int = 3, patience: float = 5.0, pause: float = 1.0) -> bytes:
    """The code under test, which knows nothing of virtual networks."""
    reason: Exception | None = None
    for attempt in range(attempts):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        connection = http.client.HTTPConnection(host, timeout=patience)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            if response.status < 500:
                return response.read()
            reason = http.client.HTTPException(f"{response.status} {response.reason}")
        except (OSError, http.client.HTTPException) as error:
            reason = error
        finally:
            connection.close()
    raise Unavailable(f"{attempts} attempts failed, the last by: {reason!r}")


class Site(http.server.BaseHTTPRequestHandler):
    """What the server has."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def serve() -> None:
    """Serves for ever; the end of the network ends it."""
    with http.server.HTTPServer(("", 80), Site) as web:
        web.serve_forever()


@pytest.fixture
def link(usertcp_net: sim.Network) -> Iterator[sim.Link]:
    """A client, on whose host the test itself runs, and a server called www, 30 ms apart."""
    # One address each: of two, `create_connection` gives each its time-out.
    client = usertcp_net.host("client", addresses="192.0.2.1/24")
    server = usertcp_net.host("www", addresses="192.0.2.2/24")
    link = usertcp_net.link(client, server, delay=0.03)
    usertcp_net.spawn(serve, host=server)
    with client.patch():
        yield link


def test_a_page_takes_two_round_trips(link: sim.Link) -> None:
    began = time.monotonic()
    assert fetch("www", "/") == PAGE
    assert time.monotonic() - began == pytest.approx(2 * 0.06, rel=0.1)


@pytest.mark.usertcp_seeds(20)
def test_loss_is_the_business_of_tcp(link: sim.Link) -> None:
    link.set(delay=0.03, loss=0.1)
    began = time.monotonic()
    assert fetch("www", "/") == PAGE
    assert time.monotonic() - began < 18


def test_it_gives_up_when_the_policy_says_so(link: sim.Link) -> None:
    link.cut()
    began = time.monotonic()
    with pytest.raises(Unavailable, match="3 attempts failed, the last by: TimeoutError"):
        fetch("www", "/")
    assert time.monotonic() - began == pytest.approx(5 + 1 + 5 + 2 + 5, abs=0.01)


def test_the_third_attempt_succeeds_where_the_link_comes_back(
    usertcp_net: sim.Network, link: sim.Link
) -> None:
    def repair() -> None:
        time.sleep(12)
        link.heal()

    link.cut()
    usertcp_net.spawn(repair)
    began = time.monotonic()
    assert fetch("www", "/") == PAGE
    assert 13 <= time.monotonic() - began < 14
