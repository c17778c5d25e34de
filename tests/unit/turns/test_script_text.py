"""Scripts as the server gets them: what stands where, and that nothing hides what a part calls."""

import re

import pytest

from turnstile.turns.redis.script_text import calls, code, filled, nested
from turnstile.turns.redis.scripts import PARTS

_BUILT_IN = {"redis", "cjson", "math", "string", "table", "error", "ipairs", "next", "pairs", "pcall", "select", "tonumber"}
_BUILT_IN |= {"tostring", "type", "unpack"}


def _function(name: str, *called: str) -> str:
    return f"-- {name}(). Call others.\nlocal function {name}()\n" + "".join(f"  {other}()\n" for other in called) + "end\n"


def _depth(text: str, name: str) -> int:
    """Return how many functions are around the one of this name."""
    before = text[: text.index(f"local function {name}(")]
    return len(re.findall(r"(?m)^local function ", before)) - len(re.findall(r"(?m)^end$", before))


@pytest.mark.parametrize(
    ("called", "depths"),
    [
        ({"a": ["b"], "b": ["c"], "c": [], "": ["a"]}, {"a": 0, "b": 1, "c": 2}),
        ({"a": ["b"], "b": [], "": ["a", "b"]}, {"a": 0, "b": 0}),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": [], "": ["a"]}, {"a": 0, "b": 1, "c": 1, "d": 1}),
        ({"a": ["c"], "b": ["c"], "c": ["d"], "d": [], "": ["a", "b"]}, {"a": 0, "b": 0, "c": 0, "d": 1}),
    ],
    ids=[
        "one leads to the next",
        "the script calls it, too",
        "two lead to it inside a third",
        "two lead to it from the script",
    ],
)
def test_a_part_is_inside_the_one_that_alone_leads_to_it(called: dict[str, list[str]], depths: dict[str, int]) -> None:
    parts = {name: _function(name, *called[name]) for name in reversed(called) if name}
    text = nested("".join(f"{name}()\n" for name in called[""]), parts)
    assert {name: _depth(text, name) for name in depths} == depths
    for name, others in called.items():
        for other in others:
            assert text.index(f"local function {other}(") < text.index(f"  {other}()\n" if name else f"\n{other}()\n")


def test_calls_are_told_from_definitions_methods_and_comments() -> None:
    text = "-- Calls f() never.\nlocal function a(b)\n  return b:c() .. math.d(e(b), e(1)) .. f\nend\n"
    assert calls(text, dict.fromkeys("abcdef")) == ["e"]


def test_comments_are_left_out() -> None:
    assert code("-- one\nlocal a = 1\n  -- two\n  return a -- 1\n") == "local a = 1\n  return a -- 1\n"


def test_constants_stand_where_they_are_used() -> None:
    values: dict[str, int | str] = {"key.due": "q:due", "rule.grace": 5, "rule.message": '{"id": "@id@"}'}
    assert filled("f(key.due, rule.grace)", values) == 'f(("q:due"), 5)'
    assert filled("g(rule.message)", values) == """g(([==[{"id": "]==] .. names.id .. [==["}]==]))"""
    with pytest.raises(KeyError, match="patiense"):
        filled("rule.patiense", values)


@pytest.mark.parametrize("part", PARTS)
def test_no_parameter_hides_a_function(part: str) -> None:
    signature = re.search(rf"local function {part}\((.*?)\)", PARTS[part])
    assert signature
    assert not {name.strip() for name in signature[1].split(",")} & (PARTS.keys() | _BUILT_IN)
