"""The cost of a turn for Redis: round trips, commands, bytes, CPU, memory."""

import time
from collections.abc import Mapping
from typing import Any

from bench.contestants import Turnstile
from bench.history import QUESTION
from bench.load import measure
from bench.machine import Bench
from bench.tables import Table
from turnstile.turns.question import Options

TURNS = 800
IN_FLIGHT = 50
IDLE_SECONDS = 3.0
SLOW = f"{QUESTION}[[tokens-per-second=40]]"


def run(bench: Bench) -> tuple[Table, float]:
    """With and without streaming; and the round trips of a turn without it."""
    table = Table(
        "What a turn costs Redis",
        f"{TURNS} turns, {IN_FLIGHT} in flight, 40 messages in each session, enqueueing included; what the worker does when "
        "idle is measured just before, and taken off. A round trip is one read of the server from a connection.",
        ("", "round trips a turn", "commands a turn", "KiB in", "KiB out", "CPU ms a turn"),
    )
    with Turnstile(bench, IN_FLIGHT) as who:
        who.ready()
        # Until every connection of its pools is open.
        measure(who, 400, 0)
        plain = _turns(who, QUESTION, stream=False)
        streamed = _turns(who, SLOW, stream=True)
        table.add("without streaming", *_cells(plain))
        table.add("streamed, 40 tokens a second", *_cells(streamed))
        table.notes.append(_sizes(who))
    return table, plain["total_reads_processed"]


def _turns(who: Turnstile, question: str, *, stream: bool) -> dict[str, float]:
    names = who.fill(TURNS)
    start = _counters(who.client.info())
    time.sleep(IDLE_SECONDS)
    before, began = _counters(who.client.info()), time.monotonic()
    answered = who.bench.answered()
    who.ask(names, question, Options(stream=stream))
    who.wait_answered(answered + TURNS)
    after, took = _counters(who.client.info()), time.monotonic() - began
    idle = {name: (before[name] - start[name]) / IDLE_SECONDS * took for name in after}
    return {name: (after[name] - before[name] - idle[name]) / TURNS for name in after}


def _counters(info: Mapping[str, Any]) -> dict[str, float]:
    names = ("total_reads_processed", "total_commands_processed", "total_net_input_bytes", "total_net_output_bytes")
    return {**{name: float(info[name]) for name in names}, "cpu": float(info["used_cpu_user"]) + float(info["used_cpu_sys"])}


def _cells(per_turn: Mapping[str, float]) -> list[str]:
    trips, commands = per_turn["total_reads_processed"], per_turn["total_commands_processed"]
    kilobytes = [f"{per_turn[f'total_net_{way}_bytes'] / 1024:.1f}" for way in ("input", "output")]
    return [f"{trips:.2f}", f"{commands:.1f}", *kilobytes, f"{per_turn['cpu'] * 1000:.2f}"]


def _sizes(who: Turnstile) -> str:
    ids: Any = who.client.zrange(who.store.keys.turns("s500"), 0, 0)
    keys, turn = who.store.keys, ids[0].decode()
    record = sum(who.client.memory_usage(key, samples=0) or 0 for key in (keys.turn(turn), keys.events(turn)))
    index = who.client.memory_usage(keys.turns("s500"), samples=0) or 0
    history = who.client.memory_usage(keys.history("s500"), samples=0) or 0
    length = who.client.llen(keys.history("s500"))
    return (
        f"A finished turn takes {record:,} bytes until its record expires, a session {index:,} bytes for the list of its turns "
        f"and {history:,} bytes for a history of {length} messages."
    )
