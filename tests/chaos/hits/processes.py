"""Faults of whole processes."""

import signal
import time

from tests.chaos.crew import GatewayPost, Post, ProducerPost
from tests.chaos.faults import Fault
from tests.chaos.scene import Scene


def kill_worker(scene: Scene, fault: Fault) -> None:
    """Kill a worker, and start another in its place."""
    with scene.absences, scene.free_post(fault) as post:
        with scene.noted(fault.kind, post.pid):
            post.kill()
        post.start()
        post.wait_until_at_work(scene.client)


def freeze_worker(scene: Scene, fault: Fault) -> None:
    """Stop a worker for longer than its lease."""
    with scene.absences, scene.free_post(fault) as post, scene.noted(fault.kind, post.pid):
        post.signal(signal.SIGSTOP)
        time.sleep(fault.seconds)
        post.signal(signal.SIGCONT)


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
        processes: list[Post | ProducerPost | GatewayPost] = [*scene.posts, *scene.producers, scene.gateway]
        for process in processes:
            process.kill()
        scene.server.start()
        for process in processes:
            process.start()
        for post in scene.posts:
            post.wait_until_at_work(scene.client)
