"""Time, threads, locks and waits of simulated code."""

from __future__ import annotations

import concurrent.futures
import contextvars
import os
import queue
import sched
import select
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from threading import RLock as recursive_lock
from time import monotonic as clock
from time import sleep
from typing import Any

import pytest
from usertcp import sim

KERNELS = {
    (module, name): getattr(module, name)
    for module, names in (
        (time, ("sleep", "time", "monotonic", "perf_counter", "time_ns", "monotonic_ns", "perf_counter_ns")),
        (threading, ("Lock", "RLock", "_allocate_lock")),
        (threading.Thread, ("start", "join", "is_alive")),
        (select, ("select", "poll", "epoll")),
        (queue, ("SimpleQueue", "time")),
        (socket, ("socket", "getaddrinfo", "gethostname")),
        (selectors.PollSelector, ("_selector_cls",)),
    )
    for name in names
}


@pytest.fixture
def net() -> Iterator[sim.Network]:
    with sim.Network(seed=1) as net:
        yield net


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    for (owner, name), kernels in KERNELS.items():
        assert getattr(owner, name) is kernels
    assert clock is time.monotonic


@pytest.fixture
def timed(net: sim.Network) -> Iterator[sim.Network]:
    with sim.patch_time(net):
        yield net


def test_the_functions_of_time(timed: sim.Network) -> None:
    assert (time.monotonic(), time.perf_counter(), time.time()) == (0, 0, 1767225600)
    time.sleep(1.5)
    assert (time.monotonic(), time.perf_counter(), time.time()) == (1.5, 1.5, 1767225601.5)
    assert (time.monotonic_ns(), time.perf_counter_ns(), time.time_ns()) == (
        1500000000,
        1500000000,
        1767225601500000000,
    )
    assert time.gmtime(time.time())[:3] == (2026, 1, 1)
    with pytest.raises(ValueError, match="non-negative"):
        time.sleep(-1)
    with pytest.raises(TypeError):
        time.sleep("1")  # type: ignore[arg-type]


def test_names_that_a_module_has_taken(timed: sim.Network) -> None:
    sleep(2)
    assert clock() == 2


def test_a_date_of_ones_own() -> None:
    with sim.Network(epoch=86400.5) as net, sim.patch_time(net):
        assert time.time() == 86400.5


def test_others_keep_the_systems_time(timed: sim.Network) -> None:
    told: list[float] = []
    kernels: Any = KERNELS[threading.Thread, "start"]
    thread = threading.Thread(target=lambda: told.append(time.monotonic()))
    contextvars.Context().run(kernels, thread)
    KERNELS[threading.Thread, "join"](thread)
    assert told[0] != 0
    assert contextvars.Context().run(time.monotonic) != 0


def test_after_the_block_time_is_the_systems(net: sim.Network) -> None:
    with pytest.raises(KeyError), sim.patch_time(net), sim.patch_time(net):
        raise KeyError
    assert time.monotonic() != 0
    begun = time.monotonic()
    with sim.patch_time(net):
        time.sleep(60)
    assert time.monotonic() - begun < 30


def test_which_network(net: sim.Network) -> None:
    with sim.patch_time():  # the only one
        time.sleep(3)
        with sim.Network():
            with sim.patch_time():  # that of the block around
                assert time.monotonic() == net.now == 3
            with pytest.raises(ValueError, match="which network"):
                contextvars.Context().run(sim.patch_time)
    net.close()
    with pytest.raises(ValueError, match="which network"):
        sim.patch_time()


def test_tasks_have_the_networks_time(timed: sim.Network) -> None:
    def work() -> float:
        time.sleep(7)
        return time.monotonic()

    assert timed.spawn(work).result() == 7


def test_a_thread_is_a_task(timed: sim.Network) -> None:
    turns: list[tuple[str, float]] = []

    class Worker(threading.Thread):
        def run(self) -> None:
            for _ in range(3):
                turns.append((self.name, time.monotonic()))
                time.sleep(1)

    threads = [Worker(name=name) for name in "ab"]
    for thread in threads:
        thread.start()
        assert thread.is_alive() and not thread.daemon
    threads[0].join(2.5)
    assert threads[0].is_alive() and time.monotonic() == 2.5
    for thread in threads:
        thread.join()
        assert not thread.is_alive()
    assert turns == [(name, second) for second in (0, 1, 2) for name in "ab"]
    with pytest.raises(RuntimeError, match="only be started once"):
        threads[0].start()


def test_a_thread_that_fails_is_reported(timed: sim.Network, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", seen.append)
    thread = threading.Thread(target=lambda: 1 // 0)
    thread.start()
    thread.join()
    assert [each.exc_type for each in seen] == [ZeroDivisionError]


def test_a_thread_outlives_the_block(net: sim.Network) -> None:
    """What it finds stays, and it can still be waited for."""
    with sim.patch_time(net):
        lock = threading.Lock()
        lock.acquire()

        def work() -> None:
            time.sleep(30)
            lock.release()

        thread = threading.Thread(target=work)
        thread.start()
    assert lock.acquire(timeout=100) and net.now == 30
    thread.join()
    assert not thread.is_alive()


def test_locks(timed: sim.Network) -> None:
    lock = threading.Lock()
    order: list[tuple[str, float]] = []

    def hold(name: str) -> None:
        with lock:
            order.append((name, time.monotonic()))
            time.sleep(1)

    threads = [threading.Thread(target=hold, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    assert lock.locked() and "<locked" in repr(lock)
    assert not lock.acquire(False)
    assert not lock.acquire(timeout=0.25) and time.monotonic() == 0.75
    with pytest.raises(ValueError):
        lock.acquire(False, 1)
    with pytest.raises(ValueError):
        lock.acquire(True, -2)
    for thread in threads:
        thread.join()
    assert order == [("a", 0), ("b", 1), ("c", 2)]
    with pytest.raises(RuntimeError):
        lock.release()


def test_recursive_locks(timed: sim.Network) -> None:
    lock = threading.RLock()
    assert type(lock) is type(recursive_lock())
    seen: list[bool] = []
    with lock, lock:
        thread = threading.Thread(target=lambda: seen.append(lock.acquire(timeout=3)))
        thread.start()
        thread.join()
    assert seen == [False] and time.monotonic() == 3


def test_conditions_events_semaphores_barriers(timed: sim.Network) -> None:
    event, condition = threading.Event(), threading.Condition()
    assert not event.wait(2) and time.monotonic() == 2
    threading.Timer(3, event.set).start()
    assert event.wait(10) and time.monotonic() == 5
    with condition:
        assert not condition.wait_for(lambda: False, timeout=5)
    assert time.monotonic() == 10
    semaphore = threading.Semaphore(0)
    threading.Timer(1, semaphore.release).start()
    assert semaphore.acquire(timeout=7) and time.monotonic() == 11
    barrier = threading.Barrier(2)
    threading.Timer(4, barrier.wait).start()
    barrier.wait()
    assert time.monotonic() == 15
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait(2)


def test_queues(timed: sim.Network) -> None:
    for kind in (queue.Queue, queue.SimpleQueue, queue.PriorityQueue):
        begun = time.monotonic()
        items: Any = kind()

        def produce(items: Any = items) -> None:
            for item in range(3):
                time.sleep(1)
                items.put(item)

        thread = threading.Thread(target=produce)
        thread.start()
        assert [items.get() for _ in range(3)] == [0, 1, 2]
        assert time.monotonic() - begun == 3
        with pytest.raises(queue.Empty):
            items.get(timeout=4)
        assert time.monotonic() - begun == 7
        thread.join()
    bounded: queue.Queue[int] = queue.Queue(1)
    bounded.put(1)
    with pytest.raises(queue.Full):
        bounded.put(2, timeout=6)


def test_executors(timed: sim.Network) -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        futures = [executor.submit(time.sleep, seconds) for seconds in (3, 1, 1)]
        done = [futures.index(each) for each in concurrent.futures.as_completed(futures)]
        assert (done, time.monotonic()) == ([1, 2, 0], 3)
        with pytest.raises(TimeoutError):
            executor.submit(time.sleep, 10).result(timeout=2)
        assert time.monotonic() == 5
    assert time.monotonic() == 13


def test_a_scheduler(timed: sim.Network) -> None:
    """Which has taken the functions as defaults: those are given to it."""
    seen: list[float] = []
    scheduler = sched.scheduler(time.monotonic, time.sleep)
    for delay in (5, 1):
        scheduler.enter(delay, 1, lambda: seen.append(time.monotonic()))
    scheduler.run()
    assert seen == [1, 5]


def test_a_lock_of_two_worlds(timed: sim.Network) -> None:
    """A thread of the system's waits for it as for any."""
    lock = threading.Lock()
    lock.acquire()
    seen: list[bool] = []
    ready = KERNELS[threading, "Lock"]()
    ready.acquire()

    def foreign() -> None:
        ready.release()
        seen.append(lock.acquire(timeout=20))

    thread = threading.Thread(target=foreign)
    contextvars.Context().run(KERNELS[threading.Thread, "start"], thread)
    ready.acquire()
    lock.release()
    KERNELS[threading.Thread, "join"](thread)
    assert seen == [True]


def test_select_as_a_sleep(timed: sim.Network) -> None:
    assert select.select([], [], [], 2) == ([], [], [])
    assert select.poll().poll(1500) == []
    with select.epoll() as epoll:
        assert epoll.poll(0.5) == []
    with selectors.DefaultSelector() as selector:
        assert selector.select(1) == []
    assert time.monotonic() == 5
    with pytest.raises(ValueError):
        select.select([], [], [], -1)


def test_descriptors_of_the_kernel_are_looked_at(timed: sim.Network) -> None:
    reader, writer = os.pipe()
    try:
        assert select.select([reader], [writer], [], 5) == ([], [writer], [])
        assert time.monotonic() == 0
        assert select.select([reader], [], [], 5)[0] == [] and time.monotonic() == 5

        def write() -> None:
            time.sleep(1.005)
            os.write(writer, b"x")

        thread = threading.Thread(target=write)
        thread.start()
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        assert poll.poll() == [(reader, select.POLLIN)]
        assert 6.005 <= time.monotonic() <= 6.016
        thread.join()
        for make in (selectors.SelectSelector, selectors.PollSelector, selectors.EpollSelector):
            with make() as selector:
                selector.register(reader, selectors.EVENT_READ)
                assert [key.fd for key, _ in selector.select(3)] == [reader]
                os.read(reader, 1)
                assert selector.select(3) == []
                os.write(writer, b"x")
                selector.unregister(reader)
                assert selector.select(1) == []
    finally:
        os.close(reader)
        os.close(writer)


def test_deadlock_of_locks(timed: sim.Network) -> None:
    """Two threads with two locks, each waiting for the other's."""
    one, other = threading.Lock(), threading.Lock()

    def take(first: Any, second: Any) -> None:
        with first:
            time.sleep(1)
            with second:
                pytest.fail("no deadlock")

    threads = [
        threading.Thread(target=take, args=pair, name=name)
        for name, pair in (("left", (one, other)), ("right", (other, one)))
    ]
    for thread in threads:
        thread.start()
    with pytest.raises(sim.Deadlock) as caught:
        threads[0].join()
    for name in ("left", "right"):
        assert "with second:" in caught.value.stacks[name]
    assert "threads[0].join()" in caught.value.stacks["main"]
