#!/usr/bin/env python3
"""Sends back whatever comes, to any number of clients at once, on one thread with asyncio.

    asyncio_echo.py --tun utcp0 --address 192.0.2.2/24 --host-address 192.0.2.1/24 --port 7

Shows: asyncio's streams over a stack, a clean end. With --cert and --key the clients speak TLS.
"""

import argparse
import asyncio
import ipaddress
import signal
import socket
import ssl
import sys
from collections.abc import Iterable

import usertcp


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serves one client until it has sent everything."""
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()
    except OSError as error:
        print(f"asyncio_echo: {error}", file=sys.stderr)


async def serve(stack: usertcp.Stack, families: Iterable[int], port: int, tls: ssl.SSLContext | None) -> None:
    """Listens with each address family until a signal comes."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    servers = [await stack.start_server(echo, port=port, family=family, ssl=tls) for family in families]
    print(f"listening on port {port}", flush=True)
    await stop.wait()
    for server in servers:
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="An echo server with a TCP stack of its own, on asyncio.")
    parser.add_argument("--tun", metavar="NAME", help="TUN device to use; else the kernel names one")
    parser.add_argument("--fd", type=int, metavar="N", help="open descriptor of a TUN device")
    parser.add_argument("--address", action="append", required=True, help="own address with prefix length")
    parser.add_argument("--host-address", action="append", default=[], help="for the kernel's side")
    parser.add_argument("--mtu", type=int, default=1500, help="largest packet, bytes")
    parser.add_argument("--port", type=int, default=7)
    parser.add_argument("--cert", metavar="FILE", help="certificate chain, for TLS")
    parser.add_argument("--key", metavar="FILE", help="its private key, if it is not in the same file")
    given = parser.parse_args()

    tls = None
    if given.cert:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(given.cert, given.key)
    versions = {ipaddress.ip_interface(address).version for address in given.address}
    families = [socket.AF_INET6 if version == 6 else socket.AF_INET for version in sorted(versions)]
    with usertcp.Stack(
        addresses=given.address, tun=given.tun, fd=given.fd, host_addresses=given.host_address, mtu=given.mtu
    ) as stack:
        asyncio.run(serve(stack, families, given.port, tls))


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"asyncio_echo: {error}")
