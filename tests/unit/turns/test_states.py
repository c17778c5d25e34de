"""The table of transitions, the scripts, and the drawn diagram tell the same."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.scripts.scene import Scene
from turnstile.turns.policies import WHEN_BUSY
from turnstile.turns.settings import Settings
from turnstile.turns.states import TRANSITIONS, State
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim

_DOCUMENT = Path(__file__).parents[3] / "ARCHITECTURE.md"
_ARROW = re.compile(r"^\s*(\S+) --> (\S+)\s*:\s*(.+?)\s*$", re.MULTILINE)

Arrow = tuple[str, str, str]
"""From one state, to another, by a script."""


def _table() -> set[Arrow]:
    return {(a, b, script) for a, row in TRANSITIONS.items() for b, text in row.items() for script in text.split(", ")}


@pytest.fixture
def scene(redis_url: str) -> Iterator[Scene]:
    """Yield turns that have two chances."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield Scene(TurnStore(Settings(redis_url=redis_url, max_attempts=2)), client)


def _until(state: State, scene: Scene) -> Claim | None:
    """Bring turn `t` into a state; the claim that it had on the way."""
    if state is State.QUEUED:
        scene.submit("t")
        return None
    claim = scene.start("t")
    if state is State.CANCELLED:
        scene.turns.cancel("t")
    elif state.ended:
        scene.turns.finish(claim, Outcome(state))
    return claim


def _finish(state: State) -> Callable[[Scene, Claim], object]:
    return lambda scene, claim: scene.turns.finish(claim, Outcome(state))


def _merge(scene: Scene, claim: Claim) -> None:
    """Have the turn merged with another; one that waits does so behind that."""
    if scene.state("t") is State.QUEUED:
        scene.client.flushdb()
        for id in ("other", "t"):
            scene.turns.submit(id, "foo", "hi", when_busy="merge")
        claim = scene.claim("other")
    scene.turns.merge(claim)


def _ask(policy: str) -> Callable[[Scene, Claim], object]:
    return lambda scene, claim: scene.turns.submit("other", "foo", "hi", when_busy=policy)


def _follow(policy: str) -> Callable[[Scene, Claim], object]:
    return lambda scene, claim: scene.turns.follow("other", "t", "branch", "hi", when_busy=policy)


def _tick(policy: str) -> Callable[[Scene, Claim], object]:
    def tick(scene: Scene, claim: Claim) -> None:
        scene.turns.ask_later("other", "foo", "hi", not_before=1, when_busy=policy)
        [due] = scene.turns.claim_schedules()[1]
        scene.turns.ask_scheduled(due, None)

    return tick


def _sweep(scene: Scene, claim: Claim) -> None:
    scene.make_due()
    if scene.client.hexists(scene.keys.session("foo"), "lease"):
        scene.expire_lease()
    scene.turns.sweep()


def _sweep_after_the_last_chance(scene: Scene, claim: Claim) -> None:
    scene.client.hset(scene.keys.turn("t"), "attempts", 2)
    _sweep(scene, claim)


_SCRIPTS: list[tuple[str, Callable[[Scene, Claim], object]]] = [
    ("submit", lambda scene, claim: scene.turns.submit("t", "foo", "hi")),
    ("claim", lambda scene, claim: scene.turns.claim("t", "w9", "another")),
    ("renew", lambda scene, claim: scene.turns.renew("w1", [claim])),
    ("emit", lambda scene, claim: scene.turns.emit(claim, 1, ["x"])),
    *(("finish", _finish(state)) for state in (State.COMPLETED, State.INCOMPLETE, State.FAILED)),
    ("requeue", lambda scene, claim: scene.turns.requeue(claim)),
    ("requeue", lambda scene, claim: scene.turns.requeue(claim, 60)),
    ("cancel", lambda scene, claim: scene.turns.cancel("t")),
    ("merge", _merge),
    *(("submit_held", _ask(policy)) for policy in WHEN_BUSY if policy != "reject"),
    *(("follow", _follow(policy)) for policy in WHEN_BUSY if policy != "reject"),
    *(("ask_scheduled", _tick(policy)) for policy in WHEN_BUSY if policy != "reject"),
    ("sweep", _sweep),
    ("sweep", _sweep_after_the_last_chance),
    ("reap", lambda scene, claim: scene.turns.reap("w9")),
    ("status", lambda scene, claim: scene.turns.status("t")),
    ("retry", lambda scene, claim: scene.turns.retry("t")),
]


def _nobodys() -> Claim:
    """Return a claim that is no longer valid, or never was."""
    unset: tuple[bytes | int, ...] = (b"foo", b"1:x", 1, 1, 0, b'"hi"', b"{}", b"1", 1, 1, 1, 1, 0, b"t", b"", b"", b"", 0, b"")
    return Claim.decode("t", unset)


def _reality(scene: Scene) -> set[Arrow]:
    """Run every script on a turn in every state, and see where it moves."""
    seen: set[Arrow] = set()
    for before in State:
        for name, act in _SCRIPTS:
            scene.client.flushdb()
            claim = _until(before, scene)
            act(scene, claim or _nobodys())
            after = scene.state("t")
            if after is not before:
                seen.add((before, after, name))
    return seen


def test_the_scripts_move_turns_as_the_table_says_and_no_other_way(scene: Scene) -> None:
    assert _reality(scene) == _table()


def test_accepted_turns_are_queued(scene: Scene) -> None:
    scene.submit("t")
    assert scene.state("t") is State.QUEUED


def test_every_state_has_a_row_and_can_be_reached() -> None:
    assert TRANSITIONS.keys() == set(State)
    reached, found = set[State](), {State.QUEUED}
    while found - reached:
        reached |= found
        found = {after for state in reached for after in TRANSITIONS[state]}
    assert reached == set(State)


@pytest.mark.parametrize("state", State)
def test_ended_means_that_nothing_more_happens_by_itself(state: State) -> None:
    by_itself = {name for text in TRANSITIONS[state].values() for name in text.split(", ")} - {"retry"}
    assert state.ended == (not by_itself)
    assert not state.answered or state.ended


def test_every_state_is_explained() -> None:
    source = Path(__file__).parents[3].joinpath("turns", "states.py").read_text(encoding="utf-8")
    for state in State:
        assert re.search(rf'{state.name} = "{state.value}"\n    """[A-Z]', source)


def test_the_diagram_is_the_table() -> None:
    diagrams = re.findall(r"```mermaid\s+stateDiagram-v2\n(.*?)```", _DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert len(diagrams) == 1
    drawn = {(a, b, script) for a, b, text in _ARROW.findall(diagrams[0]) for script in re.split(r",\s*", text)}
    starts = {arrow for arrow in drawn if arrow[0] == "[*]"}
    ends = {arrow for arrow in drawn if arrow[1] == "[*]"}
    assert starts == {("[*]", "queued", "submit"), ("[*]", "queued", "ask_scheduled")}
    assert all(State(a).ended for a, _, _ in ends)
    assert drawn - starts - ends == _table()
