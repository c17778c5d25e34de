"""All metrics of a deployment, as Prometheus reads them."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from turnstile.producers.metrics.counted import COUNTED
from turnstile.producers.metrics.snapshot import Snapshot
from turnstile.turns.store.registry import package_version

CONTENT_TYPE = CONTENT_TYPE_LATEST


def exposition(snapshot: Snapshot | None) -> bytes:
    """Return the text for a scrape; with no snapshot it says that Redis does not answer, and no more."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(snapshot))
    return generate_latest(registry)


class _Once(Collector):
    def __init__(self, snapshot: Snapshot | None) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        snapshot = self._snapshot
        yield _gauge("turnstile_redis_up", "1 while Redis answers.", float(snapshot is not None))
        yield _labelled("turnstile_build_info", "The version that tells these metrics.", "version", {package_version(): 1})
        if snapshot:
            yield from (metric.read(snapshot.measured.counters) for metric in COUNTED)
            yield from _now(snapshot)


def _now(snapshot: Snapshot) -> Iterator[Metric]:
    found = snapshot.measured
    phases = {"running": found.running, "ready": found.ready, "blocked": found.blocked}
    about = "Turns that have not ended: at work, able to run, or behind an earlier turn of their session."
    yield _labelled("turnstile_turns_open", about, "phase", phases)
    yield _gauge("turnstile_ready_oldest_seconds", "The longest wait of a turn that could run.", found.oldest)
    about = "Turns dispatched on a queue of Celery, and ready in the lines before it."
    yield _labelled("turnstile_queue_dispatches", about, "queue", found.queues)
    about = "Turns that wait for a place in a model's budget."
    yield _labelled(
        "turnstile_model_turns_waiting", about, "model", {model: turns for model, (turns, _) in snapshot.waits.items()}
    )
    about = "The longest wait of a turn for a place in a model's budget."
    waits = {model: seconds for model, (_, seconds) in snapshot.waits.items()}
    yield _labelled("turnstile_model_wait_oldest_seconds", about, "model", waits)
    yield _gauge("turnstile_sessions_held", "Sessions that wait for answers to open calls.", found.held)
    yield _gauge("turnstile_turns_failed", "Failed turns that can be looked up and retried.", found.failed)
    yield _gauge("turnstile_webhooks_waiting", "Webhooks on their way.", found.webhooks)
    yield _gauge("turnstile_webhooks_undelivered", "Webhooks given up that can be sent again.", found.undelivered)
    yield _gauge("turnstile_workers", "Workers at work.", len(snapshot.workers))
    yield _gauge("turnstile_workers_hung", "Workers of which a part makes no progress.", len(snapshot.hung))
    yield _gauge("turnstile_worker_slots", "Turns that all workers together run at once.", snapshot.slots)
    yield _gauge("turnstile_worker_slots_busy", "Slots in use, as the workers tell.", snapshot.busy)
    yield _gauge("turnstile_redis_latency_seconds", "Time that Redis took to answer.", snapshot.latency)
    for name, field in (("memory", "used_memory"), ("memory_limit", "maxmemory")):
        if field in snapshot.memory:
            about = f"The server's {field}; a limit of 0 is none."
            yield _gauge(f"turnstile_redis_{name}_bytes", about, float(snapshot.memory[field]))


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=value)


def _labelled(name: str, about: str, label: str, values: Mapping[str, float]) -> Metric:
    metric = GaugeMetricFamily(name, about, labels=[label])
    for key, value in values.items():
        metric.add_metric([key], value)
    return metric
