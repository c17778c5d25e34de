"""The sizes of a deployment as text, each with its formula, and as JSON."""

from collections.abc import Iterator
from dataclasses import asdict

from turnstile.producers.cli.size.figures import Figures, read
from turnstile.producers.cli.size.needs import BUSY, Load, Needs, needs
from turnstile.producers.cli.terminal import Terminal
from turnstile.turns.settings import Settings

_GIB, _MIB = 2**30, 2**20

Row = tuple[str, str, str]


def show(terminal: Terminal, settings: Settings, load: Load) -> None:
    """Show what a load needs."""
    figures = read()
    found = needs(load, figures, settings)
    rows = [*_processes(load, figures, found), *_redis(load, figures, settings, found)]
    text = "\n".join(f"{name:<14}{value:>16}   {formula}" for name, value, formula in rows)
    terminal.result(text, {**asdict(found), "figures": asdict(figures)})


def _processes(load: Load, figures: Figures, found: Needs) -> Iterator[Row]:
    turn = _with_steps(load.steps, figures.worker_streamed_ms, figures.worker_step_ms)
    idle, more = _size(figures.worker_idle_bytes), f"{figures.worker_turn_bytes:,} bytes"
    yield "rate", f"{load.rate:,.1f} turns/s", f"{load.turns_per_minute:,g} a minute / 60"
    yield "in flight", f"{found.in_flight:,.0f} turns", f"rate * {load.seconds:g} s (Little's law)"
    yield "workers", f"{found.workers:,}", f"in flight / ({load.slots} slots * {BUSY}) or worker CPU / {BUSY}, and one to spare"
    yield "slots", f"{found.slots:,}", f"workers * {load.slots}"
    yield "worker CPU", f"{found.worker_cpu:,.2f} cores", f"rate * {turn}"
    yield "worker memory", _size(found.worker_bytes), f"workers * {idle} + in flight * {more}"
    yield "gateways", f"{found.gateways:,}", f"gateway CPU / {BUSY}, and one to spare"
    yield "gateway CPU", f"{found.gateway_cpu:,.2f} cores", f"rate * {figures.gateway_streamed_ms:.2f} ms"


def _redis(load: Load, figures: Figures, settings: Settings, found: Needs) -> Iterator[Row]:
    call = _with_steps(load.steps, figures.redis_streamed_ms, figures.redis_step_ms)
    records = f"{settings.result_ttl:,.0f} s * {figures.record_bytes:,}"
    events = f"{settings.events_ttl:,.0f} s * {figures.events_bytes:,} bytes"
    history = f"{figures.session_bytes:,} + {load.messages:,} * {figures.message_bytes:,} bytes"
    yield "Redis CPU", f"{found.redis_cpu:.1%} of a core", f"rate * {call}"
    yield "Redis memory", _size(found.redis_bytes), "turns + sessions; set maxmemory to half as much again"
    yield "  turns", _size(found.redis_turns), f"rate * ({records} + {events})"
    yield "  sessions", _size(found.redis_sessions), f"{load.sessions:,} * ({history})"
    if found.deployments > 1:
        yield "deployments", f"{found.deployments:,}", f"Redis CPU / {BUSY}: docs/scaling.md, Beyond one Redis"


def _with_steps(steps: int, turn: float, step: float) -> str:
    return f"({turn:.2f} + {steps} * {step:.2f}) ms" if steps else f"{turn:.2f} ms"


def _size(size: float) -> str:
    return f"{size / _GIB:,.2f} GiB" if size >= _GIB else f"{size / _MIB:,.1f} MiB"
