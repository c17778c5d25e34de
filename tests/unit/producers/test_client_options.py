"""The options of `ask` are those of a turn."""

import math
from dataclasses import fields
from typing import Any, get_type_hints

import pytest

from turnstile.producers.ask_options import AskOptions
from turnstile.producers.client import AsyncChatClient, ChatClient
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.question import NOT_ASKED, Options
from turnstile.turns.settings import Settings

NOBODY = Settings(redis_url="redis://127.0.0.1:1/0")


def test_every_option_can_be_given_to_ask() -> None:
    assert set(get_type_hints(AskOptions)) == {field.name for field in fields(Options)} - {"answers", *NOT_ASKED}


async def test_an_option_that_there_is_not_is_named_with_the_one_that_was_meant() -> None:
    near: Any = {"temprature": 1}
    far: Any = {"colour": "red"}
    with pytest.raises(TypeError, match=r"^ask\(\) has no option 'temprature'; did you mean 'temperature'\?$"):
        ChatClient(settings=NOBODY).ask("foo", "hello", **near)
    with pytest.raises(TypeError, match=r"^ask\(\) has no option 'colour'\.$"):
        await AsyncChatClient(settings=NOBODY).ask("foo", "hello", **far)


async def test_an_empty_id_is_no_id() -> None:
    with pytest.raises(InvalidTurn, match="A turn id is"):
        ChatClient(settings=NOBODY).ask("foo", "hello", id="")
    with pytest.raises(InvalidTurn, match="A turn id is"):
        await AsyncChatClient(settings=NOBODY).ask("foo", "hello", id="")


async def test_a_time_out_is_a_number() -> None:
    with pytest.raises(InvalidTurn, match="`timeout` must be a number"):
        ChatClient(settings=NOBODY).turn("a").result(timeout=math.nan)
    with pytest.raises(InvalidTurn, match="`timeout` must be a number"):
        await AsyncChatClient(settings=NOBODY).turn("a").result(timeout=math.nan)


@pytest.mark.parametrize("question", ["", " \n", [], [{"type": "text", "text": ""}]])
def test_an_empty_question_is_called_empty(question: Any) -> None:
    with pytest.raises(InvalidTurn, match=r"^The question is empty\.$"):
        ChatClient(settings=NOBODY).ask("foo", question)


@pytest.mark.parametrize(
    "question",
    [None, 5, ["hello"], [{}], [{"type": None}], [{"type": 5}], [{"type": "text"}], [{"type": "text", "text": None}]],
)
def test_parts_of_another_form_are_refused_before_a_chain_meets_them(question: Any) -> None:
    with pytest.raises(InvalidTurn, match="a list of content parts, each with a `type`"):
        ChatClient(settings=NOBODY).ask("foo", question)


@pytest.mark.parametrize("content", [5, {}, [None], [{"type": "text", "text": None}], [{"type": 5}]])
@pytest.mark.parametrize("name", ["history", "before"])
def test_messages_of_another_form_are_refused_too(name: str, content: Any) -> None:
    options: Any = {name: [{"role": "user", "content": content}]}
    with pytest.raises(InvalidTurn, match=f"`{name}` must be messages whose content is a text or content parts") as caught:
        ChatClient(settings=NOBODY).ask("foo", "hello", **options)
    assert caught.value.param == name
