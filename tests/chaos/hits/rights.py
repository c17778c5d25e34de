"""Rights that are taken away and given back."""

import time
from contextlib import suppress

import redis

from tests.chaos.faults import Fault
from tests.chaos.rights import WHOLE, Role, losses
from tests.chaos.scene import Scene
from tests.support.wait import wait_until

_ROLES = (Role.WORKER, Role.WORKER, Role.WORKER, Role.PRODUCER, Role.GATEWAY, Role.FLOWER, Role.PLAIN)


def take(scene: Scene, fault: Fault) -> None:
    """Take a command, a family of keys or one of channels from all processes of a role, and give it back."""
    role = fault.chosen.choice(_ROLES)
    loss = fault.chosen.choice(losses(role))
    with scene.rights_lock:
        if _set(scene, role, loss):
            with scene.noted(fault.kind):
                time.sleep(fault.seconds)
                wait_until(lambda: _set(scene, role, WHOLE), "the right is given back")


def _set(scene: Scene, role: Role, rules: tuple[str, ...]) -> bool:
    with suppress(redis.ConnectionError, redis.TimeoutError):
        return bool(scene.client.execute_command("ACL", "SETUSER", role, *rules))  # type: ignore[no-untyped-call]  # untyped
    return False
