"""Calls that workers ran, in stretches of a history."""

from typing import Any

from turnstile.memory.element import Element, Mark, of_call, of_output
from turnstile.producers.gateway.items.history import items_of
from turnstile.producers.gateway.items.runs import Runs

RUN: Mark = {"turn": "t", "place": 1, "run": True}


def call(id: str, arguments: str = "{}") -> Element:
    return of_call({"call_id": id, "name": "look", "arguments": arguments}, {"turn": "t", "place": 0})


def told(*elements: Element) -> list[Any]:
    """Return the items of a stretch: their types, and what their calls were given and gave."""
    stretch = dict(enumerate(elements, 5))
    runs = Runs(stretch)
    items = [item for place, element in stretch.items() for item in items_of(element, f"msg_{place}", place, runs)]
    return [(item["type"], item.get("arguments"), item.get("output")) for item in items]


def test_a_call_that_a_worker_ran_is_told_once_with_its_output() -> None:
    assert told(call("c1", '{"a":1}'), of_output("c1", "seen", RUN)) == [("mcp_call", '{"a":1}', "seen")]


def test_a_clients_call_and_its_output_are_two_items() -> None:
    assert told(call("c1"), of_output("c1", "seen", {"turn": "u", "place": 0})) == [
        ("function_call", "{}", None), ("function_call_output", None, "seen")
    ]  # fmt: skip


def test_calls_of_one_name_belong_to_the_outputs_that_follow_them() -> None:
    first, second = (call("look", f'{{"a":{n}}}') for n in (1, 2))
    assert told(first, of_output("look", "one", RUN), second, of_output("look", "two", RUN)) == [
        ("mcp_call", '{"a":1}', "one"), ("mcp_call", '{"a":2}', "two")
    ]  # fmt: skip
    assert told(first, of_output("look", "one", RUN), second)[-1] == ("function_call", '{"a":2}', None)


def test_a_failed_call_has_an_error() -> None:
    failed = of_output("c1", "no", RUN)
    failed.data["status"] = "error"
    stretch = {0: call("c1"), 1: failed}
    [item] = items_of(failed, "msg_t_i1", 1, Runs(stretch))
    assert (item["status"], item["output"], item["error"]["content"][0]["text"]) == ("failed", None, "no")


def test_a_stretch_tells_what_it_lacks() -> None:
    lacks = [(runs.lacks_calls, runs.lacks_outputs) for runs in (
        Runs({1: call("c1")}), Runs({1: of_output("c1", "x", RUN)}), Runs({1: of_output("c1", "x", {})}), Runs({})
    )]  # fmt: skip
    assert lacks == [(False, True), (True, False), (True, False), (False, False)]
    assert told(of_output("c1", "x", RUN)) == [("function_call_output", None, "x")]


def test_a_call_that_waits_for_an_approval_is_the_workers_too() -> None:
    asked = call("c1")
    asked.mark["own"] = True
    [item] = items_of(asked, "msg_t_i0", 5, Runs({5: asked}))
    assert (item["type"], item["status"], item["output"], item["error"]) == ("mcp_call", "in_progress", None, None)
    closed = of_output("c1", "No output was given.", {"turn": "t", "place": 1})
    closed.data["status"] = "error"
    assert told(asked, closed) == [("mcp_call", "{}", None)]
