"""Stacks: how they open, what they tell, how they end."""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
import usertcp
from conftest import DEADLINE, FAR, NEAR, V4, Back, Task, connected, drain, fill, finish, joined


def link() -> tuple[int, socket.socket]:
    """A descriptor for a stack, and the other end."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return left.detach(), right


def test_the_version_is_known() -> None:
    assert usertcp.__version__.startswith(".".join(map(str, usertcp.version_info)))


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"addresses": "192.0.2.300/24"}, ValueError, "192.0.2.300/24"),
        (
            {"config": {"tcp.rto_mni": 1}},
            TypeError,
            "unknown setting 'tcp.rto_mni': there are .*tcp.rto_min,",
        ),
        ({"config": {"tcp.rto_min": "soon"}}, TypeError, "tcp.rto_min"),
        ({"config": {"tcp.rto_min": -1}}, ValueError, "tcp.rto_min"),
        ({"config": {"ip.hop_limit": 300}}, ValueError, "ip.hop_limit"),
        ({"config": {"spin": 0.02}}, OSError, "spin"),
        ({"impairment": {"loss": 2.0}}, ValueError, "loss must be a probability"),
        ({"impairment": {"los": 0.1}}, TypeError, "los"),
        ({"impairment_in": {"burst_loss": -1}}, ValueError, "burst_loss must be a probability"),
        ({"impairment_in": {"burst_enter": 0.1}}, OSError, "burst_leave"),
        ({"impairment": {"police_rate": 1000}}, OSError, "police_burst"),
        ({"log": "loud"}, ValueError, "log must be one of"),
        ({"tun": "utcp0"}, TypeError, "not both"),
        ({"offload": "required"}, TypeError, "offload do not go with fd"),
        ({"offload": "maybe"}, ValueError, "maybe"),
        ({"host_addresses": "192.0.2.9/24"}, TypeError, "host_addresses and"),
        ({"trace": 1_000_000}, OSError, "Errno 9.*1000000"),
        ({"offlaod": "off"}, TypeError, "offlaod"),
        ({"mtu": 100}, OSError, "mtu 100"),
        ({"seed": -1}, OverflowError, None),
    ],
)
def test_wrong_settings_are_named_and_the_descriptor_stays_the_callers(
    settings: dict[str, Any], error: Any, text: str | None
) -> None:
    fd, other = link()
    with other:
        with pytest.raises(error, match=text):
            usertcp.Stack(**{"fd": fd, "addresses": NEAR, **settings})
        os.close(fd)


def test_a_wrong_offload_is_named() -> None:
    with pytest.raises(ValueError, match="'auto', 'off' or 'required'"):
        usertcp.Stack(addresses=NEAR, offload="maybe")  # type: ignore[arg-type]


def test_a_descriptor_must_be_open() -> None:
    for fd in (-1, 1 << 20):
        with pytest.raises(OSError) as caught:
            usertcp.Stack(fd=fd, addresses=NEAR)
        assert caught.value.errno == errno.EBADF


def test_the_stack_owns_its_descriptor() -> None:
    fd, other = link()
    with other:
        stack = usertcp.Stack(fd=fd, addresses=[ipaddress.ip_interface("192.0.2.1/24")])
        with pytest.raises(OSError):
            os.fstat(fd)
        stack.close()
        other.settimeout(DEADLINE)
        assert other.recv(1) == b"", "the stack let go of the link"


def test_an_object_with_a_descriptor_stays_its_owners() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right:
        for given in (left, [left]):
            with usertcp.Stack(fd=given, addresses=NEAR) as stack:
                with stack.socket() as sock:
                    sock.setblocking(False)
                    assert sock.connect_ex((V4.far, 80)) == errno.EINPROGRESS
                right.settimeout(DEADLINE)
                assert right.recv(100)[9] == socket.IPPROTO_TCP
            os.fstat(left.fileno())
        left.settimeout(DEADLINE)
        left.send(b"and it is of use")
        while right.recv(100) != b"and it is of use":
            pass
    with pytest.raises(OSError) as caught:
        usertcp.Stack(fd=left, addresses=NEAR)
    assert caught.value.errno == errno.EBADF, "it is closed"


@pytest.mark.parametrize("wrong", ["3", 3.0, object(), [object()], [[3]]])
def test_what_has_no_descriptor_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError):
        usertcp.Stack(fd=wrong, addresses=NEAR)


def test_a_descriptor_is_not_given_twice() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right:
        number = left.fileno()
        cases: list[list[int | socket.socket]] = [[number] * 2, [left, left], [right.fileno(), number, left]]
        for twice in cases:
            with pytest.raises(ValueError, match=f"descriptor {number} is given twice"):
                usertcp.Stack(fd=twice, workers=len(twice), addresses=NEAR)
        os.fstat(number)


def test_defaults_can_be_given_back() -> None:
    fd, other = link()
    with other, usertcp.Stack(fd=fd, addresses=NEAR, config=usertcp.DEFAULTS) as stack:
        assert not stack.closed
    assert stack.closed
    assert usertcp.DEFAULTS["tcp.rto_min"] == 0.2
    with pytest.raises(TypeError):
        usertcp.DEFAULTS["tcp.rto_min"] = 1


def test_closing_twice_is_no_error_and_calls_afterwards_are() -> None:
    fd, other = link()
    with other:
        stack = usertcp.Stack(fd=fd, addresses=NEAR)
        assert "closed" not in repr(stack)
        stack.close()
        stack.close()
        assert "[closed]" in repr(stack)
        with pytest.raises(OSError) as caught:
            stack.socket()
        assert caught.value.errno == errno.EBADF


def test_closing_says_when_something_had_to_be_reset() -> None:
    fd, other = link()
    with other:
        back = joined()
        client, server = connected(back)
        client.sendall(b"unread")
        finish(back.far)
        client.close()
        server.close()
        finish(back.near)
        stack = usertcp.Stack(fd=fd, addresses=NEAR)
        sock = stack.socket()
        sock.setblocking(False)
        assert sock.connect_ex((V4.far, 80)) == errno.EINPROGRESS
        stack.close(timeout=0)
        sock.close()


def test_counters_count_by_name() -> None:
    near, far = joined()
    with near, far:
        client, server = connected(Back(near, far))
        with client, server:
            client.sendall(b"x")
            assert server.recv(1) == b"x"
            totals = near.counters()
            assert totals["tcp_active_opens"] == 1
            assert totals["frames_out"] >= 3
            assert totals["drop_tcp_checksum"] == 0
            assert far.counters()["tcp_passive_opens"] == 1
        assert near.device_name == ""
        assert near.offloaded is False


def test_cookies_are_a_setting_with_names() -> None:
    assert usertcp.DEFAULTS["tcp.syn_cookies"] == "when_full"
    back = joined(config={"tcp.syn_cookies": "always"})
    with back.near, back.far, back.far.create_server((V4.far, 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) == 7
        listener.settimeout(DEADLINE)
        with back.near.create_connection((V4.far, listener.getsockname()[1]), DEADLINE) as client:
            client.sendall(b"hello")
            with listener.accept()[0] as server:
                assert server.recv(9) == b"hello"
        counters = back.far.counters()
        assert (counters["tcp_syn_cookies_sent"], counters["tcp_syn_cookies_received"]) == (1, 1)
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right, pytest.raises(ValueError, match="when_full"):
        usertcp.Stack(fd=left.fileno(), addresses=[], config={"tcp.syn_cookies": "sometimes"})


def test_a_personality_decides_the_defaults_and_no_more() -> None:
    assert usertcp.DEFAULTS["personality"] == "linux"
    back = joined(config={"buffers.send": 40_000, "personality": "freebsd"})
    with back.near, back.far, back.far.create_server((V4.far, 0)) as listener:
        listener.settimeout(DEADLINE)
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 65_536
        with back.near.create_connection((V4.far, listener.getsockname()[1]), DEADLINE) as client:
            assert client.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 65_700
            assert client.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 40_000
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right, pytest.raises(ValueError, match="personality.*'plan9' is none of linux and freebsd"):
        usertcp.Stack(fd=left.fileno(), addresses=[], config={"personality": "plan9"})


def test_settings_reach_the_stack() -> None:
    near, far = joined(config={"tcp.mss": 700, "ip.hop_limit": 7, "spin": 50e-6})
    with near, far:
        client, server = connected(Back(near, far))
        with client, server:
            assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= 700


def test_loss_is_survived_and_seen(tmp_path: Path) -> None:
    """One packet of fifty is lost, and the bytes are exact all the same."""
    faults = usertcp.Impairment(loss=0.02, delay=0.001)
    settings = {"config": {"tcp.rto_min": 0.02, "tcp.rto_initial": 0.05}, "seed": 7}
    near, far = joined(impairment=faults, **settings)
    sent = bytes(range(256)) * 2000
    try:
        client, server = connected(Back(near, far))
        with client, server:
            task = Task(fill, client, sent)
            with server.makefile("rb") as file:
                assert file.read() == sent
            task.answer()
            assert client.tcp_info().total_retrans > 0
            assert near.counters()["tcp_retransmits"] > 0
    finally:
        finish(near)
        finish(far)


def test_each_direction_has_faults_of_its_own() -> None:
    """What one side sends passes a policer, and what it receives a link that takes 600 bytes and says so."""
    police = usertcp.Impairment(police_rate=20_000_000, police_burst=4000)
    narrow = usertcp.Impairment(mtu=600, mtu_told=True)
    settings = {"config": {"tcp.rto_min": 0.02, "tcp.rto_initial": 0.05}, "seed": 7}
    near, far = joined(impairment=police, impairment_in=narrow, **settings)
    sent = bytes(range(256)) * 500
    try:
        client, server = connected(Back(near, far))
        with client, server:
            for source, target in ((client, server), (server, client)):
                task = Task(fill, source, sent)
                assert drain(target) == task.answer()
            assert client.tcp_info().total_retrans > 0
            assert server.tcp_info().snd_mss <= 560
    finally:
        finish(near)
        finish(far)


def test_faults_change_while_a_stack_is_open() -> None:
    """The link goes dark and comes back, and what was sent meanwhile arrives."""
    near, far = joined(impairment={}, config={"tcp.rto_min": 0.02, "tcp.rto_initial": 0.05}, seed=7)
    try:
        client, server = connected(Back(near, far))
        with client, server:
            near.impair({"loss": 1.0}, {})
            client.sendall(b"a")
            server.settimeout(0.3)
            with pytest.raises(TimeoutError):
                server.recv(1)
            server.settimeout(20)
            near.impair(None)
            assert server.recv(1) == b"a"
            with pytest.raises(ValueError, match="loss must be a probability"):
                near.impair({"loss": 1.5})
            with pytest.raises(OSError, match="police_burst"):
                near.impair(None, {"police_rate": 1000})
    finally:
        finish(near)
        finish(far)
    for lone in joined():
        with pytest.raises(OSError, match="open the stack with impairments"):
            lone.impair({"loss": 0.5})
        lone.close()


def test_marks_slow_the_sender_down() -> None:
    """A link that marks where many packets wait: nothing is lost, and the sender makes its window smaller all the same."""
    marks = usertcp.Impairment(rate=100_000_000, delay=0.002, queue=1000, mark=10)
    assert usertcp.DEFAULTS["tcp.ecn"] == "passive"
    near, far = joined(impairment=marks, config={"tcp.ecn": "on"}, seed=7)
    sent = bytes(range(256)) * 8000
    try:
        client, server = connected(Back(near, far))
        with client, server:
            task = Task(fill, client, sent)
            with server.makefile("rb") as file:
                assert file.read() == sent
            task.answer()
            assert client.tcp_info().delivered_ce > 0
            assert near.counters()["tcp_ecn_reductions"] > 0
            assert far.counters()["tcp_ecn_marks"] > 0
    finally:
        finish(near)
        finish(far)


def test_every_packet_is_in_the_capture(tmp_path: Path) -> None:
    path = tmp_path / "near.pcapng"
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with usertcp.Stack(fd=left.detach(), addresses=NEAR, pcap=path) as near:
        with usertcp.Stack(fd=right.detach(), addresses=FAR) as far:
            client, server = connected(Back(near, far))
            with client, server:
                client.sendall(b"a needle in the haystack")
                assert server.recv(100, socket.MSG_PEEK)
    capture = path.read_bytes()
    assert capture[:4] == b"\x0a\x0d\x0d\x0a"
    assert b"a needle in the haystack" in capture


def test_log_records_reach_logging() -> None:
    records: list[logging.LogRecord] = []
    came = threading.Event()

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)
            came.set()

    logger, keep = logging.getLogger("usertcp"), Keep()
    logger.addHandler(keep)
    logger.setLevel(logging.DEBUG)
    try:
        near, far = joined(log="debug")
        with near, far:
            client, server = connected(Back(near, far))
            client.close()
            server.close()
        assert came.wait(DEADLINE)
    finally:
        logger.removeHandler(keep)
        logger.setLevel(logging.NOTSET)
    assert {record.name for record in records} == {"usertcp"}
    assert all(record.levelno >= logging.DEBUG and record.getMessage() for record in records)


def test_a_log_handler_may_call_the_stack() -> None:
    """Records are delivered by a thread of Python's, which may wait for anything."""
    near, far = joined(log="debug")
    asked = threading.Event()

    class Ask(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            try:
                near.counters()
            except OSError:
                pass
            asked.set()

    logger, ask = logging.getLogger("usertcp"), Ask()
    logger.addHandler(ask)
    logger.setLevel(logging.DEBUG)
    try:
        with near:
            far.close()
            assert asked.wait(DEADLINE)
    finally:
        logger.removeHandler(ask)
        logger.setLevel(logging.NOTSET)


def test_the_peers_link_going_away_is_told() -> None:
    fd, other = link()
    with usertcp.Stack(fd=fd, addresses=NEAR) as stack:
        other.close()
        with pytest.raises(OSError) as caught:
            stack.create_connection((V4.far, 80), timeout=DEADLINE)
        assert caught.value.errno in (errno.ENETDOWN, errno.ENETUNREACH)


def test_routes_are_the_ways_out() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with right, usertcp.Stack(fd=left.detach(), addresses=NEAR, routes="198.51.100.0/24") as stack:
        with stack.socket(socket.AF_INET) as sock, pytest.raises(OSError) as caught:
            sock.connect(("203.0.113.1", 9))
        assert caught.value.errno == errno.ENETUNREACH
        for other in (("fe80::9%7", 9), ("fe80::9", 9, 0, 7)):
            with stack.socket(socket.AF_INET6) as sock, pytest.raises(OSError) as caught:
                sock.connect(other)
            assert caught.value.errno == errno.ENODEV
        with stack.socket(socket.AF_INET6) as sock, pytest.raises(socket.gaierror):
            sock.connect(("fe80::9%eth0", 9))
    with pytest.raises(ValueError, match="default via"):
        usertcp.Stack(fd=0, addresses=NEAR, routes=["somewhere"])
