"""The pytest plugin: stacks on a TUN device."""

from __future__ import annotations

from pathlib import Path

import pytest
import usertcp
import usertcp.sim  # before pytest runs in pytest, and forgets what it imported
from conftest import passed, section
from usertcp import pytest_plugin


@pytest.fixture(autouse=True)
def settings(pytester: pytest.Pytester) -> None:
    """What pytest-asyncio warns of where it is not said."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")


def test_a_stack_speaks_with_the_kernel(pytester: pytest.Pytester, granted: None) -> None:
    pytester.makepyfile(
        """
    import os
    import socket
    import pytest

    BEFORE = os.readlink("/proc/self/ns/net"), os.readlink("/proc/self/ns/user"), os.getresuid(), os.getresgid()

    def test_the_process_stays_where_and_who_it_is(usertcp_stack, kernel_peer):
        now = os.readlink("/proc/self/ns/net"), os.readlink("/proc/self/ns/user"), os.getresuid(), os.getresgid()
        assert now == BEFORE

    @pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
    def test_either_side_connects(usertcp_stack, kernel_peer, family):
        listener = kernel_peer.listen(family=family)
        with usertcp_stack.create_connection(listener.getsockname()[:2], timeout=20) as ours:
            theirs, _ = listener.accept()
            with theirs:
                ours.sendall(b"to the kernel")
                assert theirs.recv(100) == b"to the kernel"
        with usertcp_stack.create_server(("", 80), family=family) as listener:
            address = "2001:db8::2" if family == socket.AF_INET6 else "192.0.2.2"
            theirs = kernel_peer.connect((address, 80))
            listener.settimeout(20)
            ours, peer = listener.accept()
            with ours:
                assert peer[0] == kernel_peer.address(family)
                theirs.sendall(b"from the kernel")
                ours.settimeout(20)
                assert ours.recv(100) == b"from the kernel"

    @pytest.mark.usertcp_stack(mtu=1280, impairment={"delay": 0.001}, host_addresses="198.51.100.1/24",
                               addresses=["198.51.100.2/24"])
    def test_settings(usertcp_stack, kernel_peer):
        assert not usertcp_stack.offloaded
        assert kernel_peer.address() == "198.51.100.1"
        with pytest.raises(LookupError, match="AF_INET6"):
            kernel_peer.address(socket.AF_INET6)
        listener = kernel_peer.listen(8080)
        with usertcp_stack.create_connection(("198.51.100.1", 8080), timeout=20) as ours:
            assert ours.getsockname()[0] == "198.51.100.2"
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) < 1280

    def test_sockets_are_closed_in_the_end(kernel_peer):
        global left
        left = kernel_peer.socket(), kernel_peer.socket(type=socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        assert left[0].gettimeout() and left[1].gettimeout() == 0

    def test_they_were():
        assert [sock.fileno() for sock in left] == [-1, -1]
    """
    )
    passed(pytester.runpytest_inprocess("-W", "error", "--usertcp-tun=require"), 6)


def test_settings_that_make_no_sense_are_no_lack_of_a_device(
    pytester: pytest.Pytester, granted: None
) -> None:
    pytester.makepyfile(
        "import pytest\n@pytest.mark.usertcp_stack(queues=10000)\ndef test_it(usertcp_stack): pass\n"
    )
    pytester.runpytest_inprocess().assert_outcomes(errors=1)


def test_a_failure_of_a_stack_shows_its_end(pytester: pytest.Pytester, granted: None) -> None:
    pytester.makepyfile(
        """
    def test_it(usertcp_stack, kernel_peer):
        listener = kernel_peer.listen(8080)
        with usertcp_stack.create_connection(("192.0.2.1", 8080), timeout=20) as ours:
            theirs, _ = listener.accept()
            with theirs:
                theirs.sendall(b"unexpected")
                ours.settimeout(20)
                assert ours.recv(100) == b"expected"
    """
    )
    result = pytester.runpytest_inprocess("--usertcp-seed=5")
    result.assert_outcomes(failed=1)
    told = section(result)
    assert told[0].startswith("seed 5; again: pytest --usertcp-seed=5 ")
    assert b"unexpected" in Path(told[1].removeprefix("packets of stack: ")).read_bytes()
    assert "connection_started" in Path(told[2].removeprefix("trace of stack: ")).read_text()
    assert told[3].startswith("the last ") and all(" stack " in line for line in told[4:])


@pytest.mark.parametrize("required", [False, True])
def test_where_no_tun_can_be_had(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, required: bool
) -> None:
    def refused(**settings: object) -> None:
        raise PermissionError(1, "Operation not permitted: unshare")

    monkeypatch.setattr(usertcp, "Sandbox", refused)
    pytester.makepyfile("def test_it(usertcp_stack): pass\ndef test_that(kernel_peer): pass")
    result = pytester.runpytest_inprocess("-rs", *(["--usertcp-tun=require"] if required else []))
    result.assert_outcomes(**{"errors" if required else "skipped": 2})
    result.stdout.fnmatch_lines(
        ["*usertcp: no TUN device can be had here: *Operation not permitted: unshare*"]
    )


@pytest.mark.parametrize(
    ("exists", "opens", "text"),
    [
        (False, False, "there is no /dev/net/tun"),
        (True, False, "chmod 666 /dev/net/tun"),
        (True, True, "user namespaces"),
    ],
)
def test_what_mends_it_is_said(
    monkeypatch: pytest.MonkeyPatch, exists: bool, opens: bool, text: str
) -> None:
    monkeypatch.setattr("os.path.exists", lambda path: exists)
    monkeypatch.setattr("os.access", lambda path, mode: opens)
    told = pytest_plugin._mends()
    monkeypatch.undo()
    assert text in told
