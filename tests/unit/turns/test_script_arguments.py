"""A script's arguments have the names of its header, in Lua and in Python."""

import pytest

from turnstile.turns.redis.script_arguments import Arguments
from turnstile.turns.store.runner import script_call


def test_single_arguments() -> None:
    arguments = Arguments("s", "id token: an explanation: more of it")
    assert arguments.ordered({"token": "t", "id": "a"}) == ["a", "t"]
    assert arguments.preamble() == "local id, token = ARGV[1], ARGV[2]"


def test_no_arguments() -> None:
    arguments = Arguments("s", "(none)")
    assert arguments.ordered({}) == []
    assert arguments.preamble() == ""


def test_a_list_at_the_end() -> None:
    arguments = Arguments("s", "id pieces…: any number")
    assert arguments.ordered({"id": "a", "pieces": ["x", "y"]}) == ["a", "x", "y"]
    assert "local pieces = {}\nfor i = 2, #ARGV, 1 do\n" in arguments.preamble()


def test_lists_that_take_turns() -> None:
    arguments = Arguments("s", "worker (ids tokens)…")
    assert arguments.ordered({"worker": "w", "ids": ["a", "b"], "tokens": [1, 2]}) == ["w", "a", 1, "b", 2]
    assert "local ids, tokens = {}, {}\nfor i = 2, #ARGV, 2 do\n" in arguments.preamble()
    with pytest.raises(ValueError, match="shorter"):
        arguments.ordered({"worker": "w", "ids": ["a", "b"], "tokens": [1]})


def test_lists_alone() -> None:
    assert Arguments("s", "(ids results)…").ordered({"ids": "ab", "results": [1, 2]}) == ["a", 1, "b", 2]


@pytest.mark.parametrize("line", ["", "id id", "id ids…, more", "ids… id", "(ids id)", "i-d", "id (id results)…", "1 2"])
def test_a_line_that_is_no_list_of_names(line: str) -> None:
    with pytest.raises(ValueError, match="script s"):
        Arguments("s", line)


@pytest.mark.parametrize(
    "given", [{}, {"id": "a"}, {"id": "a", "revoked": "", "keep": "", "more": 1}, {"id": "a", "forced": ""}]
)
def test_other_names_are_refused_when_the_call_is_made(given: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="Script cancel takes id, keep, revoked"):
        script_call("cancel", list, **given)
