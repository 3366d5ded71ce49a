"""Virtual networks: hosts, links, faults and time, all in one process, the same every time.

A `Network` has hosts, each of them a whole TCP/IP stack with addresses of its own, and links with a rate, delay,
loss and whatever else, which may be cut and healed. Its time is its own: it passes only while everybody waits, so that a
time-out of half a minute is over at once. A seed gives the same run, packet by packet.

    import usertcp.sim

    with usertcp.sim.Network(seed=7) as net:
        client, server = net.host("client"), net.host("server")
        link = net.link(client, server, rate=10e6, delay=0.02, loss=0.05)
        task = net.spawn(serve, host=server)      # blocking code, unmodified, in a task
        with client.patch():                      # so that sockets and clock are the network's
            urllib.request.urlopen("http://server/", timeout=30)

| for | there is |
|---|---|
| blocking code | the sockets of a `Host`; `Network.spawn` for what runs beside it |
| asyncio | `run` |
| code that makes its own sockets | `Host.patch` |
| code that only asks the time | `patch_time` |
| code that waits for ever | `Deadlock`, with the stack of every task |
"""

from usertcp.sim._deadlock import Deadlock
from usertcp.sim._host import Host
from usertcp.sim._links import Link, LinkCounters, Node, Router
from usertcp.sim._loop import EventLoop, run
from usertcp.sim._network import Network, _deadlock, patch_time
from usertcp.sim._tasks import Task

__all__ = [
    "Deadlock",
    "EventLoop",
    "Host",
    "Link",
    "LinkCounters",
    "Network",
    "Node",
    "Router",
    "Task",
    "_deadlock",
    "patch_time",
    "run",
]
