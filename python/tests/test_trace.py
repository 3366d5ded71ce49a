"""Event traces: to a path, to an open file, of one socket."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import usertcp
from conftest import Back, Pair, connected


def lines(text: str) -> list[dict[str, Any]]:
    """The events of a trace, its header checked and taken off."""
    head, *events = (json.loads(line) for line in text.splitlines())
    assert (head["qlog_version"], head["qlog_format"]) == ("0.3", "NDJSON")
    return events


def named(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event["data"] for event in events if event["name"] == name]


def read_to_end(fd: int) -> str:
    """What was written to a pipe, once nobody has its other end."""
    with open(fd, encoding="utf-8") as pipe:
        return pipe.read()


def test_a_stack_is_traced_to_a_path(back: Back, tmp_path: Path) -> None:
    path = tmp_path / "all.qlog"
    back.near.trace(path)
    client, server = connected(back)
    with client, server:
        client.sendall(b"x" * 10_000)
        client.close()
        while server.recv(4096):
            pass
    back.near.close()
    events = lines(path.read_text())
    assert len(named(events, "connectivity:connection_started")) == 1
    sent = named(events, "transport:packet_sent")
    assert sum(packet["raw"]["payload_length"] for packet in sent if packet["trigger"] == "data") == 10_000
    assert any("congestion_window" in data for data in named(events, "recovery:metrics_updated"))


def test_one_socket_is_traced_until_it_is_told_to_stop(pair: Pair) -> None:
    reader, writer = os.pipe()
    with open(writer, "wb") as file:
        pair.client.trace(file)
    pair.client.sendall(b"told")
    assert pair.server.recv(4) == b"told"
    pair.client.trace(None)
    pair.client.sendall(b"not told")
    events = lines(read_to_end(reader))
    assert [data["state"] for data in named(events, "connectivity:connection_started")] == ["established"]
    assert [data["trigger"] for data in named(events, "transport:packet_sent")] == ["data"]


def test_what_cannot_be_is_refused(back: Back, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        back.near.trace(tmp_path / "nowhere" / "x.qlog")
    with pytest.raises(OSError, match="descriptor"):
        back.near.trace(-1)
    with pytest.raises(AttributeError):
        back.near.trace(object())  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        usertcp.Stack(addresses=["192.0.2.9/24"], fd=os.dup(0), trace=tmp_path / "nowhere" / "x.qlog")
