"""The checker finds what is wrong: a storm that cannot fail proves nothing."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos import journal
from tests.chaos.checker import Remains, check, collect, events_fault, history_turns
from tests.chaos.faults import Kind, plan
from tests.chaos.figures import percentile, upper_bound
from tests.chaos.finale import log_faults
from tests.chaos.findings import Findings
from tests.chaos.hits import HITS
from tests.chaos.journal import Attempt
from tests.chaos.odd import SECRET, draw
from tests.chaos.record import Entry, question
from tests.chaos.scene import LEASE_SECONDS, Struck
from tests.chaos.timeline import burnt, recoveries, unexplained
from tests.support.step_worker import StepWorker, element
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.output import said
from turnstile.turns.redis.keys import Keys
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

TURNS = ("t1", "t2", "t3")
ENTRIES = {turn: Entry(turn, "s1", sent=n, accepted=n + 0.5) for n, turn in enumerate(TURNS)}


@pytest.fixture
def remains(store: TurnStore, settings: Settings) -> Remains:
    """Return the data that three good turns leave."""
    for turn in TURNS:
        store.submit(turn, "s1", question(turn))
    step_worker = StepWorker(settings)
    while step_worker.work(lambda claim: f"You said: {claim.question}"):
        pass
    return collect(store, ENTRIES.values())


def _judge(remains: Remains) -> Findings:
    return check(ENTRIES, remains, [])


def test_good_turns_are_clean(remains: Remains) -> None:
    assert _judge(remains) == Findings()


def test_a_turn_missing_from_its_history_is_lost(remains: Remains) -> None:
    assert _judge(replace(remains, histories={"s1": ["t1", "t3"]})).lost == ["t2"]


def test_an_accepted_turn_without_a_record_is_lost(remains: Remains) -> None:
    records = {turn: record for turn, record in remains.records.items() if turn != "t2"}
    assert _judge(replace(remains, histories={"s1": ["t1", "t3"]}, records=records)).lost == ["t2"]


def test_a_turn_of_unknown_fate_may_be_missing_altogether(remains: Remains) -> None:
    records = {turn: record for turn, record in remains.records.items() if turn != "t2"}
    entries = {**ENTRIES, "t2": replace(ENTRIES["t2"], accepted=None)}
    assert check(entries, replace(remains, histories={"s1": ["t1", "t3"]}, records=records), []).clean


def test_a_turn_twice_in_a_history_is_doubled(remains: Remains) -> None:
    assert _judge(replace(remains, histories={"s1": ["t1", "t2", "t2", "t3"]})).doubled == ["t2"]


def test_turns_out_of_order_are_misordered(remains: Remains) -> None:
    assert _judge(replace(remains, histories={"s1": ["t2", "t1", "t3"]})).misordered == ["t1"]


def test_turns_sent_at_once_may_come_in_either_order(remains: Remains) -> None:
    entries = {**ENTRIES, "t2": replace(ENTRIES["t2"], sent=0.2)}
    assert check(entries, replace(remains, histories={"s1": ["t2", "t1", "t3"]}), []).clean


def test_what_is_left_and_what_the_log_shows_is_told(remains: Remains) -> None:
    found = check(ENTRIES, replace(remains, left=["1 sessions are still due"]), ["taken too early"])
    assert found.others == ["taken too early", "1 sessions are still due"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda events: events[:-1],
        lambda events: [events[0], *events[2:]],
        lambda events: [*events[:2], events[1], *events[2:]],
        lambda events: [replace(event, data=event.data.upper()) for event in events],
        lambda events: [events[0], replace(events[1], type="started"), *events[2:]],
        lambda events: [replace(events[0], attempt=2), *events[1:]],
        lambda events: [events[0], replace(events[1], attempt=0), *events[2:]],
    ],
)
def test_events_with_a_gap_a_repeat_or_other_text_are_told(
    remains: Remains, spoil: Callable[[list[object]], list[object]]
) -> None:
    events = {**remains.events, "t2": spoil(list(remains.events["t2"]))}
    assert len(_judge(replace(remains, events=events)).others) == 1  # type: ignore[arg-type]  # spoilt


def test_a_turn_may_wait_for_its_model_before_it_begins(remains: Remains) -> None:
    events = [replace(event, sequence=event.sequence + 1) for event in remains.events["t2"]]
    record = replace(remains.records["t2"], sequence=len(events) + 1)
    assert not events_fault(record, [replace(events[0], sequence=1, type="waiting", attempt=0, data="gpt"), *events])
    assert events_fault(record, [replace(events[0], sequence=1, type="waiting", attempt=2, data="gpt"), *events])


def test_a_turn_that_ended_twice_is_doubled(remains: Remains) -> None:
    events = [*remains.events["t2"], remains.events["t2"][-1]]
    assert _judge(replace(remains, events={**remains.events, "t2": events})).doubled == ["t2"]


def test_half_an_answer_is_told(remains: Remains) -> None:
    records = {**remains.records, "t2": replace(remains.records["t2"], output=said("You said: What"))}
    assert "the answer of t2 is not whole" in _judge(replace(remains, records=records)).others


def test_a_revoked_turn_ends_as_cancelled_or_as_completed_and_not_in_between(remains: Remains) -> None:
    entries = {**ENTRIES, "t2": replace(ENTRIES["t2"], revoked=True)}
    without = replace(remains, histories={"s1": ["t1", "t3"]})
    ended = {state: {**remains.records, "t2": replace(remains.records["t2"], state=state)} for state in State}
    assert check(entries, remains, []).clean
    assert check(entries, replace(without, records=ended[State.CANCELLED]), []).clean
    assert _judge(replace(without, records=ended[State.CANCELLED])).lost == ["t2"]
    for state in (State.COMPLETED, State.FAILED, State.QUEUED, State.RUNNING):
        assert check(entries, replace(without, records=ended[state]), []).lost == ["t2"]
    kept = check(entries, replace(remains, records=ended[State.CANCELLED]), [])
    assert kept.others == ["t2 is in its history though it is cancelled"]


def test_a_strange_message_may_fail_but_leaves_nothing_half_done(remains: Remains) -> None:
    entries = {**ENTRIES, "t2": replace(ENTRIES["t2"], accepted=None, odd=True)}
    records = {**remains.records, "t2": replace(remains.records["t2"], state=State.FAILED)}
    assert check(entries, replace(remains, histories={"s1": ["t1", "t3"]}, records=records), []).clean
    assert not check(entries, replace(remains, records=records), []).clean
    queued = {**remains.records, "t2": replace(remains.records["t2"], state=State.QUEUED)}
    assert check(entries, replace(remains, histories={"s1": ["t1", "t3"]}, records=queued), []).lost == ["t2"]


def test_a_stream_that_was_not_whole_is_told(remains: Remains) -> None:
    entries = {**ENTRIES, "t2": replace(ENTRIES["t2"], misread="a gap")}
    assert check(entries, remains, []).others == ["t2: a gap"]


def test_a_turn_that_still_counts_as_open_is_told(remains: Remains, store: TurnStore) -> None:
    store.client.zadd(store.keys.open, {"t9": 1})
    assert _judge(collect(store, ENTRIES.values())).others == ["the counter of open turns says 1"]


def test_a_turn_taken_from_the_same_worker_again_and_again_is_told() -> None:
    attempts = [Attempt("s1", "t1", f"{n}:a", "host-7-x", claimed=n, ended=n + 1, how="taken") for n in range(3)]
    assert burnt([], attempts) == ["t1 was taken from worker host-7-x 3 times"]
    assert burnt([], [*attempts[:2], replace(attempts[2], worker="host-8-x")]) == []
    assert burnt([Struck(Kind.TAKE_RIGHT, 0, 1)], attempts) == []


def test_a_log_that_floods_or_tells_what_was_said_is_told(tmp_path: Path) -> None:
    log = tmp_path / "worker-1.log"
    line = "[2026-01-01 00:00:0{},123: ERROR/MainProcess] consumer: no permission"
    log.write_text("\n".join(line.format(n % 3) for n in range(30)))
    assert log_faults(log) == []
    log.write_text("\n".join(line.format(n % 3) for n in range(60)))
    assert log_faults(log)[0].startswith("worker-1.log has 60 warnings in 3 seconds: [2026-01-01")
    log.write_text(f"[2026-01-01 00:00:00,123: ERROR/MainProcess] cannot decode {SECRET}")
    assert log_faults(log)[0].startswith("worker-1.log tells what was said")


def test_strange_messages_are_of_every_kind_and_the_same_for_a_seed() -> None:
    drawn = [draw(random.Random(seed), ["s1"]) for seed in range(500)]
    assert len({message.queue for message in drawn}) == 6
    assert {bool(message.session) for message in drawn} == {True, False}
    assert draw(random.Random(3), ["s1"]).raw.split(b"expires")[0] == drawn[3].raw.split(b"expires")[0]


def test_every_class_of_faults_does_something() -> None:
    assert set(HITS) == set(Kind)


def test_half_a_turn_in_a_history_is_strange() -> None:
    elements = [element("human", "?", "t1"), element("ai", "!", "t1"), element("human", "?", "t2")]
    assert history_turns([text.encode() for text in reversed(elements)]) == ["t1", "?t2"]


class Log:
    """A real server with a log, and what is written past the scripts."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.server = server
        self.store = TurnStore(Settings(redis_url=server.url))
        self.step_worker = StepWorker(self.store.settings)

    def violations(self) -> list[str]:
        """Return the violations in the log."""
        return journal.read(self.server.folder, LEASE_SECONDS).violations


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """Yield a running server with one claimed turn, `t1`."""
    with EmbeddedServer(tmp_path, append_fsync="always") as server:
        log = Log(server)
        log.store.submit("t1", "s1", "question")
        yield log


def test_the_log_tells_of_every_attempt(log: Log) -> None:
    claim = log.step_worker.take()
    log.store.requeue(claim)
    log.step_worker.answer(log.step_worker.take(), "answer")
    read = journal.read(log.server.folder, LEASE_SECONDS)
    assert [(a.turn, a.how) for a in read.attempts] == [("t1", "returned"), ("t1", "finished")]
    assert read.violations == []


def test_a_commit_without_its_owner_shows_in_the_log(log: Log) -> None:
    log.step_worker.take()
    log.store.client.lpush(Keys().history("s1"), element("ai", "a zombie's answer", "t1"))
    assert log.violations() == ["session s1 (turn t1) got messages of t1 from nobody"]


def test_a_turn_taken_before_its_lease_is_over_shows_in_the_log(log: Log) -> None:
    log.step_worker.take()
    log.store.client.hdel(Keys().session("s1"), "owner")
    assert len(log.violations()) == 1


def test_a_return_that_was_cut_short_and_completed_is_one(log: Log) -> None:
    claim = log.step_worker.take()
    log.store.client.hset(Keys().turn("t1"), mapping={"state": "queued", "returned": claim.token, "forgiven": 0})
    log.store.requeue(claim)
    assert log.violations() == []


def test_a_second_claim_over_the_first_shows_in_the_log(log: Log) -> None:
    claim = log.step_worker.take()
    log.store.client.hset(
        Keys().session("s1"), mapping={"owner": "2:other", "lease": round(claim.now * 1000), "worker": "a-1-b"}
    )
    assert log.violations() == [f"session s1 (turn t1) was claimed by 2:other while {claim.token} held it"]


def test_recovery_is_from_the_fault_to_the_next_attempt() -> None:
    first = Attempt("s1", "t1", "1:a", "host-7-x", claimed=1_000, ended=2_900, how="taken")
    second = Attempt("s1", "t1", "2:b", "host-8-x", claimed=3_000, ended=4_000, how="finished")
    other = Attempt("s2", "t2", "1:c", "host-8-x", claimed=1_000, ended=9_000, how="finished")
    killed = Struck(Kind.KILL_WORKER, 2_000, 2_001, pid=7)
    assert recoveries([killed], [first, other, second]) == {Kind.KILL_WORKER: [1.0]}
    outage = Struck(Kind.KILL_SERVER, 2_500, 2_600)
    assert Kind.KILL_WORKER not in recoveries([killed, outage], [first, other, second])


def test_one_connection_of_a_worker_counts_until_that_worker_takes_a_turn() -> None:
    mine = Attempt("s1", "t1", "1:a", "host-7-x", claimed=4_000, ended=5_000, how="finished")
    other = Attempt("s2", "t2", "1:c", "host-8-x", claimed=3_000, ended=9_000, how="finished")
    assert recoveries([Struck(Kind.KILL_CONNECTION, 2_000, 2_001, pid=7)], [other, mine]) == {Kind.KILL_CONNECTION: [2.0]}
    assert recoveries([Struck(Kind.KILL_CONNECTION, 2_000, 2_001)], [other, mine]) == {}


def test_an_attempt_taken_from_a_worker_to_which_nothing_was_done_is_not_explained() -> None:
    attempt = Attempt("s1", "t1", "1:a", "host-7-x", claimed=100_000, ended=103_000, how="taken")
    other = Struck(Kind.KILL_WORKER, 101_000, 101_001, pid=8)
    later = Struck(Kind.KILL_WORKER, 104_000, 104_001, pid=7)
    assert unexplained([other, later], [attempt], {7, 8}) == [attempt]
    assert unexplained([other, later], [attempt], {8}) == []
    assert unexplained([replace(other, pid=7)], [attempt], {7, 8}) == []
    assert unexplained([Struck(Kind.STOP_SERVER, 90_000, 99_000)], [attempt], {7, 8}) == []


def test_a_seed_draws_the_same_faults_again() -> None:
    assert plan(7, 50, 60) == plan(7, 50, 60) != plan(8, 50, 60)
    assert {fault.kind for fault in plan(7, 50, 60)} == set(Kind)


def test_figures() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile(range(1, 101), 0.99) == 99
    assert upper_bound(0, 1_000) == pytest.approx(3 / 1_000, rel=0.01)
    assert json.dumps(upper_bound(2, 10)) > "0"
