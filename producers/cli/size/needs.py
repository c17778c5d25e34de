"""The needs of a load, by Little's law and the costs of a turn."""

import math
from dataclasses import dataclass

from turnstile.producers.cli.size.figures import Figures
from turnstile.turns.settings import Settings

BUSY = 0.7
"""The share of slots and cores that a plan fills: near 1 turns wait for each other."""

SPARE = 1
"""Processes that may be lost, or restarted, without harm."""


@dataclass(frozen=True, slots=True)
class Load:
    """The turns that come, and what is kept of them."""

    turns_per_minute: float
    seconds: float
    """From a turn's start to its end."""
    slots: int
    """In each worker process."""
    steps: int
    sessions: int
    messages: int
    """In each session's history."""

    @property
    def rate(self) -> float:
        """Turns a second."""
        return self.turns_per_minute / 60


@dataclass(frozen=True, slots=True)
class Needs:
    """The size of a deployment. CPU is in cores, memory in bytes."""

    in_flight: float
    workers: int
    slots: int
    worker_cpu: float
    worker_bytes: int
    gateways: int
    gateway_cpu: float
    redis_cpu: float
    deployments: int
    """Redis servers, each with workers and gateways of its own."""
    redis_turns: int
    redis_sessions: int
    redis_bytes: int


def needs(load: Load, figures: Figures, settings: Settings) -> Needs:
    """Return what a load needs; turns are streamed, as they are where nobody asks otherwise."""
    in_flight = load.rate * load.seconds
    worker_cpu = load.rate * (figures.worker_streamed_ms + load.steps * figures.worker_step_ms) / 1000
    workers = max(math.ceil(in_flight / (load.slots * BUSY)), math.ceil(worker_cpu / BUSY)) + SPARE
    gateway_cpu = load.rate * figures.gateway_streamed_ms / 1000
    redis_cpu = load.rate * (figures.redis_streamed_ms + load.steps * figures.redis_step_ms) / 1000
    kept = settings.result_ttl * figures.record_bytes + settings.events_ttl * figures.events_bytes
    turns = math.ceil(load.rate * kept + in_flight * figures.waiting_bytes)
    sessions = load.sessions * (figures.session_bytes + load.messages * figures.message_bytes)
    return Needs(
        in_flight=in_flight,
        workers=workers,
        slots=workers * load.slots,
        worker_cpu=worker_cpu,
        worker_bytes=math.ceil(workers * figures.worker_idle_bytes + in_flight * figures.worker_turn_bytes),
        gateways=math.ceil(gateway_cpu / BUSY) + SPARE,
        gateway_cpu=gateway_cpu,
        redis_cpu=redis_cpu,
        deployments=max(math.ceil(redis_cpu / BUSY), 1),
        redis_turns=turns,
        redis_sessions=sessions,
        redis_bytes=turns + sessions,
    )
