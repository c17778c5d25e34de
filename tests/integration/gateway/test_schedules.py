"""Responses that are asked later, and schedules, by OpenAI's own SDK."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.integration.conftest import Stack
from tests.support.gateways import Gateway, ended
from tests.support.wait import wait_until
from turnstile.turns.api_keys import Limits, key_id, new_key
from turnstile.turns.store.turns import TurnStore

CRON = "0 9 * * 1-5"
PARAM = "metadata.turnstile_not_before"


def _at(when: object) -> dict[str, str]:
    return {"turnstile_not_before": str(when)}


def _in_an_hour() -> dict[str, str]:
    return _at((datetime.now(UTC) + timedelta(hours=1)).isoformat())


def _schedule(sdk: openai.OpenAI, key: str = "", **body: Any) -> dict[str, Any]:
    options: Any = {"headers": {"Idempotency-Key": key}} if key else {}
    made: Any = sdk.post("/schedules", body={"input": "hi", "cron": CRON, **body}, options=options, cast_to=object)
    return dict(made)


def _get(sdk: openai.OpenAI, path: str) -> Any:
    return sdk.get(path, cast_to=object)


def _come(stack: Stack, session: str, id: str) -> None:
    """Let the time of a schedule come."""
    store = stack.store
    store.client.hset(store.keys.schedule(id), "tick", 1_000)
    store.client.zadd(store.keys.schedules_due, {f"{session} {id}": 1})


def test_a_response_that_is_asked_later_is_queued_until_then(sdk: openai.OpenAI, stack: Stack, session: str) -> None:
    response = sdk.responses.create(input="I'm bob", conversation=session, background=True, metadata=_in_an_hour())
    assert response.status == sdk.responses.retrieve(response.id).status == "queued"
    assert "turnstile_position" not in (response.metadata or {})
    sdk.responses.create(input="I'm ann", conversation=session)
    _come(stack, session, response.id)
    assert ended(sdk, response.id).output_text == "Hello Bob! How can I help you today?"
    items: list[Any] = list(sdk.conversations.items.list(session, order="asc"))
    assert [item.content[0].text for item in items if item.role == "user"] == ["I'm ann", "I'm bob"]


def test_its_stream_waits_with_it(sdk: openai.OpenAI) -> None:
    later = _at(time.time() + 1)
    with sdk.responses.create(input="hello", background=True, stream=True, metadata=later) as events:
        types = [event.type for event in events]
    assert types[:3] == ["response.created", "response.queued", "response.in_progress"]
    assert types[-1] == "response.completed"


def test_it_is_cancelled_and_forgotten(sdk: openai.OpenAI) -> None:
    later, headers = _in_an_hour(), {"Idempotency-Key": "k1"}
    response = sdk.responses.create(input="hi", background=True, metadata=later, extra_headers=headers)
    assert sdk.responses.create(input="hi", background=True, metadata=later, extra_headers=headers).id == response.id
    with pytest.raises(openai.UnprocessableEntityError):
        sdk.responses.create(input="ho", background=True, metadata=later, extra_headers=headers)
    assert sdk.responses.cancel(response.id).status == "cancelled"
    with pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve(response.id)
    other = sdk.responses.create(input="hi", background=True, metadata=_in_an_hour())
    sdk.responses.delete(other.id)
    with pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve(other.id)


@pytest.mark.parametrize(
    "when", ["soon", "", "2026-12-24T09:00", "-1", "1e3", "9" * 30, "9" * 500, "0001-01-01T00:00:00+10:00"]
)
def test_a_time_that_cannot_be_read_is_refused(sdk: openai.OpenAI, when: str) -> None:
    with pytest.raises(openai.BadRequestError, match="offset") as caught:
        sdk.responses.create(input="hi", background=True, metadata=_at(when))
    assert (caught.value.param, caught.value.code) == (PARAM, "invalid_value")


def test_a_request_that_cannot_wait_is_told_what_can(sdk: openai.OpenAI) -> None:
    later = _in_an_hour()
    with pytest.raises(openai.BadRequestError, match="background: true") as caught:
        sdk.responses.create(input="hi", metadata=later)
    assert caught.value.param == PARAM
    with pytest.raises(openai.BadRequestError, match="background: true"):
        sdk.chat.completions.create(model="any", messages=[{"role": "user", "content": "hi"}], metadata=later)
    with pytest.raises(openai.BadRequestError, match="conversation"):
        sdk.responses.create(input="hi", background=True, previous_response_id="resp_1", metadata=later)
    output: Any = [{"type": "function_call_output", "call_id": "c", "output": "1"}]
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.responses.create(input=output, conversation="nowhere", background=True, metadata=later)
    assert caught.value.param == "input"


def test_a_schedule_is_made_listed_and_deleted(sdk: openai.OpenAI, session: str) -> None:
    made = _schedule(sdk, "k2", conversation=session, time_zone="Asia/Tokyo", missed="all")
    assert (made["cron"], made["time_zone"], made["missed"]) == (CRON, "Asia/Tokyo", "all")
    assert (made["conversation"], made["input"], made["last_response_id"]) == ({"id": session}, "hi", None)
    assert _schedule(sdk, "k2", conversation=session, time_zone="Asia/Tokyo", missed="all") == made
    with pytest.raises(openai.UnprocessableEntityError):
        _schedule(sdk, "k2", conversation=session)
    assert _get(sdk, f"/schedules/{made['id']}") == made
    others = [_schedule(sdk, conversation=session)["id"] for _ in range(2)]
    later = sdk.responses.create(input="hi", conversation=session, background=True, metadata=_in_an_hour())
    pages = [_get(sdk, "/schedules?limit=3")]
    while pages[-1]["has_more"]:
        pages.append(_get(sdk, f"/schedules?limit=3&after={pages[-1]['last_id']}"))
    found = {one["id"]: one["cron"] for page in pages for one in page["data"]}
    assert {made["id"], *others, later.id} <= found.keys()
    assert found[later.id] is None
    for id in (made["id"], *others, later.id):
        assert sdk.delete(f"/schedules/{id}", cast_to=object) == {"id": id, "object": "schedule", "deleted": True}
    for path in (f"/schedules/{made['id']}", "/schedules/a%20b", f"/schedules?after={made['id']}"):
        with pytest.raises(openai.NotFoundError):
            _get(sdk, path)


def test_a_tick_is_a_response_in_its_conversation(sdk: openai.OpenAI, stack: Stack, session: str) -> None:
    id = _schedule(sdk, conversation=session, input="I'm bob", metadata={"topic": "fish"}, store=True)["id"]
    _come(stack, session, id)
    name = wait_until(lambda: _get(sdk, f"/schedules/{id}")["last_response_id"], "the tick is asked")
    assert name == f"{id}-1000"
    response = ended(sdk, str(name))
    assert response.output_text == "Hello Bob! How can I help you today?"
    assert (response.background, response.metadata) == (True, {"topic": "fish"})
    sdk.delete(f"/schedules/{id}", cast_to=object)
    assert sdk.responses.retrieve(response.id).status == "completed"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"cron": "soon"}, "cron"),
        ({"cron": "x" * 700}, "cron"),
        ({"time_zone": "Nowhere/Atlantis"}, "time_zone"),
        ({"missed": "some"}, "missed"),
        ({"stream": True}, "stream"),
        ({"background": False}, "background"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"metadata": _at(1)}, PARAM),
        ({"input": []}, "input"),
    ],
)
def test_a_wrong_schedule_is_refused_by_name(sdk: openai.OpenAI, body: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        _schedule(sdk, **body)
    assert caught.value.param == param


def test_schedules_are_their_tenants(redis_url: str, store: TurnStore, tmp_path: Path) -> None:
    keys = {name: new_key("shop", name, Limits(unfinished_turns=7, requests_per_minute=600)) for name in ("acme", "umbrella")}
    entries = json.dumps({key.digest: key.entry for key in keys.values()})
    with (
        Gateway(redis_url, tmp_path, TURNSTILE_API_KEYS=entries, TURNSTILE_MAX_SCHEDULES="1") as gateway,
        gateway.sdk(api_key=keys["acme"].text) as acme,
        gateway.sdk(api_key=keys["umbrella"].text) as umbrella,
    ):
        made = _schedule(acme, conversation="tea")
        assert made["conversation"] == {"id": "tea"}
        counted = {"unfinished_turns": 7, "requests_per_minute": 600, "key": key_id(keys["acme"].digest)}
        assert json.loads(store.client.hget(store.keys.schedule(made["id"]), "quotas") or "") == counted
        assert _get(umbrella, "/schedules")["data"] == []
        for path in (f"/schedules/{made['id']}", f"/schedules?after={made['id']}"):
            with pytest.raises(openai.NotFoundError):
                _get(umbrella, path)
        with pytest.raises(openai.NotFoundError):
            umbrella.delete(f"/schedules/{made['id']}", cast_to=object)
        with pytest.raises(openai.RateLimitError, match="TURNSTILE_MAX_SCHEDULES"):
            acme.responses.create(input="hi", background=True, metadata=_in_an_hour())
        later = umbrella.responses.create(input="hi", background=True, metadata=_in_an_hour())
        with pytest.raises(openai.NotFoundError):
            acme.responses.retrieve(later.id)
        assert [one["id"] for one in _get(acme, "/schedules")["data"]] == [made["id"]]
