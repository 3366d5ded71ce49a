"""Waiting: other threads run, Ctrl-C interrupts, closing wakes, and the interpreter ends cleanly."""

from __future__ import annotations

import contextlib
import errno
import gc
import select
import signal
import socket
import subprocess
import sys
import time
import warnings
import weakref
from collections.abc import Callable

import pytest
import usertcp
from conftest import DEADLINE, Back, Pair, Task, asleep, begun, blocked, connected, fill, outcome, works

# Whoever runs the tests in the background may have SIGINT ignored, and children inherit that.
PRELUDE = """
import os, select, signal, socket, sys, threading, time
import usertcp
signal.signal(signal.SIGINT, signal.default_int_handler)
left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
near = usertcp.Stack(fd=left.detach(), addresses=["192.0.2.1/24"])
far = usertcp.Stack(fd=right.detach(), addresses=["192.0.2.2/24"])
listener = far.create_server(("192.0.2.2", 80))
client = near.create_connection(("192.0.2.2", 80))
server, _ = listener.accept()
"""


# What a test has started; none outlives it, however it ends.
def test_other_threads_run_while_one_waits(pair: Pair) -> None:
    task = Task(pair.server.recv, 1)
    blocked(task)
    turns = 0
    end = time.monotonic() + 0.2
    while time.monotonic() < end:
        turns += 1
    pair.client.sendall(b"x")
    assert task.answer() == b"x"
    assert turns > 10_000


@pytest.mark.parametrize(
    "call",
    [
        "server.recv(1)",
        "server.recv(10, socket.MSG_WAITALL)",
        "server.recv_into(bytearray(1))",
        "server.makefile('rb').read()",
        "listener.accept()",
        "client.sendall(bytes(100_000_000))",
        "client.send(bytes(100_000_000))",
        "usertcp.poll([(server, select.POLLIN)])",
        "select.select([server], [], [])",
        "os.read(server.detach(), 1)",
        "near.create_connection(('192.0.2.9', 80))",
        "fill_all(client) or near.close(60.0)",
    ],
)
def test_ctrl_c_interrupts_the_wait(call: str) -> None:
    """The signal comes from another process while the main thread sleeps in the call.

    What is measured has the scheduling of a busy machine in it: the bound is ten times what is promised.
    """
    process = begun(PRELUDE, f"""
        def fill_all(sock):
            sock.setblocking(False)
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                try:
                    sock.send(bytes(1 << 20))
                except BlockingIOError:
                    pass

        sys.stdin.readline()
        print("waiting", flush=True)
        try:
            {call}
        except KeyboardInterrupt:
            print(time.monotonic(), flush=True)
    """)
    assert process.stdin and process.stdout
    process.stdin.write("go\n")
    process.stdin.flush()
    assert process.stdout.readline() == "waiting\n"
    asleep(process.pid, process.pid)
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    code, output, errors = outcome(process)
    assert code == 0, errors
    took = float(output) - sent
    print(f"{call}: interrupted after {took * 1000:.1f} ms")
    assert took < 1.0


def test_ctrl_c_interrupts_a_wait_that_works_all_the_time() -> None:
    """Packets that are nobody's come without a pause, and it is the waiting thread that throws them away."""
    process = begun(PRELUDE, """
        import subprocess
        theirs, own = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        noise = "import os, sys\\nwhile True: os.write(int(sys.argv[1]), b'x')"
        command = [sys.executable, "-c", noise, str(theirs.fileno())]
        crowded = usertcp.Stack(fd=own.detach(), addresses=["198.51.100.1/24"])
        waits = crowded.create_server(("198.51.100.1", 80))
        waiting = crowded.create_connection(("198.51.100.1", 80))
        noisy = [subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=subprocess.DEVNULL) for _ in range(3)]
        # Who was turned away from the device, since another thread was at it, comes back with the next call.
        waiting.settimeout(4)
        print("waiting", flush=True)
        try:
            while True:
                try:
                    waiting.recv(10, socket.MSG_WAITALL)
                except TimeoutError:
                    pass
        except KeyboardInterrupt:
            print(time.monotonic(), flush=True)
        for process in noisy:
            process.kill()
            process.wait()
    """)
    assert process.stdout
    assert process.stdout.readline() == "waiting\n"
    works(process.pid)
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    code, output, errors = outcome(process)
    assert code == 0, errors
    assert float(output) - sent < 1.0


def test_a_signal_handled_on_another_thread_reaches_the_main_one() -> None:
    process = begun(PRELUDE, """
        def interrupt():
            sys.stdin.readline()
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        threading.Thread(target=interrupt).start()
        print("waiting", flush=True)
        try:
            server.recv(1)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """)
    assert process.stdin and process.stdout
    process.stdout.readline()
    asleep(process.pid, process.pid)
    process.stdin.write("go\n")
    process.stdin.flush()
    assert outcome(process)[:2] == (0, "interrupted\n")


def test_a_handler_that_returns_does_not_end_the_wait() -> None:
    process = begun(PRELUDE, """
        def handle(number, frame):
            print("handled", flush=True)
        signal.signal(signal.SIGUSR1, handle)
        print("waiting", flush=True)
        threading.Thread(target=lambda: (sys.stdin.readline(), client.sendall(b"x"))).start()
        print(server.recv(1), flush=True)
    """)
    assert process.stdin and process.stdout
    assert process.stdout.readline() == "waiting\n"
    asleep(process.pid, process.pid)
    process.send_signal(signal.SIGUSR1)
    assert process.stdout.readline() == "handled\n"
    process.stdin.write("go\n")
    process.stdin.flush()
    assert outcome(process)[:2] == (0, "b'x'\n")


def test_closing_wakes_ten_threads(back: Back) -> None:
    client, server = connected(back)
    server.settimeout(None)
    tasks = [Task(server.recv, 1) for _ in range(10)]
    for task in tasks:
        blocked(task)
    server.close()
    assert [getattr(task.ended(), "errno", None) for task in tasks] == [errno.ECANCELED] * 10
    client.close()


def test_closing_a_listener_wakes_accept(back: Back) -> None:
    listener = back.far.create_server(("", 0))
    task = Task(listener.accept)
    blocked(task)
    listener.close()
    assert getattr(task.ended(), "errno", None) == errno.ECANCELED


def test_closing_the_stack_wakes_everybody(back: Back) -> None:
    client, server = connected(back)
    client.settimeout(None)
    tasks = [Task(client.recv, 1), Task(back.near.create_server(("", 0)).accept)]
    for task in tasks:
        blocked(task)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        with contextlib.suppress(TimeoutError):
            back.near.close(timeout=0.05)
        assert all(isinstance(task.ended(), OSError) for task in tasks)
        client.close()
        server.close()
        del tasks
        gc.collect()


def test_the_interpreter_ends_with_a_live_stack_and_sleeping_daemon_threads() -> None:
    process = begun(
        PRELUDE,
        """
        threads = [threading.Thread(target=server.recv, args=(1,), daemon=True) for _ in range(5)]
        threads.append(threading.Thread(target=listener.accept, daemon=True))
        for thread in threads:
            thread.start()
        print("done")
        """
    )
    code, output, errors = outcome(process)
    assert (code, output, errors) == (0, "done\n", "")


def test_what_was_sent_arrives_though_the_stack_was_left_open() -> None:
    """The interpreter's end closes stacks in order: peers see the last bytes and the end of the stream."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    program = f"""
import socket, sys, usertcp
stack = usertcp.Stack(fd={theirs.fileno()}, addresses=["192.0.2.2/24"])
connection = stack.create_connection(("192.0.2.1", 80), timeout=20)
sys.stdin.read()
connection.sendall(b"last words")
"""
    with usertcp.Stack(fd=ours.detach(), addresses=["192.0.2.1/24"]) as stack:
        with stack.create_server(("", 80)) as listener:
            command = [sys.executable, "-c", program]
            with subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.PIPE) as process:
                theirs.close()
                listener.settimeout(DEADLINE)
                sock, _ = listener.accept()
                # The link goes with the child, and a listener's queue with the link.
                assert process.stdin
                process.stdin.close()
                with sock, sock.makefile("rb") as file:
                    sock.settimeout(DEADLINE)
                    assert file.read() == b"last words"
                assert process.wait(DEADLINE) == 0


def test_an_exception_on_the_way_out_is_the_programs_own() -> None:
    code, _, errors = outcome(begun(PRELUDE, "with near, far:\n    raise SystemExit(7)"))
    assert (code, errors) == (7, "")


def test_a_forked_child_leaves_the_connections_alone() -> None:
    process = begun(PRELUDE, """
        waiting = select.epoll()
        waiting.register(server, select.EPOLLIN)
        child = os.fork()
        if child == 0:
            for call in (
                lambda: client.send(b"x"),
                lambda: client.recv(1),
                lambda: client.shutdown(socket.SHUT_RDWR),
                lambda: client.getsockname(),
                lambda: near.counters(),
                lambda: near.socket(),
                lambda: client.fileno(),
                lambda: server.fileno(),
                lambda: client.detach(),
            ):
                try:
                    call()
                except ChildProcessError:
                    continue
                sys.exit(4)
            client.close()
            near.close()
            sys.exit(3)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
        assert waiting.poll(0) == []
        client.sendall(b"still here")
        assert waiting.poll(20) == [(server.fileno(), select.EPOLLIN)]
        print(server.recv(100))
    """)
    code, output, errors = outcome(process)
    assert (code, output) == (0, "b'still here'\n"), errors


def test_sockets_left_open_are_warned_about(back: Back) -> None:
    client, server = connected(back)
    gone = weakref.ref(client)
    with pytest.warns(ResourceWarning, match="unclosed <usertcp.Socket"):
        del client
        gc.collect()
    assert gone() is None
    assert server.recv(1) == b""
    server.close()


def test_stacks_left_open_are_warned_about() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with right:
        stack = usertcp.Stack(fd=left.detach(), addresses=["192.0.2.1/24"])
        with pytest.warns(ResourceWarning, match="unclosed <usertcp.Stack"):
            del stack
            gc.collect()


def test_many_threads_use_many_connections(back: Back) -> None:
    def serve(listener: usertcp.Socket) -> None:
        for _ in range(16):
            sock, _ = listener.accept()
            Task(echo, sock)

    def echo(sock: usertcp.Socket) -> None:
        with sock:
            while piece := sock.recv(65536):
                sock.sendall(piece)

    def talk(number: int) -> bool:
        text = number.to_bytes(2, "big") * 50_000
        with back.near.create_connection(("192.0.2.2", 7), timeout=DEADLINE) as sock:
            sender = Task(fill, sock, text)
            with sock.makefile("rb") as file:
                echoed = file.read()
            sender.answer()
        return bool(echoed == text)

    with back.far.create_server(("", 7)) as listener:
        server = Task(serve, listener)
        assert all(task.answer() for task in [Task(talk, number) for number in range(16)])
        server.answer()


def test_who_waits_is_called_off_and_the_socket_goes_on(back: Back, pair: Pair) -> None:
    listener = back.far.create_server(("192.0.2.2", 0))
    calls: list[tuple[usertcp.Socket, Callable[[], object]]] = [
        (pair.client, lambda: pair.client.recv(1)),
        (listener, listener.accept),
        (pair.client, lambda: usertcp.poll([(pair.client, select.POLLIN)])),
    ]
    for sock, call in calls:
        tasks = [Task(call) for _ in range(3)]
        for task in tasks:
            blocked(task)
        sock.cancel()
        assert [getattr(task.ended(), "errno", None) for task in tasks] == [errno.ECANCELED] * 3
    pair.server.sendall(b"x")
    assert pair.client.recv(1) == b"x"
    listener.close()
    with pytest.raises(OSError) as caught:
        listener.cancel()
    assert caught.value.errno == errno.EBADF


def test_who_has_sent_a_part_is_called_off_too(pair: Pair) -> None:
    task = Task(lambda: pair.client.sendall(bytes(100_000_000)))
    blocked(task)
    pair.client.cancel()
    assert getattr(task.ended(), "errno", None) == errno.ECANCELED


def test_the_main_thread_is_called_off_between_its_slices_too(pair: Pair) -> None:
    pair.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 8)
    calls: tuple[Callable[[], object], ...] = (
        lambda: pair.client.recv(1),
        lambda: pair.client.recv(100),
        lambda: pair.client.recv(2, socket.MSG_WAITALL),
        lambda: usertcp.poll([(pair.client, select.POLLIN)]),
    )
    for call in calls:
        # From a signal handler, which runs between two slices.
        signal.signal(signal.SIGALRM, lambda *_: pair.client.cancel())
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            with pytest.raises(OSError) as caught:
                call()
        finally:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        assert caught.value.errno == errno.ECANCELED
