"""Faults of whole processes."""

import signal
import time

from tests.chaos.faults import Fault
from tests.chaos.scene import Scene
from tests.chaos.slots import GatewaySlot, ProducerSlot, WorkerSlot


def kill_worker(scene: Scene, fault: Fault) -> None:
    """Kill a worker, and start another in its place."""
    with scene.absences, scene.free_slot(fault) as slot:
        with scene.noted(fault.kind, slot.pid):
            slot.kill()
        slot.start()
        slot.wait_until_at_work(scene.client)


def freeze_worker(scene: Scene, fault: Fault) -> None:
    """Stop a worker for longer than its lease."""
    with scene.absences, scene.free_slot(fault) as slot, scene.noted(fault.kind, slot.pid):
        slot.signal(signal.SIGSTOP)
        time.sleep(fault.seconds)
        slot.signal(signal.SIGCONT)


def kill_producer(scene: Scene, fault: Fault) -> None:
    """Have a producer die around its next submission, and start another in its place."""
    producer = scene.producer(fault)
    with producer.busy:
        with scene.noted(fault.kind):
            producer.doom()
        producer.start()


def kill_gateway(scene: Scene, fault: Fault) -> None:
    """Kill the gateway, and start another in its place."""
    with scene.gateway.busy:
        with scene.noted(fault.kind):
            scene.gateway.kill()
        scene.gateway.start()


def kill_all(scene: Scene, fault: Fault) -> None:
    """Kill the server and every process that a turn passes through, and start them again."""
    with scene.noted(fault.kind, scene.server.pid):
        scene.server.kill()
        processes: list[WorkerSlot | ProducerSlot | GatewaySlot] = [*scene.slots, *scene.producers, scene.gateway]
        for process in processes:
            process.kill()
        scene.server.start()
        for process in processes:
            process.start()
        for slot in scene.slots:
            slot.wait_until_at_work(scene.client)
