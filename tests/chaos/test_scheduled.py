"""The judgement of questions that are asked later finds what is wrong with them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from tests.chaos import scheduled
from tests.chaos.checker import check, collect
from tests.chaos.record import Entry, question, read
from tests.chaos.record import Record as Notes
from tests.support.step_worker import StepWorker
from turnstile.turns.schedules import DueTick
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.turn import Record

SESSION = "s1"
Turns = Mapping[str, Record]


def _rule(way: str) -> str:
    """Return the name of a rule whose missed ticks are taken in a way."""
    now = time.time_ns() // 1_000_000
    return next(name for n in count() if scheduled.missed(name := f"cron-{n}-{now}") == way)


def _run(store: TurnStore, settings: Settings, ask: Callable[[DueTick, int], None]) -> None:
    """Have all ticks asked that are due, and all turns answered."""
    while (found := store.claim_schedules())[1]:
        now, due, _ = found
        for tick in due:
            ask(tick, now)
    worker = StepWorker(settings)
    while worker.work(lambda claim: f"You said: {claim.question}"):
        pass


def _storm(
    store: TurnStore, settings: Settings, notes: Path, rule: str, ask: Callable[[DueTick, int], None] | None = None
) -> tuple[dict[str, Entry], dict[str, Entry], Turns, list[str]]:
    """Note a rule, have it asked until it has caught up, and remove it; return what was noted and stored, and what is wrong."""

    def well(tick: DueTick, now: int) -> None:
        missed, following = tick.step(now)
        store.ask_scheduled(tick, following, missed=missed)

    record = Notes(notes / "cron.jsonl")
    terms = {"cron": scheduled.RULE, "now": scheduled.begins(rule), "missed": scheduled.missed(rule)}
    record.note("sent", rule, SESSION, time.time())
    store.schedule(rule, SESSION, question(rule), **terms)  # type: ignore[arg-type]  # of several types
    record.note("accepted", rule, SESSION, time.time())
    _run(store, settings, ask or well)
    scheduled.remove_rules(store, record)
    noted = read([notes / "cron.jsonl"])
    entries = scheduled.turns_of(noted)
    remains = collect(store, entries.values())
    entries = scheduled.at_their_time(entries, remains.records)
    found = check(entries, remains, [*scheduled.faults(noted.values(), remains.records)])
    return noted, entries, remains.records, [*found.lost, *found.doubled, *found.misordered, *found.others]


@pytest.mark.parametrize(("way", "asked"), [("all", (6, 7)), ("once", (1, 2)), ("none", (0, 1))])
def test_rules_that_are_kept_are_clean(store: TurnStore, settings: Settings, tmp_path: Path, way: str, asked: range) -> None:
    _, _, turns, wrong = _storm(store, settings, tmp_path, _rule(way))
    assert not wrong
    assert asked[0] <= len(turns) <= asked[1]


def test_a_tick_that_is_asked_twice_is_told(store: TurnStore, settings: Settings, tmp_path: Path) -> None:
    def twice(tick: DueTick, now: int) -> None:
        store.ask_scheduled(tick, tick.step(now)[1])
        store.submit(f"{tick.schedule}-{tick.tick}-again", SESSION, question(tick.schedule))

    *_, wrong = _storm(store, settings, tmp_path, _rule("once"), twice)
    assert any("none of its turns" in fault for fault in wrong)


def test_a_tick_that_is_left_out_is_told(store: TurnStore, settings: Settings, tmp_path: Path) -> None:
    def skip(tick: DueTick, now: int) -> None:
        store.ask_scheduled(tick, tick.step(now)[1], missed=True)

    *_, wrong = _storm(store, settings, tmp_path, _rule("once"), skip)
    assert len(wrong) == 1
    assert "has left out" in wrong[0]


def test_missed_ticks_that_are_all_asked_where_one_would_do_are_told(
    store: TurnStore, settings: Settings, tmp_path: Path
) -> None:
    def each(tick: DueTick, now: int) -> None:
        store.ask_scheduled(tick, replace(tick, missed="all").step(now)[1])

    *_, wrong = _storm(store, settings, tmp_path, _rule("once"), each)
    assert wrong
    assert all("has asked for its tick" in fault for fault in wrong)


def test_a_rule_that_is_gone_of_itself_is_told(store: TurnStore, settings: Settings, tmp_path: Path) -> None:
    def drop(tick: DueTick, _: int) -> None:
        store.ask_scheduled(tick, None)

    rule = _rule("all")
    *_, wrong = _storm(store, settings, tmp_path, rule, drop)
    assert wrong == [f"{rule} is gone, and nobody has removed it"]


def test_ticks_and_turns_that_are_asked_too_early_are_told(store: TurnStore, settings: Settings, tmp_path: Path) -> None:
    noted, _, turns, wrong = _storm(store, settings, tmp_path, _rule("once"))
    assert not wrong
    (id, turn), later = next(iter(turns.items())), f"later-1-{time.time_ns() // 1_000_000}"
    noted[later] = Entry(later, SESSION, 0, name=later)
    early = {id: replace(turn, created=0), later: replace(turn, id=later, created=scheduled.not_before(later) - 0.001)}
    told = list(scheduled.faults(noted.values(), early))
    assert [fault.partition(" ")[2][:10] for fault in told] == ["was asked ", "was asked "]


def test_what_is_asked_later_stands_in_its_session_when_its_record_says(
    store: TurnStore, settings: Settings, tmp_path: Path
) -> None:
    _, entries, turns, _ = _storm(store, settings, tmp_path, _rule("all"))
    assert {id: entries[id].accepted for id in turns} == {id: turn.created for id, turn in turns.items()}
    assert all(entry.accepted is None for id, entry in entries.items() if id not in turns)


def test_a_turn_that_was_called_off_before_its_time_leaves_nothing(store: TurnStore) -> None:
    entry = Entry("later-1-0", SESSION, sent=0, accepted=1, name="later-1-0")
    remains = collect(store, [entry])
    assert check({entry.turn: entry}, remains, []).lost == [entry.turn]
    assert check({entry.turn: replace(entry, revoked=True)}, remains, []).clean
