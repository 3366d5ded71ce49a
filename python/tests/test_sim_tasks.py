"""Tasks of a simulated network: one at a time, in the same order every time, and what is told when all stand still."""

from __future__ import annotations

import os
import socket
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest
from usertcp import sim


@pytest.fixture
def net() -> Iterator[sim.Network]:
    with sim.Network(seed=3) as net:
        yield net


def test_results_and_exceptions_are_carried_over(net: sim.Network) -> None:
    def divide(a: int, b: int) -> int:
        net.sleep(5)
        return a // b

    good, bad = net.spawn(divide, 7, 2), net.spawn(divide, 7, 0, name="bad")
    assert repr(good) == "<usertcp.sim.Task 'divide' runs>" and not good.done()
    assert good.result() == 3 and net.now == 5
    with pytest.raises(ZeroDivisionError) as caught:
        bad.result()
    assert caught.traceback[-1].name == "divide"
    assert isinstance(bad.exception(), ZeroDivisionError)
    assert (repr(good), repr(bad)) == (
        "<usertcp.sim.Task 'divide' returned>",
        "<usertcp.sim.Task 'bad' raised ZeroDivisionError>",
    )


def test_time_outs_of_waiting(net: sim.Network) -> None:
    task = net.spawn(net.sleep, 10)
    assert not task.join(3) and net.now == 3
    with pytest.raises(TimeoutError, match="'sleep' still runs after 4 seconds"):
        task.result(4)
    assert net.now == 7
    assert not task.join(0)
    assert task.join(100) and net.now == 10
    assert task.join() and task.result() is None


def test_nobody_waits_for_himself(net: sim.Network) -> None:
    tasks: list[sim.Task[object]] = []


    def wait() -> None:
        net.sleep(1)
        tasks[0].join()

    tasks.append(net.spawn(wait))
    with pytest.raises(RuntimeError, match="itself"):
        tasks[0].result()


def test_exactly_one_runs(net: sim.Network) -> None:
    """A switch of threads every microsecond finds them at it, if there are two."""
    running, most, turns = 0, 0, []

    def work(name: str) -> None:
        nonlocal running, most
        for _ in range(5):
            running += 1
            most = max(most, running)
            for _ in range(3000):
                most = max(most, running)
            running -= 1
            turns.append(name)
            net.sleep(0.001)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        tasks = [net.spawn(work, name) for name in "abcd"]
        for task in tasks:
            task.result()
    finally:
        sys.setswitchinterval(interval)
    assert most == 1
    assert turns == list("abcd") * 5


def test_time_passes_only_while_all_wait(net: sim.Network) -> None:
    seen: list[float] = []

    def work(steps: int) -> None:
        for _ in range(steps):
            before = net.now
            sum(range(10000))
            seen.append(net.now - before)
            net.sleep(0.5)

    tasks = [net.spawn(work, 4) for _ in range(3)]
    for task in tasks:
        task.join()
    assert seen == [0.0] * 12 and net.now == 2


def test_tasks_make_tasks(net: sim.Network) -> None:
    def fibonacci(n: int) -> int:
        if n < 2:
            return n
        a, b = net.spawn(fibonacci, n - 1), net.spawn(fibonacci, n - 2)
        return a.result() + b.result()

    assert net.spawn(fibonacci, 7).result() == 13


def test_a_task_begins_at_once(net: sim.Network) -> None:
    """So that a server listens before its client is made, however short the link."""
    order: list[str] = []

    def work(name: str) -> None:
        order.append(f"{name} begins")
        net.sleep(1)
        order.append(f"{name} ends")

    tasks = [net.spawn(work, name) for name in "ab"]
    order.append("main")
    for task in tasks:
        task.join()
    assert order == ["a begins", "b begins", "main", "a ends", "b ends"]


def test_a_sleeper_of_no_time_lets_the_others_go_first(net: sim.Network) -> None:
    order: list[str] = []

    def work() -> None:
        for _ in range(3):
            order.append("task")
            net.sleep(0)

    net.spawn(work)
    for _ in range(2):
        order.append("main")
        net.sleep(0)
    assert order == ["task", "main", "task", "main", "task"] and net.now == 0


def test_what_nobody_asked_for_is_raised_at_the_end() -> None:
    def fail(text: str) -> None:
        raise ValueError(text)

    with pytest.raises(ValueError, match="one"), sim.Network() as net:
        net.spawn(fail, "one").join()
    with pytest.raises(ExceptionGroup, match="tasks of the network have failed") as caught, sim.Network() as net:
        net.spawn(fail, "one")
        net.spawn(fail, "two")
        net.sleep(1)
    assert [str(error) for error in caught.value.exceptions] == ["one", "two"]
    with pytest.raises(KeyError) as other, sim.Network() as net:
        net.spawn(fail, "one", name="server")
        net.sleep(1)
        raise KeyError("mine")
    assert other.value.__notes__ == ["task 'server' has failed: ValueError('one')"]
    with sim.Network() as net:
        assert isinstance(net.spawn(fail, "one").exception(), ValueError)
    with sim.Network() as net:
        net.spawn(fail, "one")
        with pytest.raises(ValueError, match="one"):
            net.run_for(1)


def test_tasks_that_still_run_are_cut_off(net: sim.Network) -> None:
    ended: list[str] = []

    def forever() -> None:
        try:
            while True:
                net.sleep(1)
        finally:
            ended.append(threading.current_thread().name)

    net.spawn(forever, name="looper")
    net.sleep(5)
    net.close()
    assert ended == ["looper"]


def test_a_task_that_does_not_end_is_told_of_and_hides_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usertcp.sim._network.PATIENCE", 0.05)
    reader, writer = os.pipe()

    def forever(net: sim.Network) -> None:
        try:
            net.sleep(60)
        except OSError:
            os.read(reader, 1)

    with pytest.warns(RuntimeWarning, match="still running in a closed network: stuck"), sim.Network() as net:
        net.spawn(forever, net, name="stuck")
        net.sleep(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.raises(KeyError) as caught, sim.Network() as net:
            net.spawn(forever, net, name="stuck")
            net.sleep(1)
            raise KeyError("mine")
        assert caught.value.__notes__ == ["still running in a closed network: stuck"]
        with pytest.raises(RuntimeWarning, match="still running"), sim.Network() as net:
            net.spawn(forever, net, name="stuck")
            net.sleep(1)
    os.close(writer)


def test_a_deadlock_tells_where_everybody_is(net: sim.Network) -> None:
    a, b = net.host("a"), net.host("b")
    net.link(a, b)

    def serve() -> None:
        with b.create_server(("", 80)) as listener:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1)  # and so does the client

    def waits_for_another() -> None:
        task.join()

    def gone() -> None:
        raise LookupError("at once")

    task = net.spawn(serve, name="server")
    net.spawn(waits_for_another)
    lost = net.spawn(gone)
    with a.socket() as client:
        net.sleep(1)
        client.connect(("b", 80))
        with pytest.raises(sim.Deadlock) as caught:
            client.recv(1)
    assert list(caught.value.stacks) == ["main", "server", "waits_for_another"]
    for name, line in (
        ("main", "client.recv(1)"),
        ("server", "connection.recv(1)"),
        ("waits_for_another", "task.join()"),
    ):
        assert line in caught.value.stacks[name].splitlines()[-1]
        assert line in str(caught.value)
    assert "in serve" in caught.value.stacks["server"]
    assert "usertcp/sim" not in str(caught.value)
    assert "task 'gone' has failed" in str(caught.value) and "LookupError: at once" in str(caught.value)
    assert not isinstance(caught.value, OSError)
    assert lost.exception() is not None


def test_after_a_deadlock_things_go_on(net: sim.Network) -> None:
    """The others are still where they were."""
    a, b = net.host("a"), net.host("b")
    net.link(a, b)

    def serve() -> bytes:
        with b.create_server(("", 80)) as listener, listener.accept()[0] as connection:
            return connection.recv(10)

    task = net.spawn(serve)
    with pytest.raises(sim.Deadlock):
        task.join()
    with a.create_connection(("b", 80)) as client:
        client.sendall(b"x")
        assert task.result() == b"x"


def test_a_deadlock_by_sleeping_for_ever(net: sim.Network) -> None:
    with pytest.raises(sim.Deadlock, match="every task waits"):
        net._raw.sleep(None)


def test_the_oldest_task_is_told_once_the_main_one_waits_no_more(net: sim.Network) -> None:
    """Here the main task waits for the one that is told nothing; so it is the main one that hears of it."""
    a = net.host("a")

    def stuck() -> None:
        with a.create_server(("", 80)) as listener:
            listener.accept()

    task = net.spawn(stuck)
    with pytest.raises(sim.Deadlock) as caught:
        task.result()
    assert "listener.accept()" in caught.value.stacks["stuck"]


def test_two_networks_have_nothing_to_do_with_each_other(net: sim.Network) -> None:
    with sim.Network(seed=4) as other:
        task = other.spawn(other.sleep, 10)
        net.sleep(3)
        assert (net.now, other.now) == (3, 0)
        task.join()
        assert (net.now, other.now) == (3, 10)


def test_a_host_of_another_network(net: sim.Network) -> None:
    with sim.Network() as other, pytest.raises(ValueError, match="not of this network"):
        net.spawn(print, host=other.host("x"))


def test_many_connections_at_once(net: sim.Network) -> None:
    a, b = net.host("a"), net.host("b")
    net.link(a, b, delay=0.01, loss=0.02)

    def answer(connection: socket.socket) -> None:
        with connection:
            connection.sendall(connection.recv(100).upper())

    def serve() -> None:
        with b.create_server(("", 80)) as listener:
            for _ in range(20):
                net.spawn(answer, listener.accept()[0])

    def ask(number: int) -> bytes:
        with a.create_connection(("b", 80), timeout=60) as connection:
            connection.sendall(b"number %d" % number)
            return connection.recv(100)

    net.spawn(serve)
    tasks = [net.spawn(ask, number) for number in range(20)]
    assert [task.result() for task in tasks] == [b"NUMBER %d" % number for number in range(20)]
