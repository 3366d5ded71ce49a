"""Poll sets: epoll's meaning for the sockets of stacks."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import select
import socket
import threading
import time
import weakref

import pytest
import usertcp
from conftest import DEADLINE, Back, Family, Pair, Task, blocked, connected


def test_what_is_ready_is_told_as_long_as_it_lasts(back: Back, family: Family) -> None:
    with usertcp.PollSet() as ready, back.far.create_server((family.far, 0), family=family.number) as listener:
        ready.register(listener, select.EPOLLIN)
        assert ready.poll(0) == []
        with back.near.create_connection(listener.getsockname()[:2], timeout=DEADLINE) as client:
            assert ready.poll(DEADLINE) == [(listener, select.EPOLLIN)]
            assert ready.poll(0) == [(listener, select.EPOLLIN)]
            server, _ = listener.accept()
            with server:
                assert ready.poll(0) == []
                ready.register(server)
                assert ready.poll(DEADLINE) == [(server, select.EPOLLOUT)]
                ready.modify(server, select.EPOLLIN | select.EPOLLRDHUP)
                client.sendall(b"x")
                assert ready.poll(DEADLINE) == [(server, select.EPOLLIN)]
                assert server.recv(9) == b"x"
                client.shutdown(socket.SHUT_WR)
                assert ready.poll(DEADLINE) == [(server, select.EPOLLIN | select.EPOLLRDHUP)]
                ready.unregister(server)
                assert ready.poll(0) == []


def test_edges_and_one_shots_are_told_once(pair: Pair) -> None:
    with usertcp.PollSet() as ready:
        ready.register(pair.server, select.EPOLLIN | select.EPOLLET)
        for _ in range(3):
            pair.client.sendall(b"x")
            assert ready.poll(DEADLINE) == [(pair.server, select.EPOLLIN)]
            assert ready.poll(0) == []
        once = select.EPOLLIN | select.EPOLLONESHOT
        for _ in range(3):
            ready.modify(pair.server, once)
            assert ready.poll(DEADLINE) == [(pair.server, select.EPOLLIN)]
            assert ready.poll(0) == []


def test_what_makes_no_sense_is_refused(pair: Pair) -> None:
    ready = usertcp.PollSet()
    ready.register(pair.server, select.EPOLLIN)
    with pytest.raises(FileExistsError):
        ready.register(pair.server, select.EPOLLIN)
    with pytest.raises(FileNotFoundError):
        ready.modify(pair.client, select.EPOLLIN)
    with pytest.raises(FileNotFoundError):
        ready.unregister(pair.client)
    with pytest.raises(OSError) as caught:
        ready.modify(pair.server, 0x100000)
    assert caught.value.errno == errno.EINVAL
    for most in (0, -2):
        with pytest.raises(ValueError, match="maxevents"):
            ready.poll(0, most)
    with pytest.raises(ValueError):
        ready.poll(float("nan"))
    assert not ready.closed
    ready.close()
    ready.close()
    assert ready.closed
    for call in (ready.poll, ready.wake, ready.fileno, ready.__enter__, lambda: ready.register(pair.client)):
        with pytest.raises(ValueError, match="closed"):
            call()
    pair.client.close()
    with usertcp.PollSet() as ready:
        with pytest.raises(OSError) as caught:
            ready.register(pair.client)
        assert caught.value.errno == errno.EBADF


def test_a_socket_that_is_closed_or_collected_is_in_no_set_any_more(back: Back) -> None:
    with usertcp.PollSet() as ready:
        one, other = connected(back), connected(back)
        for pair in (one, other):
            ready.register(pair.server, select.EPOLLIN)
            pair.client.sendall(b"x")
            pair.client.close()
        while len(ready.poll(DEADLINE)) < 2:
            pass
        one.server.close()
        assert ready.poll(0) == [(other.server, select.EPOLLIN)]
        gone = weakref.ref(other.server)
        with pytest.warns(ResourceWarning):
            del other, pair
            gc.collect()
        assert gone() is None
        assert ready.poll(0) == []


def test_all_are_told_of_in_turn_however_many_are_ready(back: Back) -> None:
    pairs = [connected(back) for _ in range(10)]
    with usertcp.PollSet() as ready:
        for pair in pairs:
            ready.register(pair.server, select.EPOLLIN)
            pair.client.sendall(b"x")
        end, told = time.monotonic() + DEADLINE, set[usertcp.Socket]()
        while len(told) < 10:
            assert time.monotonic() < end
            told.update(sock for sock, _ in ready.poll(DEADLINE, 3))
        assert len(ready.poll(0)) == 10
    for sock in (end for pair in pairs for end in pair):
        sock.close()


def test_waiting_ends_by_what_comes_by_wake_by_the_clock_and_by_close(pair: Pair) -> None:
    ready = usertcp.PollSet()
    ready.register(pair.server, select.EPOLLIN)
    began = time.monotonic()
    assert ready.poll(0.15) == []
    assert time.monotonic() - began >= 0.14
    task = Task(ready.poll)
    blocked(task)
    pair.client.sendall(b"x")
    assert task.answer() == [(pair.server, select.EPOLLIN)]
    pair.server.recv(9)
    task = Task(ready.poll, -1)
    blocked(task)
    ready.wake()
    assert task.answer() == []
    # On this thread, which sleeps in slices: a wake is not taken for the end of one.
    ready.wake()
    assert ready.poll() == []
    waker = threading.Timer(0.2, ready.wake)
    waker.start()
    assert ready.poll() == []
    waker.join()
    task = Task(ready.poll, DEADLINE)
    blocked(task)
    ready.close()
    assert getattr(task.ended(), "errno", None) == errno.ECANCELED


def test_the_descriptor_shows_that_there_is_something(pair: Pair) -> None:
    ready = usertcp.PollSet()
    ready.register(pair.server, select.EPOLLIN)
    number = ready.fileno()
    assert number == ready.fileno() and not os.get_inheritable(number)
    assert ready.poll(0) == []
    assert select.select([ready], [], [], 0)[0] == []
    pair.client.sendall(b"x")
    assert select.select([ready], [], [], DEADLINE)[0] == [ready]
    assert ready.poll(0) == [(pair.server, select.EPOLLIN)]
    pair.server.recv(9)
    assert ready.poll(0) == []
    assert select.select([ready], [], [], 0)[0] == []

    async def told() -> list[tuple[usertcp.Socket, int]]:
        loop, come = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(ready, come.set)
        pair.client.sendall(b"y")
        await asyncio.wait_for(come.wait(), DEADLINE)
        loop.remove_reader(ready)
        return ready.poll(0)

    assert asyncio.run(told()) == [(pair.server, select.EPOLLIN)]
    ready.close()
    with pytest.raises(OSError):
        os.fstat(number)
