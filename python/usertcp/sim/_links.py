"""`Link`: what joins two nodes of a simulated network; and `Router`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from usertcp._stack import Impairment
from usertcp.sim._host import Host

if TYPE_CHECKING:
    from usertcp.sim._network import Network

REORDER_DELAY = 0.001
"""Seconds that overtaken packets are held back where nobody says for how long, and the link has no delay."""


class Router:
    """A node that passes packets on between its links, made by `Network.router`."""

    def __init__(self, network: Network, node: int, name: str) -> None:
        self._network = network
        self._node = node
        self._name = name

    @property
    def network(self) -> Network:
        """The network that it is of."""
        return self._network

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    def __repr__(self) -> str:
        return f"<usertcp.sim.Router {self._name!r}>"


Node = Host | Router
"""What links join."""


class LinkCounters(NamedTuple):
    """What a link has done with the packets of each direction, by name."""

    forward: dict[str, int]
    """From the first node of the link to the second."""
    back: dict[str, int]
    """From the second to the first."""


class Link:
    """A link between two nodes, made by `Network.link`. It has faults of its own in each direction."""

    def __init__(self, network: Network, ends: tuple[Node, Node], forward: Impairment, back: Impairment) -> None:
        self._network = network
        self._ends = ends
        self._forward, self._back = forward, back
        self._is_cut = False
        self._number = network._raw.link(ends[0]._node, ends[1]._node, _given(forward), _given(back))

    @property
    def ends(self) -> tuple[Node, Node]:
        """The nodes that it joins."""
        return self._ends

    @property
    def forward(self) -> Impairment:
        """What happens to packets from its first node to its second."""
        return self._forward

    @property
    def back(self) -> Impairment:
        """What happens to packets from its second node to its first."""
        return self._back

    @property
    def is_cut(self) -> bool:
        """Whether nothing passes."""
        return self._is_cut

    def set(
        self, *, forward: Impairment | None = None, back: Impairment | None = None, **settings: float
    ) -> None:
        """Changes fields of `Impairment` from now on, in both directions; the others stay. Packets under way stay as they are.

        forward, back: all fields of one direction, `settings` after that

            link.set(loss=0.1)
            link.set(back=usertcp.Impairment(delay=0.5))
        """
        new = both(
            forward if forward is not None else self._forward,
            back if back is not None else self._back,
            settings,
        )
        self._network._raw.set_link(self._number, _given(new[0]), _given(new[1]))
        self._forward, self._back = new

    def cut(self) -> None:
        """Has every packet vanish, without a word to anybody, until `heal`."""
        self._network._raw.cut(self._number, True)
        self._is_cut = True

    def heal(self) -> None:
        """Ends what `cut` or `Network.partition` did to it."""
        self._network._raw.cut(self._number, False)
        self._is_cut = False

    @property
    def counters(self) -> LinkCounters:
        """What was passed, lost, duplicated, dropped and so on since the link was made, each direction by itself."""
        return LinkCounters(*self._network._raw.link_counters(self._number))

    def __repr__(self) -> str:
        state = " [cut]" if self._is_cut else ""
        return f"<usertcp.sim.Link {self._ends[0].name!r} - {self._ends[1].name!r}{state}>"


def _given(impairment: Impairment) -> Impairment | None:
    """None for a link without faults, over which super-frames pass whole."""
    return None if impairment == Impairment() else impairment


def both(
    forward: Impairment, back: Impairment, settings: Mapping[str, float]
) -> tuple[Impairment, Impairment]:
    """Both directions with some fields changed. Rates may be written as 10e6."""
    fields = {field.name: field.type for field in dataclasses.fields(Impairment)}
    changes: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in fields:
            raise TypeError(f"a link has no {name!r}: it has {', '.join(fields)}")
        changes[name] = _whole(name, value) if fields[name] == "int" else value
    return _complete(dataclasses.replace(forward, **changes)), _complete(dataclasses.replace(back, **changes))


def _whole(name: str, value: float) -> int:
    """A number that has to be whole, though it may be written as a float."""
    if not math.isfinite(value) or value != int(value):
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    return int(value)


def _complete(impairment: Impairment) -> Impairment:
    """Who says only that packets are overtaken leaves it to us by how much."""
    if impairment.reorder and not (impairment.reorder_delay or impairment.reorder_jitter):
        return dataclasses.replace(impairment, reorder_delay=impairment.delay or REORDER_DELAY)
    return impairment
