"""The summary beside a history: kept by compare and set, and gone with what it sums up."""

from typing import Any

import pytest

from tests.scripts.conftest import Memory, Stage
from tests.scripts.scene import Scene, marked, pairs
from tests.scripts.test_follow import answer
from turnstile.turns.question import Options
from turnstile.turns.summaries import Summary, mark

NAMES = [f"t{number}" for number in range(6)]


def begun(scene: Scene, *names: str) -> list[str]:
    """Begin a session with the messages of turns, and return them."""
    scene.turns.begin("foo", {}, pairs(names or NAMES))
    return scene.history()


def of(messages: list[str], place: int, text: str = "a summary") -> Summary:
    """Return a summary of the first messages."""
    return Summary(mark(place, messages[place - 1].encode()), text)


def test_a_summary_takes_the_place_of_the_one_that_it_was_made_from(scene: Scene) -> None:
    messages = begun(scene)
    first, second = of(messages, 4), of(messages, 8, "another")
    assert scene.turns.read_summary("foo") is None
    assert scene.turns.write_summary("foo", "", first)
    assert scene.turns.read_summary("foo") == first
    assert scene.turns.write_summary("foo", first.mark, second)
    assert scene.turns.read_summary("foo") == second
    assert second.place == 8


def test_a_summary_is_read_and_kept_while_memory_is_full(cramped: tuple[Scene, Memory]) -> None:
    scene, memory = cramped
    messages = begun(scene)
    memory.fill()
    assert scene.turns.write_summary("foo", "", of(messages, 4))
    assert scene.turns.read_summary("foo") == of(messages, 4)


def test_a_summary_that_was_made_from_another_comes_too_late(scene: Scene) -> None:
    messages = begun(scene)
    first, second = of(messages, 4), of(messages, 8)
    assert not scene.turns.write_summary("foo", first.mark, second)
    scene.turns.write_summary("foo", "", first)
    assert not scene.turns.write_summary("foo", "", second)
    assert not scene.turns.write_summary("foo", second.mark, of(messages, 6))
    assert scene.turns.read_summary("foo") == first


def test_a_repeat_is_told_the_same(scene: Scene) -> None:
    messages = begun(scene)
    for _ in range(2):
        assert scene.turns.write_summary("foo", "", of(messages, 4))


def test_an_erased_history_takes_no_summary(scene: Scene) -> None:
    messages = begun(scene)
    late = of(messages, 4)
    scene.turns.erase("foo")
    assert not scene.turns.write_summary("foo", "", late)
    assert scene.picture() == {}
    begun(scene, "other", "turns", "than", "those")
    assert not scene.turns.write_summary("foo", "", late)


def test_an_erase_takes_the_summary_along(scene: Scene) -> None:
    messages = begun(scene)
    scene.turns.write_summary("foo", "", of(messages, 4))
    scene.turns.erase("foo")
    begun(scene)
    assert scene.turns.read_summary("foo") is None


@pytest.mark.parametrize(("removed", "stays"), [(0, False), (3, False), (4, True), (11, True)])
def test_a_summary_of_what_was_taken_out_is_removed(scene: Scene, removed: int, stays: bool) -> None:
    messages = begun(scene)
    scene.turns.write_summary("foo", "", of(messages, 4))
    scene.turns.drop_message("foo", messages[removed].encode())
    assert (scene.turns.read_summary("foo") is not None) == stays
    assert scene.client.hexists(scene.keys.conversation("foo"), "summary") == stays


def test_messages_that_are_put_in_place_of_others_are_not_summed_up(scene: Scene) -> None:
    messages = begun(scene)
    scene.turns.write_summary("foo", "", of(messages, 4))
    scene.client.delete(scene.keys.history("foo"))
    scene.client.lpush(scene.keys.history("foo"), *pairs(["other"] * 6))
    assert scene.turns.read_summary("foo") is None


def test_the_end_of_a_large_message_tells_it(scene: Scene) -> None:
    large = ["x" * 20_000 + end for end in "ab"]
    scene.client.lpush(scene.keys.history("foo"), *large)
    assert not scene.turns.write_summary("foo", "", Summary(mark(1, large[1].encode()), "a summary"))
    assert scene.turns.write_summary("foo", "", of(large, 1))


def test_a_summary_lives_as_long_as_the_history(stage: Stage) -> None:
    scene = stage.open(history_ttl=3_600)
    scene.complete(scene.start("a"))
    scene.client.delete(scene.keys.conversation("foo"))
    assert scene.turns.write_summary("foo", "", of(scene.history(), 1))
    assert 0 < scene.client.ttl(scene.keys.conversation("foo")) <= 3_600


@pytest.mark.parametrize(("options", "count"), [({}, 12), ({"compact_threshold": 1_000}, 5)])
def test_whoever_wants_all_is_given_what_follows_the_summary(scene: Scene, options: dict[str, Any], count: int) -> None:
    messages = begun(scene)
    scene.turns.write_summary("foo", "", of(messages, 7))
    scene.turns.submit("all", "foo", "hi", Options(truncation="disabled", **options))
    assert len(scene.claim("all").window) == count
    scene.turns.drop_message("foo", messages[0].encode())
    scene.turns.cancel("all")
    scene.turns.submit("none", "foo", "hi", Options(truncation="disabled", **options))
    assert len(scene.claim("none").window) == 11


def test_a_branch_takes_the_summary_of_its_beginning_along(scene: Scene) -> None:
    for name in NAMES:
        answer(scene, name)
    scene.turns.write_summary("foo", "", of(scene.history(), 6))
    for place, name in enumerate(NAMES[:-1]):
        branch = f"branch-{name}"
        scene.turns.follow(f"after-{name}", name, branch, "hi")
        assert scene.client.hexists(scene.keys.conversation(branch), "summary") == (place >= 2)
        found = scene.turns.read_summary(branch)
        assert (found == of(scene.history(branch), 6)) if place >= 2 else found is None


def test_a_summary_has_its_own_place_in_a_branch(stage: Stage) -> None:
    scene = stage.open(window_messages=0)
    scene.turns.begin("foo", {}, [message.replace('"human"', '"system"', 1) for message in marked("rule")[:1]])
    scene.turns.amend("foo", None, pairs(f"old{number}" for number in range(60)))
    for name in NAMES:
        answer(scene, name)
    scene.turns.write_summary("foo", "", of(scene.history(), 123))
    scene.turns.follow("b", "t3", "branch", "hi")
    copied = scene.history("branch")
    assert len(copied) == 101
    assert scene.turns.read_summary("branch") == of(copied, 95)
    assert copied[93:95] == marked("t0")
