"""Schedules by the clients and the command line."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.producers.conftest import Run
from turnstile.producers.client import AsyncChatClient, ChatClient
from turnstile.turns.errors import InvalidTurn, UnknownTurn
from turnstile.turns.settings import Settings
from turnstile.turns.states import State

RULE = "0 9 * * 1-5"


@pytest.fixture
def chat(settings: Settings) -> ChatClient:
    return ChatClient(settings=settings)


def test_a_turn_that_is_asked_later(chat: ChatClient) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    turn = chat.ask("foo", "hi", id="a", not_before=later)
    assert chat.ask("foo", "hi", id="a", not_before=later).id == "a"
    record = turn.status()
    assert (record.state, record.session, record.question) == (State.QUEUED, "foo", "hi")
    assert record.not_before == pytest.approx(later.timestamp(), abs=0.01)
    assert turn.cancel() is State.CANCELLED
    assert chat.schedules("foo") == []
    with pytest.raises(UnknownTurn):
        turn.status()


def test_a_time_without_zone_is_refused(chat: ChatClient) -> None:
    with pytest.raises(InvalidTurn, match="time zone"):
        chat.ask("foo", "hi", not_before=datetime(2030, 1, 1))  # noqa: DTZ001 - it is refused


async def test_both_clients_do_the_same(settings: Settings, chat: ChatClient) -> None:
    async with AsyncChatClient(settings=settings) as other:
        assert await other.schedule("foo", "hi", cron=RULE, time_zone="Europe/Paris", id="m") == "m"
        assert chat.schedule("foo", "hi", cron=RULE, time_zone="Europe/Paris", id="m") == "m"
        assert await other.schedules("foo") == chat.schedules("foo")
        turn = await other.ask("foo", "hi", not_before=time.time() + 60)
        assert (await turn.status()).state is State.QUEUED
        assert await other.remove_schedule("m")
    [left] = chat.schedules()
    assert left.id == turn.id
    assert not chat.remove_schedule("m")


def test_the_command_line(run: Run) -> None:
    assert run("schedule", "add", "foo", "hi", "--cron", RULE, "--time-zone", "Asia/Tokyo", "--id", "m").output == "m\n"
    assert (
        run("schedule", "add", "foo", "hi", "--at", "2100-01-01T09:00", "--time-zone", "Asia/Tokyo", "--id", "o").exit_code == 0
    )
    first, second = map(json.loads, run("schedule", "list", "foo", "--json").output.splitlines())
    assert (first["cron"], first["time_zone"], first["missed"]) == (RULE, "Asia/Tokyo", "once")
    assert second["next"] == datetime(2100, 1, 1, tzinfo=UTC).timestamp()
    assert f"foo  {RULE} (Asia/Tokyo, missed: once)" in run("schedule", "list").output
    assert run("schedule", "remove", "m").exit_code == 0
    assert run("schedule", "remove", "m").exit_code == 1


@pytest.mark.parametrize("args", [(), ("--at", "2100-01-01", "--cron", RULE), ("--cron", "soon"), ("--at", "soon")])
def test_a_wrong_command_is_told(run: Run, args: tuple[str, ...]) -> None:
    assert run("schedule", "add", "foo", "hi", *args).exit_code == 2
