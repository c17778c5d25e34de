"""Items that are added to a conversation without a turn."""

from types import SimpleNamespace
from typing import Any

import pytest

from turnstile.producers.gateway.conversations.changes import add_items
from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.producers.gateway.edge.caller import Caller
from turnstile.producers.gateway.items.compaction import Compaction, SystemMessage, shown_compaction
from turnstile.turns.settings import Settings


class _Store:
    """A store that takes messages, and from which nothing is read."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    async def amend(self, _: str, __: None, messages: list[str], ___: None) -> None:
        self.taken += messages


async def _added(store: _Store, items: list[Any]) -> list[Any]:
    backend: Any = SimpleNamespace(store=store, settings=Settings())
    return await add_items(backend, Caller(), "foo", items, None)


def _compacted(messages: int) -> dict[str, Any]:
    said = [SystemMessage(role="system", content=str(n)) for n in range(messages)]
    return shown_compaction("cmp_1", Compaction(system=said, summary="tea"))


async def test_items_are_shown_without_a_search_for_each() -> None:
    store = _Store()
    shown = await _added(store, [{"role": "user", "content": "hi"}, _compacted(3)])
    assert [item["content"][0]["text"] for item in shown[:4]] == ["hi", "0", "1", "2"]
    assert len(store.taken) == len(shown) == 6
    assert len({item["id"] for item in shown}) == 6


async def test_few_items_do_not_stand_for_thousands_of_messages() -> None:
    """Redis looked for each in the history, and then the gateway read it back."""
    store = _Store()
    with pytest.raises(ApiError, match="stand for 1,902 messages; at most 100"):
        await _added(store, [_compacted(1_900)])
    assert not store.taken
