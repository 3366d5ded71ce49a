"""The functions of module `time` in simulated code."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from usertcp._here import NETWORK
from usertcp.sim._waiting import YIELD, nanoseconds

if TYPE_CHECKING:
    from usertcp.sim._network import Network

def _reading(name: str, kernels: Callable[[], Any], network_s: Callable[[Network], Any]) -> Callable[[], Any]:
    """A function that tells the network's time to simulated code, and the system's to everybody else."""

    def read() -> Any:
        network = NETWORK.get()
        return kernels() if network is None else network_s(network)

    read.__name__ = read.__qualname__ = name
    read.__doc__ = kernels.__doc__
    return read


_KERNEL_SLEEP = time.sleep


def sleep(seconds: float, /) -> None:
    """`time.sleep`, in simulated code for seconds of the network's time."""
    network = NETWORK.get()
    if network is None:
        _KERNEL_SLEEP(seconds)
        return
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    network._raw.sleep(network._raw.now() + (nanoseconds(seconds) or YIELD))


def _now(network: Network) -> int:
    return network._raw.now()


def _date(network: Network) -> int:
    return network._epoch + network._raw.now()


STAND_INS: list[tuple[Any, Any]] = [
    (_KERNEL_SLEEP, sleep),
    (time.monotonic, _reading("monotonic", time.monotonic, lambda network: _now(network) / 1e9)),
    (time.perf_counter, _reading("perf_counter", time.perf_counter, lambda network: _now(network) / 1e9)),
    (time.time, _reading("time", time.time, lambda network: _date(network) / 1e9)),
    (time.monotonic_ns, _reading("monotonic_ns", time.monotonic_ns, _now)),
    (time.perf_counter_ns, _reading("perf_counter_ns", time.perf_counter_ns, _now)),
    (time.time_ns, _reading("time_ns", time.time_ns, _date)),
]
"""What stands in for what."""
