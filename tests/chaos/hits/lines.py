"""Faults of one connection alone, whoever's: the server lists its connections, and one is drawn."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import redis

from tests.chaos.faults import Fault
from tests.chaos.proxy import Link
from tests.chaos.scene import Scene
from tests.chaos.slots import HasProcess


def kill(scene: Scene, fault: Fault) -> None:
    """Have the server close it."""
    with _one(scene, fault) as found:
        if found:
            client, _, _ = found
            with suppress(redis.RedisError):
                scene.client.client_kill_filter(_id=client["id"])


def close_at_server(scene: Scene, fault: Fault) -> None:
    """Close it at the server's end; the other stays open, and hears nothing."""
    with _one(scene, fault) as found:
        if found:
            _, placed, link = found
            placed.proxy.do(link.close_at_server)


def close_at_client(scene: Scene, fault: Fault) -> None:
    """Close it at the process's end; the server's stays open."""
    with _one(scene, fault) as found:
        if found:
            _, placed, link = found
            placed.proxy.do(link.close_at_client)


def hold(scene: Scene, fault: Fault) -> None:
    """Carry nothing over it for a while; then what was held back, or a reset."""
    with _one(scene, fault) as found:
        if found:
            _, placed, link = found
            placed.proxy.do(link.hold)
            time.sleep(fault.seconds)
            if fault.chosen.random() < 0.5:
                placed.proxy.do(link.cut)
            placed.proxy.do(link.go_on)


@contextmanager
def _one(scene: Scene, fault: Fault) -> Iterator[tuple[dict[str, Any], HasProcess, Link] | None]:
    """Yield a connection drawn from those of a process drawn; None while the server does not answer, or has none."""
    found = None
    with suppress(redis.RedisError):
        found = _find(scene, fault)
    if found is None:
        yield None
        return
    with scene.noted(fault.kind, found[1].pid):
        yield found


def _find(scene: Scene, fault: Fault) -> tuple[dict[str, Any], HasProcess, Link] | None:
    chosen = fault.chosen
    listed = sorted(scene.client.client_list(), key=lambda client: int(client["id"]))
    for placed in chosen.sample(scene.placed, len(scene.placed)):
        ours = [(client, link) for client in listed if (link := placed.proxy.link(_port(client)))]
        if ours:
            client, link = chosen.choice(ours)
            return client, placed, link
    return None


def _port(client: dict[str, Any]) -> int:
    """Return the peer's port; 0 for one that has gone and is still listed."""
    return int(client["addr"].rpartition(":")[2] or 0)
