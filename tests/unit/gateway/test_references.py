"""References to items of responses: the work for many of them, and the size of what they stand for."""

import asyncio
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.producers.gateway.edge.caller import Caller
from turnstile.producers.gateway.items.given import Given
from turnstile.producers.gateway.items.ids import names_of
from turnstile.producers.gateway.items.reading import read_items
from turnstile.producers.gateway.responses import references
from turnstile.turns.question import Options
from turnstile.turns.states import State


class _Store:
    """A store of one turn, with these messages before its question."""

    def __init__(self, before: list[dict[str, Any]]) -> None:
        ended = {"state": State.COMPLETED, "question": "", "options": Options(before=before)}
        said = {"answer": "", "text": "", "output": (), "attempts": 1, "reasoning": "", "refusal": None}
        self._record: Any = SimpleNamespace(id="resp_t", session="s", **ended, **said)

    async def result(self, _: str) -> Any:
        return self._record

    status = result


def _resolved(store: _Store, *ids: str) -> list[Given]:
    given = read_items([{"type": "item_reference", "id": id} for id in ids], "input")
    backend: Any = SimpleNamespace(store=store)
    return asyncio.run(references.resolved(backend, Caller(), given))


def _said(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def test_each_item_is_named_once_however_many_are_referred_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look through all items for each reference took the gateway five seconds for 2,000 of 2,000."""
    naming = Mock(side_effect=names_of)
    monkeypatch.setattr(references, "names_of", naming)
    store = _Store([_said(str(n)) for n in range(300)])
    found = _resolved(store, *(f"msg_t_i{n}" for n in reversed(range(300))))
    assert [one.body["content"] for one in found] == [str(n) for n in reversed(range(300))]
    assert naming.call_count < 2 * 300


def test_what_is_referred_to_again_counts_again() -> None:
    store = _Store([_said("x" * 200_000)])
    assert len(_resolved(store, *["msg_t_i0"] * 50)) == 50
    with pytest.raises(ApiError, match="refer to fewer"):
        _resolved(store, *["msg_t_i0"] * 100)
