"""The search for an item in a long history."""

import asyncio
import json
from typing import Any

import pytest

from turnstile.memory.element import Element, of_call, of_output, of_role, write
from turnstile.memory.element import read as element_of
from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.producers.gateway.items import history
from turnstile.producers.gateway.items.history import History
from turnstile.producers.gateway.items.ids import kin

SAID: list[Any] = [{"type": "file", "file": {"turnstile": {"turn": "data"}}}]
ELEMENTS = [write(of_role("user", SAID, {"turn": f"resp_t{n}", "place": 0, "at": n})).encode() for n in range(2_000)]


class Store:
    """A store of elements, newest last.

    `most` is the greatest number of reads of old messages at once, `most_bytes` the most bytes that one was to bring.
    """

    def __init__(self, elements: list[bytes] = ELEMENTS) -> None:
        self.most = self.reading = self.most_bytes = self.reads = 0
        self._elements = elements

    async def count_messages(self, _: str) -> int:
        return len(self._elements)

    async def read_messages(self, _: str, place: int, step: int, count: int, size: int) -> list[bytes]:
        self.reads += 1
        self.most_bytes = max(self.most_bytes, size)
        old = place < 1_000
        self.reading += old
        self.most = max(self.most, self.reading)
        await asyncio.sleep(0)
        self.reading -= old
        return self._elements[place::step][:count]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the elements that are read, as they are."""
    parsed: list[bytes] = []

    def note(element: bytes) -> Element | None:
        parsed.append(element)
        return element_of(element)

    monkeypatch.setattr(history, "read", note)
    return parsed


@pytest.mark.parametrize("word", ["data", "human", "type", "content", "t", "resp_t", "turn", "turnstile", "e", ".*", ""])
@pytest.mark.parametrize("prefix", ["msg_", "fc_", ""])
async def test_a_word_that_every_message_holds_is_no_ones_id(read: list[bytes], prefix: str, word: str) -> None:
    with pytest.raises(ApiError, match="Item with id"):
        await History(Store(), "acme/foo").find(prefix + word)  # type: ignore[arg-type]
    assert not read


async def test_no_pattern_is_made_of_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "re", None)
    with pytest.raises(ApiError, match="Item with id"):
        await History(Store(), "acme/foo").find("msg_resp_t700x")  # type: ignore[arg-type]


async def test_a_long_id_is_not_looked_for() -> None:
    with pytest.raises(ApiError, match="Item with id"):
        await History(None, "acme/foo").find("msg_" + "a" * 60_000)  # type: ignore[arg-type]


async def test_the_message_of_an_id_is_read_alone(read: list[bytes]) -> None:
    place, item, element = await History(Store(), "acme/foo").find("msg_t700_i0")  # type: ignore[arg-type]
    assert (place, item["id"], json.loads(element)["turnstile"]["turn"]) == (700, "msg_t700_i0", "resp_t700")
    assert read == [ELEMENTS[700]]


@pytest.mark.parametrize(("tenants", "most"), [(["acme"] * 5, 1), (["acme", "other"] * 3, 2)])
async def test_a_tenant_searches_one_history_at_a_time(tenants: list[str], most: int) -> None:
    store = Store()
    sought = [History(store, f"{tenant}/{n}").find("msg_t1_i0") for n, tenant in enumerate(tenants)]  # type: ignore[arg-type]
    assert {place for place, _, _ in await asyncio.gather(*sought)} == {1}
    assert store.most == most


@pytest.mark.parametrize(("tenants", "most"), [(["acme"] * 5, 1), (["acme", "other"] * 3, 2)])
async def test_a_tenant_reads_one_page_at_a_time(tenants: list[str], most: int) -> None:
    store = Store()
    pages = [History(store, f"{tenant}/{n}").page("msg_t700_i0", 9, "desc") for n, tenant in enumerate(tenants)]  # type: ignore[arg-type]
    assert {page["first_id"] for page in await asyncio.gather(*pages)} == {"msg_t699_i0"}
    assert (store.most, store.most_bytes) == (most, 8_388_608)


CALLS = [
    write(element).encode()
    for n in range(300)
    for element in (
        of_call({"call_id": f"c{n}", "name": "look", "arguments": "{}"}, {"turn": "resp_t", "place": 2 * n}),
        of_output(f"c{n}", "seen", {"turn": "resp_t", "place": 2 * n + 1, "run": True}),
    )
]


@pytest.mark.parametrize("id", ["msg_t_i9999", "fc_t_c00000000"])
async def test_a_search_among_many_calls_of_one_turn_reads_them_once(id: str) -> None:
    """Each of them had its neighbours read, hundreds of messages at a time."""
    store = Store(CALLS)
    with pytest.raises(ApiError, match="Item with id"):
        await History(store, "acme/foo").find(id)  # type: ignore[arg-type]
    assert store.reads < 10


async def test_a_call_that_a_worker_ran_is_found_with_its_output() -> None:
    id = "mcp_t_i1" + kin("", "", "c0").removeprefix("_")
    place, item, _ = await History(Store(CALLS), "acme/foo").find(id)  # type: ignore[arg-type]
    assert (place, item["type"], item["output"]) == (1, "mcp_call", "seen")
