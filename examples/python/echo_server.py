#!/usr/bin/env python3
"""Sends back whatever comes, to any number of clients at once, from an address of this program's own.

echo_server.py --tun utcp0 --address 192.0.2.2/24 --port 7
"""

import argparse
import socket
import threading

import usertcp


def echo(connection: usertcp.Socket) -> None:
    """Serves one client until it has sent everything."""
    with connection:
        try:
            while data := connection.recv(1 << 16):
                connection.sendall(data)
        except OSError as error:
            print(f"echo: {error}")


def serve(listener: usertcp.Socket) -> None:
    """A thread for each client."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=echo, args=(connection,), daemon=True).start()


def main() -> None:
    parser = argparse.ArgumentParser(description="An echo server with a TCP stack of its own.")
    link = parser.add_mutually_exclusive_group(required=True)
    link.add_argument("--tun", help="name of a TUN device")
    link.add_argument("--fd", type=int, help="an open descriptor of a TUN device")
    parser.add_argument("--address", action="append", required=True, help="own address with prefix length")
    parser.add_argument("--port", type=int, default=7)
    given = parser.parse_args()
    with usertcp.Stack(addresses=given.address, tun=given.tun, fd=given.fd) as stack:
        families = {socket.AF_INET6 if ":" in address else socket.AF_INET for address in given.address}
        listeners = [
            stack.create_server(("", given.port), family=family, backlog=64) for family in sorted(families)
        ]
        print(f"listening on port {given.port}", flush=True)
        for listener in listeners[1:]:
            threading.Thread(target=serve, args=(listener,), daemon=True).start()
        serve(listeners[0])


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
