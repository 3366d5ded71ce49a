#!/usr/bin/env python3
"""Downloads a file over HTTP/1.1, with a TCP stack of this program's own.

get.py --tun utcp0 --address 192.0.2.2/24 -o file http://192.0.2.1:8000/file
"""

import argparse
import hashlib
import http.client
import sys
import time
from urllib.parse import urlsplit

import usertcp


class Connection(http.client.HTTPConnection):
    """An HTTP connection over a stack: only how it connects is different."""

    def __init__(self, stack: usertcp.Stack, host: str, port: int | None) -> None:
        super().__init__(host, port, timeout=30)
        self.stack = stack

    def connect(self) -> None:
        self.sock = self.stack.create_connection((self.host, self.port), self.timeout)


def download(stack: usertcp.Stack, url: str, path: str) -> int:
    """Fetches `url` into the file `path`."""
    parts = urlsplit(url)
    began = time.monotonic()
    connection = Connection(stack, parts.hostname or "", parts.port)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.request("GET", target)
    response = connection.getresponse()
    if response.status != 200:
        print(f"get: {response.status} {response.reason}", file=sys.stderr)
        return 1

    digest, total = hashlib.sha256(), 0
    memory = memoryview(bytearray(1 << 18))
    with open(path, "wb") as file:
        while count := response.readinto(memory):
            digest.update(memory[:count])
            file.write(memory[:count])
            total += count
    seconds = time.monotonic() - began
    repeated = stack.counters()["tcp_retransmits"]
    connection.close()
    print(f"bytes={total} seconds={seconds:.3f} retransmits={repeated} sha256={digest.hexdigest()}")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Downloads a file with a TCP stack of its own.")
    link = parser.add_mutually_exclusive_group(required=True)
    link.add_argument("--tun", help="name of a TUN device")
    link.add_argument("--fd", type=int, help="an open descriptor of a TUN device")
    parser.add_argument("--address", action="append", required=True, help="own address with prefix length")
    parser.add_argument("-o", dest="output", required=True, help="file to write")
    parser.add_argument("url")
    given = parser.parse_args()
    with usertcp.Stack(addresses=given.address, tun=given.tun, fd=given.fd) as stack:
        return download(stack, given.url, given.output)


if __name__ == "__main__":
    sys.exit(main())
