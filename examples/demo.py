#!/usr/bin/env python3
"""The main job on real input: programs with a TCP stack of their own talk to real servers and serve real clients.

`make demo` builds what this needs and runs it. Everything happens in a sandbox, a network namespace of its own: no root, no sudo, and the
machine's network is left alone. Ends with a table; any difference between what was sent and what arrived makes the exit code 1,
and so does, with `--judge`, anything in a capture that the RFCs do not allow.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import usertcp

HOST = {4: "192.0.2.1", 6: "2001:db8::1"}
OWN = {4: "192.0.2.2", 6: "2001:db8::2"}
HOST_ADDRESSES = [f"{HOST[4]}/24", f"{HOST[6]}/64"]
OWN_ADDRESSES = [f"{OWN[4]}/24", f"{OWN[6]}/64"]
FAR = {4: "203.0.113.2", 6: "2001:db8:2::2"}
KERNEL_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
PATIENCE = 60.0
CLIENTS = 8
MIDDLE_MTU = 1400

CONTROLLER = """
for name in cubic reno; do
    echo $name >/proc/sys/net/ipv4/tcp_congestion_control && break
done
cat /proc/sys/net/ipv4/tcp_congestion_control
"""

# Takes in what it is sent and answers with the digest.
SINK = """
import hashlib, socket
listener = socket.create_server(("::", 8003), family=socket.AF_INET6, dualstack_ipv6=True)
print("Taking", flush=True)
while True:
    sock, _ = listener.accept()
    with sock, sock.makefile("rb") as file:
        sock.sendall(hashlib.file_digest(file, "sha256").hexdigest().encode())
"""

# A router and a server, each in a namespace of its own, behind the sandbox's kernel; all of it ends with the end of its standard input.
HOPS = """
set -eu
PATH=$PATH:/usr/sbin:/sbin
unshare -n sleep 600 & router=$!
unshare -n sleep 600 & server=$!
trap 'kill $router $server ${sink:-} ${http:-} 2>/dev/null' EXIT
namespace() { readlink /proc/$1/ns/net; }
for try in $(seq 200); do
    [ "$(namespace $router)" != "$(namespace self)" ] && [ "$(namespace $server)" != "$(namespace self)" ] && break
    sleep 0.02
done
at() { nsenter -n -t "$@"; }
direct='echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad; echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad'
sh -c "$direct"
at $router sh -c "$direct"
at $server sh -c "$direct"
ip link add middle mtu MTU type veth peer name middle mtu MTU netns $router
at $router ip link add far type veth peer name far netns $server
ip addr add 198.51.100.1/24 dev middle
ip addr add 2001:db8:1::1/64 dev middle nodad
at $router ip addr add 198.51.100.2/24 dev middle
at $router ip addr add 2001:db8:1::2/64 dev middle nodad
at $router ip addr add 203.0.113.1/24 dev far
at $router ip addr add 2001:db8:2::1/64 dev far nodad
at $server ip addr add 203.0.113.2/24 dev far
at $server ip addr add 2001:db8:2::2/64 dev far nodad
ip link set middle up
at $router ip link set middle up
at $router ip link set far up
at $server ip link set far up
at $server ip link set lo up
forward='echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
sh -c "$forward"
at $router sh -c "$forward"
at $server sh -c 'CONTROLLER' 2>/dev/null
ip route add 203.0.113.0/24 via 198.51.100.2
ip route add 2001:db8:2::/64 via 2001:db8:1::2
at $router ip route add 192.0.2.0/24 via 198.51.100.1
at $router ip route add 2001:db8::/64 via 2001:db8:1::1
at $server ip route add default via 203.0.113.1
at $server ip route add default via 2001:db8:2::1
nsenter -n -t $server PYTHON -c 'SINK' & sink=$!
nsenter -n -t $server PYTHON -u -m http.server -p HTTP/1.1 --bind :: --directory FOLDER 8002 2>/dev/null & http=$!
read -r line || true
"""


@dataclass
class Row:
    """One line of the table."""

    who: str
    direction: str
    family: int
    bytes: int
    seconds: float
    own: int | None
    peer: int | None
    equal: bool

    def cells(self) -> list[str]:
        rate = self.bytes * 8 / self.seconds / 1e9 if self.seconds else 0.0
        again = "/".join("-" if count is None else str(count) for count in (self.own, self.peer))
        sha256 = "equal" if self.equal else "DIFFERENT"
        family = f"IPv{self.family}"
        return [self.who, self.direction, family, f"{self.bytes:,}", f"{self.seconds:.2f}", f"{rate:.3f}", again, sha256]


@dataclass
class Demo:
    """What the parts share: where things are, and what came out so far."""

    programs: Path
    scratch: Path
    size: int
    judge: Path | None
    rows: list[Row] = field(default_factory=list)
    servers: set[str] = field(default_factory=set)
    peers: set[str] = field(default_factory=set)
    lawful: bool = True

    def add(self, row: Row) -> None:
        self.rows.append(row)
        *_, seconds, rate, _, sha256 = row.cells()
        say(f"    {row.direction} IPv{row.family}: {row.bytes:,} bytes in {seconds} s, {rate} Gbit/s, sha256 {sha256}")

    @property
    def file(self) -> Path:
        return self.scratch / "www" / "file"

    def command(self, program: str) -> list[str]:
        """A program in C by its name, or one in Python by its file's."""
        if program.endswith(".py"):
            return [sys.executable, str(Path(__file__).parent / "python" / program)]
        return [str(self.programs / program)]


def say(text: str) -> None:
    print(text, flush=True)


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def choose_controller(sandbox: usertcp.Sandbox) -> str:
    """Gives the servers in the sandbox CUBIC, or Reno where the kernel lets a namespace choose only that; says which they have."""
    with sandbox.spawn(["sh", "-c", CONTROLLER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout
        return child.stdout.read().decode().strip()


def choose_cubic(demo: Demo, sock: socket.socket) -> None:
    """CUBIC for a socket of the kernel; an ordinary user may not, where it is neither the default nor allowed to all."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    name = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
    demo.peers.add(name.rstrip(b"\0").decode())


def await_listener(child: usertcp.Child, port: int) -> None:
    """Waits until a program in the sandbox listens on `port`."""
    wanted = f":{port:04X} "
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and child.poll() is None:
        for table in ("tcp", "tcp6"):
            lines = Path(f"/proc/{child.pid}/net/{table}").read_text().splitlines()[1:]
            if any(wanted in line.split(":", 1)[1][:60] and line.split()[3] == "0A" for line in lines):
                return
        time.sleep(0.02)
    raise RuntimeError(f"nobody listens on port {port}; the server's exit status is {child.returncode}")


@contextlib.contextmanager
def http_server(demo: Demo, sandbox: usertcp.Sandbox) -> Iterator[int]:
    """Python's own HTTP server, unmodified."""
    argv = [sys.executable, "-m", "http.server", "-p", "HTTP/1.1", "--bind", "::"]
    argv += ["--directory", str(demo.file.parent), "8000"]
    with sandbox.spawn(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        await_listener(child, 8000)
        yield 8000


@contextlib.contextmanager
def nginx(demo: Demo, sandbox: usertcp.Sandbox, program: str) -> Iterator[int]:
    """nginx, where it is installed."""
    folder = demo.scratch / "nginx"
    folder.mkdir(exist_ok=True)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "conf").write_text(
        f"user root; daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; sendfile on; {temporary}\n"
        f"server {{ listen 8001; listen [::]:8001; root {demo.file.parent}; }} }}\n"
    )
    argv = [program, "-e", "stderr", "-p", str(folder), "-c", str(folder / "conf")]
    with sandbox.spawn(argv, stdout=subprocess.DEVNULL) as child:
        await_listener(child, 8001)
        yield 8001


def get(demo: Demo, sandbox: usertcp.Sandbox, program: str, server: str, host: str, port: int, family: int) -> None:
    """Downloads the file with one of the examples and compares it with the original."""
    tun = sandbox.tun()
    output = demo.scratch / "download"
    name = f"[{host}]" if family == 6 else host
    argv = [*demo.command(program), "--fd", str(tun)]
    for address in OWN_ADDRESSES:
        argv += ["--address", address]
    argv += ["-o", str(output), f"http://{name}:{port}/file"]
    began = time.monotonic()
    try:
        done = subprocess.run(argv, pass_fds=[tun], stdout=subprocess.PIPE, text=True, timeout=PATIENCE)
    finally:
        os.close(tun)
    seconds = time.monotonic() - began
    told = dict(word.split("=", 1) for word in done.stdout.split() if "=" in word)
    equal = done.returncode == 0 and output.exists() and digest_of(output) == digest_of(demo.file)
    count = output.stat().st_size if output.exists() else 0
    output.unlink(missing_ok=True)
    own = int(told["retransmits"]) if "retransmits" in told else None
    seconds = float(told.get("seconds", seconds))
    demo.add(Row(f"{program} from {server}", "in", family, count, seconds, own, None, equal))


def put(demo: Demo, sandbox: usertcp.Sandbox, server: str, host: str, port: int, family: int) -> None:
    """Uploads; the path's MTU has to be found out, or nothing arrives."""
    data = os.urandom(1 << 16) * (demo.size >> 16)
    with sandbox.stack(addresses=OWN_ADDRESSES) as stack:
        began = time.monotonic()
        with stack.create_connection((host, port), timeout=PATIENCE) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            digest = b""
            while piece := sock.recv(100):
                digest += piece
        seconds = time.monotonic() - began
        counters = stack.counters()
    if counters["path_mtus"] != 1:
        raise RuntimeError("the upload did not have to find out the path's MTU")
    equal = digest.decode() == hashlib.sha256(data).hexdigest()
    demo.add(Row(f"to a server {server}", "out", family, len(data), seconds, counters["tcp_retransmits"], None, equal))


def downloads(demo: Demo) -> None:
    with usertcp.Sandbox(host_addresses=HOST_ADDRESSES) as sandbox, contextlib.ExitStack() as servers:
        demo.servers.add(choose_controller(sandbox))
        found = {"http.server": servers.enter_context(http_server(demo, sandbox))}
        if program := shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
            found["nginx"] = servers.enter_context(nginx(demo, sandbox, program))
        else:
            say("skipped: nginx is not installed")
        for number, program in ((1, "get"), (2, "get.py")):
            for server, port in found.items():
                say(f"({number}) {program} downloads from {server} on the kernel's side")
                for family in (4, 6):
                    get(demo, sandbox, program, server, HOST[family], port, family)


def client(demo: Demo, sandbox: usertcp.Sandbox, family: int, port: int, data: bytes, results: list[tuple[bool, int]]) -> None:
    """A kernel-side client of an echo server: sends everything while it reads it back."""
    with sandbox.socket(KERNEL_FAMILY[family]) as sock:
        choose_cubic(demo, sock)
        sock.settimeout(PATIENCE)
        sock.connect((OWN[family], port))
        sender = threading.Thread(target=send_all, args=(sock, data), daemon=True)
        sender.start()
        digest = hashlib.sha256()
        while piece := sock.recv(1 << 18):
            digest.update(piece)
        sender.join(PATIENCE)
        results.append((digest.digest() == hashlib.sha256(data).digest(), kernel_retransmissions(sock)))


def send_all(sock: socket.socket, data: bytes) -> None:
    """Sends everything and the end of the stream."""
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def kernel_retransmissions(sock: socket.socket) -> int:
    """`tcpi_total_retrans` of a socket of the kernel."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int(struct.unpack_from("=I", info, 100)[0])


def eight_clients(demo: Demo, sandbox: usertcp.Sandbox, program: str, family: int) -> None:
    """Eight kernel-side clients at once against a server on the stack."""
    pieces = [os.urandom(1 << 16) * (demo.size >> 19) for _ in range(CLIENTS)]
    results: list[tuple[bool, int]] = []
    threads = [
        threading.Thread(target=client, args=(demo, sandbox, family, 7, data, results), daemon=True) for data in pieces
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    seconds = time.monotonic() - began
    equal = len(results) == CLIENTS and all(same for same, _ in results)
    total = 2 * sum(len(data) for data in pieces)
    peer = sum(count for _, count in results)
    demo.add(Row(f"{program}, {CLIENTS} clients", "in + out", family, total, seconds, None, peer, equal))


def servers(demo: Demo) -> None:
    with usertcp.Sandbox(host_addresses=HOST_ADDRESSES) as sandbox:
        for program in ("echo_server", "echo_server.py"):
            say(f"(3) {program} on the stack answers {CLIENTS} clients of the kernel at once")
            tun = sandbox.tun()
            argv = [*demo.command(program), "--fd", str(tun), "--port", "7"]
            for address in OWN_ADDRESSES:
                argv += ["--address", address]
            server = subprocess.Popen(argv, pass_fds=[tun], stdout=subprocess.PIPE, text=True)
            os.close(tun)
            try:
                assert server.stdout
                server.stdout.readline()
                for family in (4, 6):
                    eight_clients(demo, sandbox, program, family)
            finally:
                server.terminate()
                server.wait(PATIENCE)


def two_hops(demo: Demo) -> None:
    """A server behind two routers and a link with a smaller MTU, which stands for the internet."""
    if not shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
        say("skipped: the server two hops away: ip (iproute2) is not installed")
        return
    script = HOPS.replace("MTU", str(MIDDLE_MTU)).replace("PYTHON", sys.executable)
    script = script.replace("FOLDER", str(demo.file.parent)).replace("CONTROLLER", CONTROLLER).replace("SINK", SINK)
    with usertcp.Sandbox(host_addresses=HOST_ADDRESSES) as sandbox:
        say(f"(4) downloads from and uploads to a server two hops away, behind a link with an MTU of {MIDDLE_MTU}")
        pipe = subprocess.PIPE
        with sandbox.spawn(["sh", "-c", script], stdin=pipe, stdout=pipe) as hops:
            assert hops.stdin and hops.stdout
            demo.servers.add(hops.stdout.readline().decode().strip())
            said = hops.stdout.readline() + hops.stdout.readline()
            if b"Serving" not in said or b"Taking" not in said:
                raise RuntimeError("the two hops could not be set up")
            for family in (4, 6):
                # The upload first: a download would teach the server the path's MTU, and it would announce a smaller segment.
                put(demo, sandbox, "two hops away", FAR[family], 8003, family)
                get(demo, sandbox, "get", "two hops away", FAR[family], 8002, family)
            hops.stdin.close()
            hops.wait(PATIENCE)


def pump(sock: socket.socket | usertcp.Socket, data: bytes) -> str:
    """Sends `data` while it receives to the end; the digest of what came."""
    def send() -> None:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    digest = hashlib.sha256()
    while piece := sock.recv(1 << 18):
        digest.update(piece)
    sender.join(PATIENCE)
    return digest.hexdigest()


def impaired(demo: Demo, family: int) -> None:
    """Both directions at once over a link that loses 1 % of the packets and takes 20 ms for a round trip."""
    ours, theirs = os.urandom(4 << 20), os.urandom(4 << 20)
    faults = usertcp.Impairment(loss=0.01, delay=0.01)
    capture = demo.scratch / f"lossy-{family}.pcapng" if demo.judge else None
    with usertcp.Sandbox(host_addresses=HOST_ADDRESSES, offload=False) as sandbox:
        with sandbox.socket(KERNEL_FAMILY[family]) as listener:
            listener.bind((HOST[family], 9))
            listener.listen()
            arrived: list[tuple[str, int]] = []

            def accept() -> None:
                sock, _ = listener.accept()
                with sock:
                    choose_cubic(demo, sock)
                    digest = pump(sock, theirs)
                    arrived.append((digest, kernel_retransmissions(sock)))

            peer = threading.Thread(target=accept, daemon=True)
            peer.start()
            with sandbox.stack(addresses=OWN_ADDRESSES, impairment=faults, seed=family, pcap=capture) as stack:
                began = time.monotonic()
                with stack.create_connection((HOST[family], 9), timeout=PATIENCE) as sock:
                    digest = pump(sock, ours)
                    peer.join(PATIENCE)
                seconds = time.monotonic() - began
                own = stack.counters()["tcp_retransmits"]
    again = arrived[0][1] if arrived else None
    both = bool(arrived) and arrived[0][0] == hashlib.sha256(ours).hexdigest()
    equal = both and digest == hashlib.sha256(theirs).hexdigest()
    demo.add(Row("1 % loss, 20 ms", "in + out", family, len(ours) + len(theirs), seconds, own, again, equal))
    if demo.judge and capture:
        # What waits for a busy machine's processor is not late.
        argv = [str(demo.judge), "--capturing", "--slack", "500", str(capture)]
        done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=PATIENCE)
        say(f"    by the RFCs: {done.stdout.strip().removeprefix(f'{capture}: ')}")
        demo.lawful &= done.returncode == 0


def lossy(demo: Demo) -> None:
    say("(5) 4 MiB each way at once, under 1 % loss and 20 ms of round-trip time")
    for family in (4, 6):
        impaired(demo, family)


def table(demo: Demo) -> None:
    heads = ["who", "direction", "family", "bytes", "seconds", "Gbit/s", "sent again", "sha256"]
    lines = [heads, *(row.cells() for row in demo.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    say("")
    for number, line in enumerate(lines):
        cells = [
            cell.rjust(width) if 3 <= column <= 6 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        say("  ".join(cells).rstrip())
        if number == 0:
            say("  ".join("-" * width for width in widths))
    servers, peers = ", ".join(sorted(demo.servers)), ", ".join(sorted(demo.peers))
    say("")
    say("sent again: segments retransmitted by the stack / by the kernel's side, - where nobody tells.")
    say(f"Congestion control: the stack cubic; servers on the kernel's side {servers}; kernel-side sockets of this demo {peers}.")


def main() -> int:
    parser = argparse.ArgumentParser(description="Shows the stack at work in a sandbox.")
    parser.add_argument("--examples", type=Path, required=True, help="folder of the compiled examples")
    parser.add_argument("--judge", type=Path, help="usertcp-tracecheck, to judge a capture of what the stack sends")
    parser.add_argument("--megabytes", type=int, default=64, help="size of the file to download")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="usertcp-demo-") as scratch:
        demo = Demo(given.examples.resolve(), Path(scratch), given.megabytes << 20, given.judge)
        demo.file.parent.mkdir()
        with demo.file.open("wb") as file:
            for _ in range(given.megabytes):
                file.write(os.urandom(1 << 20))
        try:
            usertcp.Sandbox(host_addresses=HOST_ADDRESSES).close()
        except OSError as error:
            print(f"demo: no sandbox: {error}", file=sys.stderr)
            return 2
        for part in (downloads, servers, two_hops, lossy):
            part(demo)
        table(demo)
        return 0 if demo.lawful and all(row.equal for row in demo.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
