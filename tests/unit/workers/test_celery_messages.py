"""Celery messages: which are dispatches, which become turns, and which options turns do not have."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from tests.support.processes import ROOT, environment
from turnstile.turns.celery_message import dispatch_message, webhook_message
from turnstile.turns.question import Options
from turnstile.workers.upkeep.celery_messages import Message, Refused, is_dispatch, read

_NAMES = {"id": "a", "session": "tenant/foo", "queue": "chat", "tag": "a-1", "turn": "a", "question": '\\"hi [x], {}\\"'}


def _filled(template: str) -> dict[str, Any]:
    for name, value in _NAMES.items():
        template = template.replace(f"@{name}@", value)
    return dict(json.loads(template))


@pytest.mark.parametrize("template", [dispatch_message(), dispatch_message(show_content=True), webhook_message()])
def test_what_the_scripts_send_is_a_dispatch(template: str) -> None:
    assert is_dispatch(_filled(template))


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("headers", "origin", "gen1@host"),
        ("headers", "task", "their.task"),
        ("headers", "id", "\ud800"),
        ("headers", "eta", "2030-01-01T00:00:00+00:00"),
        ("headers", "expires", "2030-01-01T00:00:00+00:00"),
        ("properties", "delivery_info", None),
        (None, "content-type", "application/x-python-serialize"),
        (None, "body", json.dumps([["foo", "a question"], {}, {}])),
        (None, "body", "no JSON"),
        (None, "headers", None),
    ],
)
def test_what_differs_is_none(part: str | None, name: str, value: object) -> None:
    message = _filled(dispatch_message())
    (message[part] if part else message)[name] = value
    assert not is_dispatch(message)


@pytest.mark.parametrize("message", [None, 5, "x", [], {}, {"headers": []}])
def test_what_is_no_message_is_none(message: object) -> None:
    assert not is_dispatch(message)
    assert read(json.dumps(message)) is None


def _message(**parts: Any) -> str:
    headers = {"task": "workers.answer", "id": "a", **parts.pop("headers", {})}
    body = json.dumps([["foo", "hi"], {}, parts.pop("embed", {})])
    return json.dumps({"headers": headers, "properties": {}, "body": body, **parts})


def test_a_message_becomes_a_turn() -> None:
    assert read(_message()) == Message("a", "foo", "hi", reply=True)
    assert read(_message(headers={"ignore_result": True})) == Message("a", "foo", "hi", reply=False)


@pytest.mark.parametrize("wrong", ["", 7, "00-1-1-01", None])
def test_the_trace_in_its_headers_is_the_turns(wrong: object) -> None:
    place = f"00-{'1' * 32}-{'2' * 16}-01"
    traced = Options(traceparent=place, tracestate="a=1")
    assert read(_message(headers={"traceparent": place, "tracestate": "a=1"})) == Message("a", "foo", "hi", True, traced)
    assert read(_message(headers={"traceparent": wrong})) == Message("a", "foo", "hi", reply=True)


def test_all_whose_results_may_be_waited_for_are_told() -> None:
    def task(id: object) -> dict[str, Any]:
        return {"task": "their.task", "options": {"task_id": id}}

    embed = {
        "chain": [task("c"), task("b"), task(5), {}],
        "chord": task("d"),
        "callbacks": [task("e")],
        "errbacks": [task("f")],
    }
    refused = read(_message(embed=embed))
    assert isinstance(refused, Refused)
    assert refused.ids == ("a", "c", "b", "d", "e")


@pytest.mark.parametrize("name", ["link", "eta"])
def test_options_that_turns_do_not_have_are_refused_to_the_caller(name: str) -> None:
    # In a process of its own: a task that is imported belongs to every Celery app there.
    code = f"from turnstile.workers.answer import answer; answer.apply_async(('foo', 'hi'), {name}=5)"
    env = environment({"REDIS_URL": "redis://127.0.0.1:1"})
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert re.search(rf"InvalidTurn: .*\b{name}\b", done.stderr)
