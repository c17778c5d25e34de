"""A window holds the newest messages that fit, in a form that a model's server accepts."""

from collections.abc import Iterator, Sequence
from typing import overload

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage, trim_messages
from langchain_core.messages.utils import count_tokens_approximately

from turnstile.memory.codec import encode
from turnstile.memory.window import Window, fit

HI, HELLO, HOW, FINE = HumanMessage("hi"), AIMessage("hello"), HumanMessage("how are you"), AIMessage("fine")
RULE = SystemMessage("be brief")


def call(*ids: str, invalid: tuple[str, ...] = ()) -> AIMessage:
    return AIMessage(
        content="",
        tool_calls=[{"name": "look", "args": {}, "id": one} for one in ids],
        invalid_tool_calls=[
            {"type": "invalid_tool_call", "name": "look", "args": "{", "id": one, "error": None} for one in invalid
        ],
    )


def result(one: str) -> ToolMessage:
    return ToolMessage("seen", tool_call_id=one)


def newest_first(*messages: BaseMessage) -> list[str]:
    return [encode(message) for message in reversed(messages)]


class OnlyTheNewest(Sequence[str]):
    """A history of a million elements that fails when more than `reach` of them are touched."""

    def __init__(self, reach: int) -> None:
        self.reach = reach

    def __len__(self) -> int:
        return 1_000_000

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[str]: ...
    def __getitem__(self, place: int | slice) -> str | Sequence[str]:
        raise NotImplementedError

    def __iter__(self) -> Iterator[str]:
        for place in range(self.reach):
            yield encode(HELLO if place % 2 == 0 else HI)
        raise AssertionError("touched an element beyond the window")


def test_messages_come_oldest_first() -> None:
    assert fit(newest_first(HI, HELLO, HOW, FINE), 10) == Window([HI, HELLO, HOW, FINE], broken=0)


def test_an_empty_history_is_an_empty_window() -> None:
    assert fit([], 10) == Window([], broken=0)


def test_a_window_of_nothing_is_empty() -> None:
    assert fit(newest_first(HI, HELLO), 0) == Window([], broken=0)


def test_only_the_newest_messages_are_looked_at() -> None:
    assert len(fit(OnlyTheNewest(40), 40).messages) == 40


def test_after_a_cut_the_window_starts_on_a_human_message() -> None:
    assert fit(newest_first(HI, HELLO, HOW, FINE), 3).messages == [HOW, FINE]


def test_a_whole_history_may_open_with_a_greeting() -> None:
    assert fit(newest_first(HELLO, HOW, FINE), 4).messages == [HELLO, HOW, FINE]


def test_a_greeting_goes_when_something_before_it_may_be_missing() -> None:
    assert fit(newest_first(HELLO, HOW, FINE), 3).messages == [HOW, FINE]


def test_a_window_without_a_human_message_is_empty() -> None:
    assert fit(newest_first(HI, *[FINE] * 10), 5).messages == []


def test_tokens_are_cut_from_the_old_end() -> None:
    budget = count_tokens_approximately([HOW, FINE])
    assert fit(newest_first(HI, HELLO, HOW, FINE), 10, budget).messages == [HOW, FINE]
    assert fit(newest_first(HI, HELLO, HOW, FINE), 10, budget - 1).messages == []


def test_the_stored_count_is_what_counts() -> None:
    elements = [element.replace('"tokens":', '"tokens":1000') for element in newest_first(HI, HELLO)]
    assert fit(elements, 10, 999).messages == []
    assert fit(elements, 10, 0).messages == [HI, HELLO]


def test_a_question_larger_than_the_budget_leaves_an_empty_window() -> None:
    assert fit(newest_first(HI, HELLO, HumanMessage("x" * 10_000)), 10, 100).messages == []


def test_broken_elements_are_passed_over_and_counted() -> None:
    elements = newest_first(HI, HELLO, HOW, FINE)
    assert fit([b"{", *elements[:2], "not json", *elements[2:]], 10) == Window([HI, HELLO, HOW, FINE], broken=2)


@pytest.mark.parametrize(
    "calls",
    [
        [call("a"), result("a")],
        [call("a", "b"), result("b"), result("a")],
        [call("a", invalid=("b",)), result("a"), result("b")],
    ],
    ids=["one", "two in any order", "one that did not parse"],
)
def test_a_call_and_its_results_stay_together(calls: list[BaseMessage]) -> None:
    found = fit(newest_first(HI, *calls, FINE), 10).messages
    assert [message.type for message in found] == [message.type for message in (HI, *calls, FINE)]


@pytest.mark.parametrize(
    "fragment",
    [
        [result("a")],
        [call("a")],
        [call("a"), result("b")],
        [result("a"), call("a")],
        [call("a"), FINE],
        [call(invalid=("a",))],
    ],
    ids=[
        "result alone",
        "call alone",
        "a wrong result",
        "result before its call",
        "call before an answer",
        "did not parse, alone",
    ],
)
def test_half_a_call_goes_and_the_rest_stays(fragment: list[BaseMessage]) -> None:
    found = fit(newest_first(HI, *fragment, HOW), 10).messages
    assert found == [HI, *[message for message in fragment if message is FINE], HOW]


def test_a_message_keeps_its_text_when_its_calls_go() -> None:
    said = AIMessage(
        [{"type": "text", "text": "let me see"}, {"type": "tool_use", "id": "a", "name": "look", "input": {}}],
        tool_calls=call("a").tool_calls,
        additional_kwargs={"tool_calls": [{"id": "a"}]},
    )
    [_, left, _] = fit(newest_first(HI, said, HOW), 10).messages
    assert isinstance(left, AIMessage)
    assert (left.content, left.tool_calls, left.additional_kwargs) == ([{"type": "text", "text": "let me see"}], [], {})


def test_of_several_calls_those_with_a_result_stay() -> None:
    found = fit(newest_first(HI, call("a", "b", invalid=("c",)), result("a"), HOW), 10).messages
    assert found == [HI, call("a"), result("a"), HOW]


@pytest.mark.parametrize("between", [FINE, HOW, RULE])
def test_a_result_moves_to_its_call(between: BaseMessage) -> None:
    assert fit(newest_first(HI, call("a"), between, result("a"), HOW), 10).messages == [
        HI,
        call("a"),
        result("a"),
        between,
        HOW,
    ]


def test_a_call_id_that_comes_again_is_another_call() -> None:
    steps = [HI, call("a"), result("a"), HOW, call("a"), ToolMessage("seen again", tool_call_id="a")]
    assert fit(newest_first(*steps), 10).messages == steps


def test_results_that_follow_a_history_stay_with_their_calls() -> None:
    found = fit(newest_first(HI, call("a", "b")), 10, 0, [result("b"), result("a"), HOW]).messages
    assert found == [HI, call("a", "b"), result("a"), result("b"), HOW]


def test_results_that_follow_without_their_calls_go() -> None:
    assert fit(newest_first(HI, call("a")), 10, 0, [result("b"), HOW]).messages == [HI, HOW]


@pytest.mark.parametrize(("most", "tokens"), [(0, 0), (1, 0), (4, 0), (10, 1)])
def test_the_exchange_that_results_continue_is_whole_beyond_the_limits(most: int, tokens: int) -> None:
    exchange = [HOW, call("a", "b"), result("a"), result("b"), call("c")]
    found = fit(newest_first(HI, HELLO, *exchange), most, tokens, [result("c")]).messages
    assert found == [*exchange, result("c")]


def test_an_exchange_without_a_question_is_whole_too() -> None:
    assert fit(newest_first(call("a")), 1, 0, [result("a")]).messages == [call("a"), result("a")]


def test_a_second_result_of_the_same_call_does_not_show() -> None:
    found = fit(newest_first(HI, call("a"), result("a"), result("x"), result("a"), FINE), 10).messages
    assert found == [HI, call("a"), result("a"), FINE]


def test_a_broken_call_takes_its_result_with_it() -> None:
    elements: list[str | bytes] = [*newest_first(HI, call("a"), result("a"), FINE)]
    elements[2] = b"{"
    assert fit(elements, 10) == Window([HI, FINE], broken=1)


def test_system_messages_stay_where_they_stand() -> None:
    assert fit(newest_first(HI, HELLO, RULE, HOW, FINE), 10).messages == [HI, HELLO, RULE, HOW, FINE]


def test_a_system_message_before_the_first_human_one_survives_the_cut() -> None:
    assert fit(newest_first(HI, RULE, HELLO, HOW, FINE), 4).messages == [RULE, HOW, FINE]


STEP = st.sampled_from(
    [[HI], [FINE], [RULE], [result("a")], [call("a")], [call("a"), result("a")], [call("a", "b"), result("b")], [HOW, FINE]]
)


@given(st.lists(STEP, max_size=12), st.integers(0, 20), st.integers(0, 60))
def test_every_window_is_one_that_a_server_accepts(steps: list[list[BaseMessage]], most: int, tokens: int) -> None:
    history = [message for step in steps for message in step]
    found = fit(newest_first(*history), most, tokens).messages
    assert len(found) <= most
    assert not tokens or count_tokens_approximately(found) <= tokens
    spoken = [message for message in found if message.type != "system"]
    whole = most > len(history) and (not tokens or count_tokens_approximately(history) <= tokens)
    assert whole or not spoken or spoken[0].type == "human"
    asked: set[str | None] = set()
    for message in found:
        if isinstance(message, ToolMessage):
            asked.remove(message.tool_call_id)
            continue
        assert not asked
        asked = {one["id"] for one in message.tool_calls} if isinstance(message, AIMessage) else set()
    assert not asked


TURN = st.tuples(st.text(max_size=60), st.text(max_size=60)).map(lambda turn: [HumanMessage(turn[0]), AIMessage(turn[1])])


@given(st.lists(TURN, max_size=10), st.integers(1, 200))
def test_a_plain_conversation_is_cut_as_langchain_cuts_it(turns: list[list[BaseMessage]], tokens: int) -> None:
    history = [message for turn in turns for message in turn]
    trimmed = trim_messages(
        history, max_tokens=tokens, token_counter=count_tokens_approximately, strategy="last", start_on="human"
    )
    assert fit(newest_first(*history), len(history) + 1, tokens).messages == trimmed


def talk(count: int) -> list[BaseMessage]:
    return [AIMessage(f"{place}") if place % 2 else HumanMessage(f"{place}") for place in range(count)]


def block_fit(messages: list[BaseMessage], most: int, tokens: int = 0, block: float = 0.5) -> list[BaseMessage]:
    newest = newest_first(*messages)[: most + 5]
    return fit(newest, most, tokens, length=len(messages), block=block).messages


def starts(most: int, tokens: int = 0, block: float = 0.5) -> list[int]:
    """Return the starts of a conversation's window, one after each of its exchanges."""
    return [int(str(block_fit(talk(count), most, tokens, block)[0].content)) for count in range(2, 400, 2)]


def test_a_window_that_moves_in_blocks_starts_at_the_same_message_for_many_turns() -> None:
    places = starts(40)
    assert places == sorted(places)
    assert len(set(places)) < len(places) / 6
    assert len(set(starts(40, block=0))) > len(places) * 0.8


def test_a_block_is_never_more_than_its_share_of_the_window() -> None:
    for count in range(41, 300):
        assert 40 * 0.5 - 1 <= len(block_fit(talk(count), 40)) <= 40
        assert 40 * 0.8 - 1 <= len(block_fit(talk(count), 40, block=0.2)) <= 40


def test_a_window_by_tokens_moves_in_blocks_too() -> None:
    size = count_tokens_approximately([HumanMessage("100")])
    places = starts(1_000, tokens=40 * size)
    assert places == sorted(places)
    assert len(set(places)) < len(places) / 6
    for count in range(100, 300):
        window = block_fit(talk(count), 1_000, 40 * size)
        assert 19 * size <= count_tokens_approximately(window) <= 40 * size


def test_a_history_that_fits_is_whole_whatever_blocks_there_are() -> None:
    assert block_fit(talk(40), 40) == talk(40)


def test_a_block_leaves_the_newest_question_in() -> None:
    long_exchange = [
        *talk(20),
        HumanMessage("why"),
        *[part for one in range(16) for part in (call(f"{one}"), result(f"{one}"))],
    ]
    assert block_fit(long_exchange, 34)[0] == HumanMessage("why")


def test_an_exchange_that_goes_on_is_whole_whatever_blocks_there_are() -> None:
    opened = [
        *talk(20),
        HumanMessage("why"),
        *[part for one in range(9) for part in (call(f"{one}"), result(f"{one}"))],
        call("x"),
    ]
    window = fit(newest_first(*opened), 10, 0, [result("x")], length=len(opened), block=0.5).messages
    assert window[0] == HumanMessage("why")
    assert window[-1] == result("x")
