"""The pytest plugin, by tests that pytest runs in tests."""

from __future__ import annotations

import json
import re
import shlex
import time
from pathlib import Path
from typing import Any

import pytest
import usertcp.sim  # before pytest runs in pytest, and forgets what it imported
from conftest import passed, section
from usertcp import pytest_plugin

pytest_plugins = ["pytester"]

ECHO = """
    import pytest

    def echo(listener):
        with listener:
            connection, _ = listener.accept()
            with connection:
                while data := connection.recv(100):
                    connection.sendall(data)

    def two(net, **link):
        near, far = net.host("near"), net.host("far")
        net.link(near, far, **link)
        net.spawn(echo, far.create_server(("", 7)))
        return near.create_connection(("far", 7))
"""
"""What the inner tests begin with that need two hosts."""


@pytest.fixture(autouse=True)
def settings(pytester: pytest.Pytester) -> None:
    """What pytest-asyncio warns of where it is not said."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")


# Virtual networks


def test_a_network_is_a_fixture_and_closed_after_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        ECHO
        + """
    kept = []

    def test_echo(usertcp_net, usertcp_seed):
        assert usertcp_net.seed == usertcp_seed == 1
        with two(usertcp_net, delay=10.0) as sock:
            sock.sendall(b"hello")
            assert sock.recv(100) == b"hello"
        assert usertcp_net.now >= 40
        kept.append(usertcp_net.host("third"))

    def test_next(usertcp_net):
        assert kept[0].closed and usertcp_net.now == 0
    """
    )
    passed(pytester.runpytest_inprocess(), 2)


def test_a_test_has_the_networks_time(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
    import time
    from time import monotonic, sleep

    def test_it(usertcp_net):
        began = time.monotonic()
        time.sleep(30)
        sleep(30)
        assert time.monotonic() - began == monotonic() - began == usertcp_net.now == 60
    """
    )
    began = time.monotonic()
    passed(pytester.runpytest_inprocess(), 1)
    assert 0 < time.monotonic() - began < 20


def test_a_pair_is_connected_over_either_family(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
    import socket
    import pytest

    pytestmark = pytest.mark.usertcp_link(delay=0.5)

    def exchange(pair):
        client, server = pair
        assert client.getpeername()[:2] == server.getsockname()[:2]
        client.sendall(b"ping")
        assert server.recv(10) == b"ping"
        server.sendall(b"pong")
        assert client.recv(10) == b"pong"

    def test_v4(usertcp_pair):
        began = usertcp_pair.net.now
        exchange(usertcp_pair)
        assert usertcp_pair.client.family == socket.AF_INET
        assert usertcp_pair.net.now - began == pytest.approx(1.0)

    @pytest.mark.usertcp_link(family=socket.AF_INET6, delay=0.25)
    def test_v6_and_the_nearer_mark_goes_first(usertcp_pair):
        began = usertcp_pair.net.now
        exchange(usertcp_pair)
        assert usertcp_pair.client.family == socket.AF_INET6
        assert usertcp_pair.net.now - began == pytest.approx(0.5)

    def test_the_rest_is_at_hand(usertcp_pair, usertcp_net):
        pair = usertcp_pair
        assert pair.net is usertcp_net
        pair.link.cut()
        pair.client.settimeout(30)
        with pytest.raises(TimeoutError):
            pair.client.recv(1)
    """
    )
    passed(pytester.runpytest_inprocess(), 3)


def test_coroutines_run_on_the_loop_of_the_network(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
    import asyncio

    async def answer(reader, writer):
        await asyncio.sleep(600)
        writer.write(await reader.readline())
        writer.close()

    async def talk(net):
        near, far = net.host("near"), net.host("far")
        net.link(near, far, delay=0.05)
        server = await far.start_server(answer, port=7)
        began = asyncio.get_running_loop().time()
        reader, writer = await near.open_connection("far", 7)
        writer.write(b"late\\n")
        assert await reader.read() == b"late\\n"
        assert asyncio.get_running_loop().time() - began > 600
        writer.close()
        server.close()

    async def test_ten_minutes(usertcp_net):
        await talk(usertcp_net)

    class TestMethods:
        async def test_ten_minutes(self, usertcp_net):
            await talk(usertcp_net)
    """
    )
    passed(pytester.runpytest_inprocess(), 2)
    passed(pytester.runpytest_inprocess("-o", "asyncio_mode=auto"), 2)


# Failures


FAILS = (
    ECHO
    + """
    def test_it(usertcp_net):
        with two(usertcp_net, delay=0.125, loss=0.05) as sock:
            sock.sendall(b"hello")
            assert sock.recv(100) == b"goodbye"
"""
)


def test_a_failure_shows_seed_time_packets_and_the_end_of_the_trace(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_fails=FAILS)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    told = section(result)
    assert told[0] == "seed 1; again: pytest --usertcp-seed=1 test_fails.py::test_it"
    assert float(re.fullmatch(r"virtual time ([\d.]+) s", told[1])[1]) >= 0.5  # type: ignore[index]
    files = [line.split(": ", 1) for line in told[2:6]]
    assert [what for what, _ in files] == [
        "packets of near",
        "trace of near",
        "packets of far",
        "trace of far",
    ]
    for _, path in files[::2]:
        packets = Path(path).read_bytes()
        assert packets.startswith(b"\x0a\x0d\x0d\x0a") and b"hello" in packets, "pcapng"
    assert told[6] == f"the last {pytest_plugin.LAST_LINES} events:"
    shown = [re.fullmatch(r" *([\d.]+) (near|far) (?:#\d+|-) (\w+:\w+) \{.*\}", line) for line in told[7:]]
    events = [(float(each[1]), each[2], each[3]) for each in shown if each]
    assert len(events) == len(shown) == pytest_plugin.LAST_LINES
    assert [time for time, _, _ in events] == sorted(time for time, _, _ in events)
    written: list[Any] = [
        (pytest.approx(event["time"] / 1000, abs=1e-6), what.removeprefix("trace of "), event["name"])
        for what, path in files[1::2]
        for event in map(json.loads, Path(path).read_text().splitlines())
        if "time" in event
    ]
    assert all(event in written for event in events)
    assert {host for _, host, _ in events} == {"near", "far"}


def test_a_failure_in_setup_or_teardown_is_told_as_well(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
    import pytest

    @pytest.fixture
    def broken(usertcp_pair):
        raise ValueError("in setup")

    @pytest.fixture
    def left(usertcp_pair):
        yield
        raise ValueError("in teardown")

    def test_setup(broken):
        pass

    def test_teardown(left):
        pass
    """
    )
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=2, passed=1)
    assert len(re.findall(r"^seed 1; again: ", result.stdout.str(), re.MULTILINE)) == 2
    for path in re.findall(r"^packets of client: (.*)$", result.stdout.str(), re.MULTILINE):
        assert Path(path).stat().st_size


def test_what_passes_leaves_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_passes=FAILS.replace("goodbye", "hello"))
    passed(pytester.runpytest_inprocess("--basetemp=kept"), 1)
    assert not list((pytester.path / "kept").glob("usertcp-*"))
    pytester.makepyfile(test_passes=FAILS)
    pytester.runpytest_inprocess("--basetemp=kept").assert_outcomes(failed=1)
    assert list((pytester.path / "kept").glob("usertcp-*/near.pcapng"))


def test_a_deadlock_is_a_failure_like_others(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(usertcp_pair): usertcp_pair.client.recv(1)")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *Deadlock*", "seed 1; again: *"])


def test_a_queue_between_test_and_task_waits_in_the_networks_time(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import queue

        def test_it(usertcp_net):
            client, server = usertcp_net.host("client"), usertcp_net.host("server")
            usertcp_net.link(client, server, delay=0.05)
            got = queue.Queue()

            def serve():
                with server.create_server(("", 7)) as listener:
                    connection, _ = listener.accept()
                    with connection:
                        got.put(connection.recv(100))

            usertcp_net.spawn(serve)
            with client.create_connection(("server", 7), timeout=30) as sock:
                sock.sendall(b"hello")
                assert got.get(timeout=10) == b"hello"
            assert usertcp_net.now < 1
        """
    )
    passed(pytester.runpytest_inprocess(), 1)


# Seeds

LOSES = """
    import pytest

    @pytest.mark.usertcp_seeds(6)
    @pytest.mark.usertcp_link(delay=0.01, loss=0.5)
    def test_it(usertcp_pair, usertcp_seed):
        assert usertcp_pair.net.seed == usertcp_seed
        client, server = usertcp_pair
        client.sendall(b"x")
        assert server.recv(1) == b"x"
        with open("seen", "a") as file:
            print(usertcp_seed, usertcp_pair.net.now, usertcp_pair.client.getsockname()[1], file=file)
"""


def seen(pytester: pytest.Pytester, *arguments: str) -> list[str]:
    """What the inner test wrote in a run."""
    path = pytester.path / "seen"
    path.unlink(missing_ok=True)
    result = pytester.runpytest_inprocess(*arguments)
    lines = path.read_text().splitlines()
    assert result.ret == 0 and result.parseoutcomes()["passed"] == len(lines), result.stdout.str()
    return lines


def test_seeds_repeat_a_test_and_each_can_be_had_again(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(LOSES)
    all_of_them = seen(pytester)
    assert [line.split()[0] for line in all_of_them] == ["1", "2", "3", "4", "5", "6"]
    assert len({line.split()[1] for line in all_of_them}) > 1, "different faults"
    assert seen(pytester) == all_of_them
    assert seen(pytester, "--usertcp-seed=4") == all_of_them[3:4]
    assert seen(pytester, "-k", "seed4") == all_of_them[3:4]
    collected = pytester.runpytest_inprocess("--collect-only", "-q").outlines
    assert [line.split("[")[1] for line in collected if "::" in line] == [f"seed{n}]" for n in range(1, 7)]


def test_seeds_by_a_list_and_by_chance(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(LOSES.replace("seeds(6)", "seeds([9, 18446744073709551615])"))
    assert [line.split()[0] for line in seen(pytester)] == ["9", "18446744073709551615"]
    pytester.makepyfile(LOSES)
    result = pytester.runpytest_inprocess("--usertcp-seed=random")
    passed(result, 6)
    first = int(re.search(r"^usertcp: seed (\d+)$", result.stdout.str(), re.MULTILINE)[1])  # type: ignore[index]
    numbers = [int(line.split()[0]) for line in (pytester.path / "seen").read_text().splitlines()[-6:]]
    assert numbers == list(range(first, first + 6))


@pytest.mark.parametrize("folder", [".", "inner", "beside"])
def test_the_line_that_has_a_failure_again_is_one(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """Wherever pytest was started: it runs that test alone, with that seed."""
    for name in ("inner", "beside"):
        pytester.mkdir(name)
    (pytester.path / "inner/test_fails.py").write_text(
        """
import pytest

@pytest.mark.parametrize("text", ["it's one", "two"])
@pytest.mark.usertcp_seeds(6)
def test_it(usertcp_net, usertcp_seed, text):
    assert usertcp_net.seed == usertcp_seed
    assert usertcp_seed != 4 or text == "two", f"seed {usertcp_seed}"
"""
    )
    monkeypatch.chdir(pytester.path / folder)
    result = pytester.runpytest_inprocess(pytester.path)
    result.assert_outcomes(failed=1, passed=11)
    told = section(result)[0]
    program, *arguments = shlex.split(told.removeprefix("seed 4; again: "))
    assert program == "pytest"
    again = pytester.runpytest_inprocess(*arguments)
    again.assert_outcomes(failed=1)
    assert section(again)[0] == told and "AssertionError: seed 4" in again.stdout.str()


@pytest.mark.parametrize("seed", ["-1", "18446744073709551616", "seven", ""])
def test_a_wrong_seed_is_named(pytester: pytest.Pytester, seed: str) -> None:
    result = pytester.runpytest_inprocess(f"--usertcp-seed={seed}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--usertcp-seed: '{seed}' is neither a number from 0 to 2*"])


@pytest.mark.parametrize(
    ("mark", "argument", "text"),
    [
        ("usertcp_seeds(0)", "usertcp_net", "a number of seeds or a list of them, not 0"),
        ("usertcp_seeds([])", "usertcp_net", "a number of seeds or a list of them"),
        ("usertcp_seeds([-1])", "usertcp_net", "a number of seeds or a list of them"),
        ("usertcp_seeds(True)", "usertcp_net", "a number of seeds or a list of them"),
        ("usertcp_seeds()", "usertcp_net", "takes one argument"),
        ("usertcp_seeds(3)", "tmp_path", "neither it nor its fixtures use a seed"),
        ("usertcp_link(7)", "usertcp_pair", "usertcp_link takes settings by name only"),
        ("usertcp_stack(seed=9)", "usertcp_stack", "usertcp_stack takes no seed"),
        ("usertcp_stack(seed=9)", "kernel_peer", "usertcp_seeds([9]) or --usertcp-seed sets it"),
        ("usertcp_link(los=0.1)", "usertcp_pair", "los"),
        ("usertcp_link(loss=0.1)", "usertcp_net", "neither it nor its fixtures use usertcp_pair"),
        ("usertcp_stack(mtu=900)", "usertcp_net", "neither it nor its fixtures use usertcp_sandbox"),
    ],
)
def test_wrong_marks_are_named(pytester: pytest.Pytester, mark: str, argument: str, text: str) -> None:
    pytester.makepyfile(
        f"import pytest\n@pytest.mark.{mark}\ndef test_it({argument}): print('ran', 'through')"
    )
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    assert text in result.stdout.str() and "ran through" not in result.stdout.str()


def test_seeds_of_what_cannot_be_repeated_are_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest, unittest

        class Old(unittest.TestCase):
            @pytest.mark.usertcp_seeds(3)
            def test_it(self): print('ran', 'through')
        """
    )
    result = pytester.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*Old::test_it is marked usertcp_seeds, but pytest repeats no method of a unittest*"])
    assert "ran through" not in result.stdout.str()


def test_marks_fixtures_and_options_are_described(pytester: pytest.Pytester) -> None:
    marks = pytester.runpytest_inprocess("--markers", "--strict-markers").stdout.str()
    fixtures = pytester.runpytest_inprocess("--fixtures").stdout.str()
    options = pytester.runpytest_inprocess("--help").stdout.str()
    for mark in ("usertcp_seeds", "usertcp_link", "usertcp_stack"):
        assert f"@pytest.mark.{mark}" in marks
    for fixture in (
        "usertcp_net",
        "usertcp_pair",
        "usertcp_stack",
        "usertcp_sandbox",
        "kernel_peer",
        "usertcp_seed",
    ):
        assert re.search(rf"^{fixture} -- .*\n    \S", fixtures, re.MULTILINE), fixture
    assert "--usertcp-seed=N" in options and "--usertcp-tun" in options


# Beside other plugins


def test_beside_pytest_asyncio(pytester: pytest.Pytester, granted: None) -> None:
    """Coroutines that it runs have a stack in real time; those of a virtual network run there, in either mode."""
    pytester.makepyfile(
        """
    import asyncio
    import pytest
    import pytest_asyncio

    @pytest_asyncio.fixture
    async def served(kernel_peer):
        async def upper(reader, writer):
            writer.write((await reader.readline()).upper())
            writer.close()

        listener = kernel_peer.listen()
        listener.setblocking(False)
        server = await asyncio.start_server(upper, sock=listener)
        yield listener.getsockname()
        server.close()

    @pytest.mark.asyncio
    async def test_real(usertcp_stack, served):
        reader, writer = await usertcp_stack.open_connection(*served)
        writer.write(b"loud\\n")
        assert await reader.read() == b"LOUD\\n"
        writer.close()

    async def test_virtual(usertcp_net):
        await asyncio.sleep(3600)
        assert usertcp_net.now == pytest.approx(3600)
    """
    )
    for mode in ("strict", "auto"):
        passed(pytester.runpytest_inprocess("-o", f"asyncio_mode={mode}"), 2)


@pytest.mark.parametrize("mode", ["strict", "auto"])
@pytest.mark.parametrize(
    "program",
    [
        "@pytest.mark.asyncio\nasync def test_it(usertcp_net): print('ran', 'through')",
        "pytestmark = pytest.mark.asyncio\nasync def test_it(usertcp_pair): print('ran', 'through')",
        "class TestIt:\n pytestmark = pytest.mark.asyncio\n async def test_it(self, usertcp_net): print('ran', 'through')",
    ],
    ids=["test", "module", "class"],
)
def test_a_mark_for_another_loop_is_refused(pytester: pytest.Pytester, program: str, mode: str) -> None:
    """A loop that is older than the network would wait for ever, and which is older is up to the order of fixtures."""
    pytester.makepyfile(f"import pytest\n{program}")
    result = pytester.runpytest_inprocess("-o", f"asyncio_mode={mode}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*::test_it uses usertcp_net and is marked asyncio, *: leave the mark away, *or use usertcp_stack"]
    )
    assert "ran through" not in result.stdout.str()


def test_beside_pytest_xdist(pytester: pytest.Pytester, granted: None) -> None:
    """Several processes have a sandbox each, with the same addresses, and one random seed between them."""
    pytester.makepyfile(
        ECHO
        + """
    @pytest.mark.usertcp_seeds(4)
    def test_virtual(usertcp_net, usertcp_seed):
        with two(usertcp_net, loss=0.2) as sock:
            sock.sendall(b"hello")
            assert sock.recv(100) == b"hello"

    @pytest.mark.parametrize("number", range(4))
    def test_real(usertcp_stack, kernel_peer, number):
        listener = kernel_peer.listen(8080)
        with usertcp_stack.create_connection(("192.0.2.1", 8080), timeout=20) as sock:
            sock.sendall(b"hello")
            theirs, _ = listener.accept()
            with theirs:
                assert theirs.recv(100) == b"hello"

    def test_fails(usertcp_pair):
        assert not usertcp_pair
    """
    )
    result = pytester.runpytest_subprocess("-n", "2", "--usertcp-seed=random")
    result.assert_outcomes(passed=8, failed=1)
    assert re.search(r"^seed \d+; again: pytest --usertcp-seed=\d+ ", result.stdout.str(), re.MULTILINE)
