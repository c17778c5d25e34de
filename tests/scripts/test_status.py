"""status: a record and its place, or nothing."""

from collections.abc import Callable
from dataclasses import fields, replace

import pytest

from tests.scripts.conftest import Memory
from tests.scripts.scene import Scene
from turnstile.turns.errors import UnknownTurn
from turnstile.turns.question import Options
from turnstile.turns.redis.keys import Keys
from turnstile.turns.states import State
from turnstile.turns.turn import Outline, TurnResult


def test_a_turn_s_life(scene: Scene) -> None:
    scene.submit("z", "a")
    waiting = scene.turns.status("a")
    assert (waiting.state, waiting.place, waiting.attempts, waiting.dispatches) == (State.QUEUED, 1, 0, 0)
    assert (waiting.started, waiting.finished, waiting.answer, waiting.usage, waiting.code) == (None,) * 5
    scene.complete(scene.claim("z"))
    dispatched = scene.turns.status("a")
    assert (dispatched.state, dispatched.place, dispatched.dispatches) == (State.QUEUED, 0, 1)
    claim = scene.claim("a")
    running = scene.turns.status("a")
    assert (running.state, running.attempts, running.started) == (State.RUNNING, 1, claim.started)
    scene.fail(claim)
    failed = scene.turns.status("a")
    assert (failed.state, failed.code, failed.message, failed.answer) == (State.FAILED, "chain_error", "It broke.", None)


def test_places_move_up(scene: Scene) -> None:
    scene.submit("a", "b", "c", "d")
    assert [scene.turns.status(id).place for id in "abcd"] == [0, 1, 2, 3]
    scene.turns.cancel("b")
    scene.turns.cancel("a")
    assert [scene.turns.status(id).place for id in "cd"] == [0, 1]


@pytest.mark.parametrize("place", ["question", "before", "answer"])
@pytest.mark.parametrize("has_outline", [False, True], ids=["old", "new"])
def test_content_is_read_where_it_is_wanted(scene: Scene, place: str, has_outline: bool) -> None:
    large = [{"type": "image_url", "image_url": {"url": f"data:,{'a' * 1_000_000}"}}]
    before = [{"role": "user", "content": large if place == "before" else "Hm."}]
    options = Options(before=before, instructions="Be brief.", store=False)
    scene.turns.submit("a", "foo", large if place == "question" else "hi", options)
    scene.complete(scene.claim("a"), "a" * 1_000_000 if place == "answer" else "Yes.")
    if not has_outline:  # as older versions have it
        scene.client.hdel(Keys().turn("a"), "outline")
    record, result, outline = scene.turns.status("a"), scene.turns.result("a"), scene.turns.outline("a")
    assert (record.options, record.question == large) == (options, place == "question")
    assert result.options == outline.options == replace(options, before=[])
    assert (result.output, result.finished, outline.session) == (record.output, record.finished, "foo")
    is_read = place != "answer" and not has_outline
    assert (sent(scene, scene.turns.outline) > 1_000_000) is is_read
    assert (sent(scene, scene.turns.result) > 1_000_000) is (is_read or place == "answer")
    assert sent(scene, scene.turns.status) > 1_000_000


def test_a_result_is_the_record_but_for_what_was_asked(scene: Scene) -> None:
    numbers = ["place", "attempts", "dispatches", "sequence", "created", "started", "finished", "left_out"]
    words = ["answer", "model", "code", "message", "detail", "fallback", "waits_for", "merged", "members"]
    scene.turns.submit("a", "foo", "a" * 100_000)
    told = {**dict.fromkeys(numbers, 7), **dict.fromkeys(words, "b@c"), "usage": "{}", "owed": "d"}
    for state in State:
        scene.client.hset(Keys().turn("a"), mapping={**told, "state": state})
        record, result, outline = scene.turns.status("a"), scene.turns.result("a"), scene.turns.outline("a")
        assert [getattr(result, f.name) for f in fields(TurnResult)] == [getattr(record, f.name) for f in fields(TurnResult)]
        assert [getattr(outline, f.name) for f in fields(Outline)] == [getattr(record, f.name) for f in fields(Outline)]


def test_small_options_are_stored_once(scene: Scene) -> None:
    scene.turns.submit("a", "foo", "hi", Options(before=[{"role": "user", "content": "a" * 1_000}]))
    scene.turns.submit("b", "foo", "hi", Options(instructions="a" * 5_000))
    assert not any(scene.client.hexists(Keys().turn(id), "outline") for id in "ab")


def sent(scene: Scene, read: Callable[[str], object]) -> int:
    """Return the bytes that the server sends for a reading of turn `a`."""
    before = scene.client.info("stats")["total_net_output_bytes"]
    read("a")
    return int(scene.client.info("stats")["total_net_output_bytes"] - before)


def test_nobody_knows_the_turn(scene: Scene) -> None:
    with pytest.raises(UnknownTurn, match="never accepted"):
        scene.turns.status("a")


def test_reading_changes_nothing_and_needs_no_memory(cramped: tuple[Scene, Memory]) -> None:
    scene, memory = cramped
    scene.submit("a")
    memory.fill()
    before = scene.picture()
    assert scene.turns.status("a").state is State.QUEUED
    assert scene.turns.stats()["open"] == 1
    assert scene.picture() == before
