#!/usr/bin/env python3
"""Sends back whatever comes, to any number of clients at once, from addresses of this program's own.

    echo_server.py --tun utcp0 --address 192.0.2.2/24 --host-address 192.0.2.1/24 --port 7

Shows: listening, waiting for several sockets, a thread for each client, a clean end.
"""

import argparse
import ipaddress
import select
import signal
import socket
import sys
import threading

import usertcp


def echo(connection: usertcp.Socket) -> None:
    """Serves one client until it has sent everything."""
    with connection:
        try:
            while data := connection.recv(1 << 16):
                connection.sendall(data)
        except OSError as error:
            print(f"echo_server: {error}", file=sys.stderr)


def serve(listeners: list[usertcp.Socket]) -> None:
    """A thread for each client."""
    while True:
        for listener, _ in usertcp.poll([(listener, select.POLLIN) for listener in listeners]):
            connection, _ = listener.accept()
            threading.Thread(target=echo, args=(connection,), daemon=True).start()


def main() -> None:
    parser = argparse.ArgumentParser(description="An echo server with a TCP stack of its own.")
    parser.add_argument("--tun", metavar="NAME", help="TUN device to use; else the kernel names one")
    parser.add_argument("--fd", type=int, metavar="N", help="open descriptor of a TUN device")
    parser.add_argument("--address", action="append", required=True, help="own address with prefix length")
    parser.add_argument("--host-address", action="append", default=[], help="for the kernel's side")
    parser.add_argument("--mtu", type=int, default=1500, help="largest packet, bytes")
    parser.add_argument("--port", type=int, default=7)
    given = parser.parse_args()

    versions = {ipaddress.ip_interface(address).version for address in given.address}
    families = [socket.AF_INET6 if version == 6 else socket.AF_INET for version in sorted(versions)]
    with usertcp.Stack(
        addresses=given.address, tun=given.tun, fd=given.fd, host_addresses=given.host_address, mtu=given.mtu
    ) as stack:
        listeners = [stack.create_server(("", given.port), family=family) for family in families]
        print(f"listening on port {given.port}", flush=True)
        serve(listeners)


if __name__ == "__main__":
    # SIGTERM ends it as Ctrl-C does, with the stack closed in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except KeyboardInterrupt:
        pass
    except OSError as error:
        sys.exit(f"echo_server: {error}")
