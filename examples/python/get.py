#!/usr/bin/env python3
"""Downloads a file over HTTP/1.1, with a TCP stack of this program's own.

    get.py --tun utcp0 --address 192.0.2.2/24 --host-address 192.0.2.1/24 -o file http://192.0.2.1:8000/file

Shows: opening a stack, and http.client over it. The host of the URL is an address: names are not resolved.
"""

import argparse
import http.client
import sys
import time
from typing import BinaryIO
from urllib.parse import urlsplit

import usertcp


class Connection(http.client.HTTPConnection):
    """An HTTP connection over a stack: only how it connects is different."""

    def __init__(self, stack: usertcp.Stack, host: str, port: int | None) -> None:
        super().__init__(host, port, timeout=30)
        self.stack = stack

    def connect(self) -> None:
        self.sock = self.stack.create_connection((self.host, self.port), self.timeout)


def download(stack: usertcp.Stack, url: str, output: BinaryIO) -> int:
    """Writes what `url` names to `output`; returns the number of bytes."""
    parts = urlsplit(url)
    connection = Connection(stack, parts.hostname or "", parts.port)
    try:
        connection.request("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        with connection.getresponse() as response:
            if response.status != 200:
                raise http.client.HTTPException(f"the server answers: {response.status} {response.reason}")
            count = 0
            while piece := response.read(1 << 18):
                count += output.write(piece)
            return count
    finally:
        connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Downloads a file with a TCP stack of its own.")
    parser.add_argument("--tun", metavar="NAME", help="TUN device to use; else the kernel names one")
    parser.add_argument("--fd", type=int, metavar="N", help="open descriptor of a TUN device")
    parser.add_argument("--address", action="append", required=True, help="own address with prefix length")
    parser.add_argument("--host-address", action="append", default=[], help="for the kernel's side")
    parser.add_argument("--mtu", type=int, default=1500, help="largest packet, bytes")
    parser.add_argument("-o", dest="output", metavar="FILE", help="file to write; else standard output")
    parser.add_argument("url")
    given = parser.parse_args()
    with (
        usertcp.Stack(
            addresses=given.address,
            tun=given.tun,
            fd=given.fd,
            host_addresses=given.host_address,
            mtu=given.mtu,
        ) as stack,
        open(given.output or sys.stdout.fileno(), "wb", closefd=bool(given.output)) as output,
    ):
        began = time.monotonic()
        count = download(stack, given.url, output)
        seconds = time.monotonic() - began
        again = stack.counters()["tcp_retransmits"]
    told = sys.stdout if given.output else sys.stderr
    print(f"bytes={count} seconds={seconds:.3f} retransmits={again}", file=told)


if __name__ == "__main__":
    try:
        main()
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"get: {error}")
