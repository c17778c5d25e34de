"""Faults of the server."""

import os
import signal
import time

from tests.chaos.faults import Fault
from tests.chaos.scene import Scene


def kill(scene: Scene, fault: Fault) -> None:
    """Kill it, and start it again on its log."""
    with scene.server_lock, scene.noted(fault.kind, scene.server.pid):
        scene.server.kill()
        time.sleep(fault.seconds)
        scene.server.start()


def stop(scene: Scene, fault: Fault) -> None:
    """Stop it, and let it go on: its connections stand, and nothing comes."""
    with scene.server_lock, scene.noted(fault.kind, scene.server.pid):
        os.kill(scene.server.pid, signal.SIGSTOP)
        time.sleep(fault.seconds)
        os.kill(scene.server.pid, signal.SIGCONT)


def fill_memory(scene: Scene, fault: Fault) -> None:
    """Let it have no memory left."""
    with scene.server_lock, scene.noted(fault.kind):
        scene.client.config_set("maxmemory", 1)
        time.sleep(fault.seconds)
        scene.client.config_set("maxmemory", 0)
