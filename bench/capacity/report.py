"""The measurements as the figures of `turnstile size`, and as the tables of docs/scaling.md."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.tables import Table
from turnstile.producers.cli.size.figures import Figures
from turnstile.producers.cli.size.needs import BUSY

if TYPE_CHECKING:  # it imports all that workers do, and a test of the tables does not need it
    from bench.capacity.million import Million

_MESSAGES = 2
_KIB, _MIB, _GIB = 2**10, 2**20, 2**30


def figures(measured: Mapping[str, Any], found: "Million") -> Figures:
    """Return the figures that plans are made with."""
    sizes = found.sizes
    # Keys and expiries cost more than MEMORY USAGE says of the values: the whole is shared out by it.
    parts = ("record", "events", "index", "conversation", "history")
    more = sizes["session and its turn"] / sum(sizes[part] for part in parts)
    record, events, index, conversation, history = (sizes[part] * more for part in parts)
    return Figures(
        **measured,
        record_bytes=round(record),
        events_bytes=round(events),
        session_bytes=round(index + conversation),
        message_bytes=round(history / _MESSAGES),
        waiting_bytes=round(sizes["waiting"]),
    )


def tables(figure: Figures, found: "Million") -> list[Table]:
    """Return the page's tables."""
    return [*of_figures(figure), _million(found)]


def of_figures(figure: Figures) -> list[Table]:
    """Return the tables that show nothing but the figures."""
    return [_costs(figure), _sizes(figure)]


def _costs(figure: Figures) -> Table:
    table = Table(
        "What a turn costs",
        "CPU milliseconds on one core, without what worker and Redis take when idle: 40 messages in the session, 50 turns in "
        "flight, medians. A step is one node of a graph, whose result is kept; its model's or tool's own time is not in it. "
        f"The last column is what one Redis carries at {BUSY:.0%} of its core.",
        ("", "worker", "gateway", "Redis", "turns/s at one Redis"),
    )
    for name, worker, gateway, redis in (
        ("a turn, not streamed", figure.worker_plain_ms, figure.gateway_plain_ms, figure.redis_plain_ms),
        (
            "a turn, streamed at 40 tokens a second",
            figure.worker_streamed_ms,
            figure.gateway_streamed_ms,
            figure.redis_streamed_ms,
        ),
    ):
        table.add(name, f"{worker:.2f}", f"{gateway:.2f}", f"{redis:.2f}", f"{1000 * BUSY / redis:,.0f}")
    ten = figure.redis_streamed_ms + 10 * figure.redis_step_ms
    table.add("each step of a graph, more", f"{figure.worker_step_ms:.2f}", "0", f"{figure.redis_step_ms:.2f}", "")
    table.add(
        "a streamed turn of ten steps",
        f"{figure.worker_streamed_ms + 10 * figure.worker_step_ms:.2f}",
        f"{figure.gateway_streamed_ms:.2f}",
        f"{ten:.2f}",
        f"{1000 * BUSY / ten:,.0f}",
    )
    table.notes.append(
        f"An idle worker takes {figure.worker_idle_bytes / _MIB:.0f} MiB of memory, each turn in flight "
        f"{figure.worker_turn_bytes / _KIB:.0f} KiB more; a gateway {figure.gateway_idle_bytes / _MIB:.0f} MiB."
    )
    return table


def _sizes(figure: Figures) -> Table:
    table = Table(
        "What stays in Redis",
        "Keys and expiries included. A message has about 180 characters, the AI's also all that OpenAI tells about an answer.",
        ("", "bytes", "until"),
    )
    for name, size, until in (
        ("a turn's record", figure.record_bytes, "`TURNSTILE_RESULT_TTL`"),
        ("its stream's events", figure.events_bytes, "`TURNSTILE_EVENTS_TTL`"),
        ("a session beside its messages", figure.session_bytes, "`TURNSTILE_HISTORY_TTL`"),
        ("each message", figure.message_bytes, "`TURNSTILE_HISTORY_TTL`"),
        ("a turn that waits, with its session", figure.waiting_bytes, "it ends"),
    ):
        table.add(name, f"{size:,}", until)
    return table


def _million(found: "Million") -> Table:
    seconds, sizes, rates = found.seconds, found.sizes, found.rates
    table = Table(
        f"One Redis with {found.sessions:,} sessions",
        "Each has had one streamed turn, whose record and events are still there; the log is on, as shipped. One worker then "
        "answers turns of new sessions, not streamed, and the model answers at once; a worker that starts looks through all "
        "keys (its audit, which one worker repeats every five minutes), and with them that is going on.",
        ("", "figure"),
    )
    for name, value in {
        "memory": f"{sizes['all'] / _GIB:.2f} GiB, {sizes['session and its turn']:,.0f} bytes a session",
        "turns/s through one worker, before, and with them during its audit": _both(rates, "turns", 0),
        "Redis CPU ms a turn, the same": _both(rates, "redis", 2),
        "turns/s while they were made, by two connections and no model": f"{found.sessions / seconds['fill']:,.0f}",
        "fork of the server, in which nothing is answered": f"{seconds['fork'] * 1000:,.0f} ms",
        "rewrite of the log": f"{seconds['rewrite']:,.0f} s",
        "the log after it": f"{sizes['log'] / _GIB:.2f} GiB",
        "start of the server from that log": f"{seconds['restart']:,.1f} s",
        "`turnstile audit`": f"{seconds['audit']:,.1f} s",
    }.items():
        table.add(name, value)
    return table


def _both(rates: Mapping[str, float], name: str, digits: int) -> str:
    return f"{rates[f'{name}, empty']:.{digits}f}, {rates[f'{name}, full']:.{digits}f}"
