"""Faults of all connections of one process together."""

import time

from tests.chaos.faults import Fault
from tests.chaos.proxy import FaultProxy
from tests.chaos.scene import Scene


def cut_worker(scene: Scene, fault: Fault) -> None:
    """Reset a worker's connections."""
    slot = scene.slot(fault)
    with scene.noted(fault.kind, slot.pid):
        slot.proxy.cut()


def deafen_worker(scene: Scene, fault: Fault) -> None:
    """Drop the replies to a worker."""
    with scene.free_slot(fault) as slot, scene.noted(fault.kind, slot.pid):
        _deafen(slot.proxy, fault.seconds)


def silence_worker(scene: Scene, fault: Fault) -> None:
    """Let a worker's connections stand and carry nothing, for ever."""
    with scene.absences, scene.free_slot(fault) as slot, scene.noted(fault.kind, slot.pid):
        _silence(slot.proxy, fault.seconds)


def slow_worker(scene: Scene, fault: Fault) -> None:
    """Slow a worker's connections down."""
    with scene.absences, scene.free_slot(fault) as slot, scene.noted(fault.kind, slot.pid):
        slot.proxy.slow_down(0.02 + fault.seconds / 20)
        time.sleep(fault.seconds)
        slot.proxy.heal()


def cut_producer(scene: Scene, fault: Fault) -> None:
    """Reset a producer's connections."""
    with scene.noted(fault.kind):
        scene.producer(fault).proxy.cut()


def deafen_producer(scene: Scene, fault: Fault) -> None:
    """Drop the replies to a producer."""
    producer = scene.producer(fault)
    with producer.busy, scene.noted(fault.kind):
        _deafen(producer.proxy, fault.seconds)


def silence_producer(scene: Scene, fault: Fault) -> None:
    """Let a producer's connections stand and carry nothing, for ever."""
    producer = scene.producer(fault)
    with producer.busy, scene.noted(fault.kind):
        _silence(producer.proxy, fault.seconds)


def _deafen(proxy: FaultProxy, seconds: float) -> None:
    proxy.swallow_replies()
    time.sleep(seconds)
    proxy.heal()


def _silence(proxy: FaultProxy, seconds: float) -> None:
    proxy.go_silent()
    time.sleep(seconds)
    proxy.heal()
