"""The scripts of files and batches: bounds of a tenant's files, one owner of a batch, one result of each line."""

from typing import Any

import pytest

from tests.scripts.cutting import cut, numbers
from turnstile.turns.errors import FileRefused, UnknownBatch, UnknownFile
from turnstile.turns.redis.scripts import MOST_FILES
from turnstile.turns.settings import Settings
from turnstile.turns.store.batches import Place
from turnstile.turns.store.turns import TurnStore


@pytest.fixture
def store(redis_url: str) -> TurnStore:
    return TurnStore(Settings(redis_url=redis_url, max_file_bytes=1024, max_stored_bytes=2048))


def _uploaded(store: TurnStore, file: str = "file", size: int = 10, tenant: str = "") -> None:
    store.create_file(tenant, file, "x.jsonl", "batch")
    store.append_piece(tenant, file, 0, 0, b"x" * size)


def _owned(store: TurnStore, token: str = "token") -> str:
    _uploaded(store)
    store.create_batch("", "batch", "file", "{}", 60)
    assert store.claim_batch(token) == "batch"
    return token


def _expire_lease(store: TurnStore, client: Any) -> None:
    client.zadd(store.keys.batches_due, {"batch": 1})


def test_a_piece_that_comes_twice_is_stored_once(store: TurnStore) -> None:
    _uploaded(store)
    for _ in range(2):
        store.append_piece("", "file", 1, 10, b"yy")
    assert [store.read_piece("file", number) for number in range(3)] == [b"x" * 10, b"yy", None]
    assert store.read_file("file").bytes == 12


def test_a_piece_that_was_cut_is_stored_once(store: TurnStore, client: Any) -> None:
    for writes in numbers():
        client.flushdb()
        _uploaded(store)
        with cut(store, "append_piece", writes) as happened:
            store.append_piece("", "file", 1, 10, b"yy")
        store.append_piece("", "file", 1, 10, b"yy")
        assert client.llen(store.keys.pieces("file")) == 2
        assert store.read_file("file").bytes == 12
        if not happened:
            return


def test_a_file_and_a_tenant_are_bounded(store: TurnStore) -> None:
    store.create_file("", "large", "x", "batch")
    with pytest.raises(FileRefused, match="too large"):
        store.append_piece("", "large", 0, 0, b"x" * 1025)
    _uploaded(store, "first", 1024)
    _uploaded(store, "second", 1000)
    with pytest.raises(FileRefused, match="no room"):
        _uploaded(store, "third", 100)
    _uploaded(store, "theirs", 100, "other")
    store.delete_file("", "first")
    store.append_piece("", "third", 0, 0, b"x" * 100)


def test_there_are_so_many_files_at_most(store: TurnStore, client: Any) -> None:
    now = round(store.now() * 1000)
    client.hset(store.keys.files(""), mapping={f"f{number}": f"{now} 0" for number in range(MOST_FILES)})
    with pytest.raises(FileRefused, match="too many"):
        _uploaded(store)
    client.hset(store.keys.files(""), "f0", "1 0")
    _uploaded(store)
    assert not client.hexists(store.keys.files(""), "f0")


def test_what_is_stored_expires(store: TurnStore, client: Any) -> None:
    token = _owned(store)
    store.record_result("batch", token, 1, "completed", "{}", Place())
    store.end_batch("batch", token, "completed", "", (1, 0), [("completed", "out", 3)])
    assert {name: client.pttl(name) > 0 for name in client.keys("*")} == dict.fromkeys(client.keys("*"), True)


def test_files_of_others_are_unknown(store: TurnStore) -> None:
    _uploaded(store)
    with pytest.raises(UnknownFile):
        store.delete_file("other", "file")
    with pytest.raises(UnknownFile):
        store.append_piece("other", "file", 1, 10, b"y")
    with pytest.raises(UnknownFile):
        store.create_batch("other", "batch", "file", "{}", 60)
    with pytest.raises(UnknownBatch):
        store.cancel_batch("", "batch")


def test_a_batch_has_one_owner(store: TurnStore, client: Any) -> None:
    old = _owned(store, "old")
    assert store.claim_batch("new") is None
    _expire_lease(store, client)
    assert store.claim_batch("new") == "batch"
    assert store.renew_batch("batch", old) is None
    assert not store.start_batch("batch", old, 1)
    assert not store.record_result("batch", old, 1, "completed", "{}", Place())
    assert not store.end_batch("batch", old, "completed", "", (0, 0), [])
    assert store.renew_batch("batch", "new") == "validating"
    assert client.zscore(store.keys.batches_due, "batch") > store.now() * 1000
    assert store.read_results("batch", [1]) == [None]


def test_a_line_has_one_result(store: TurnStore) -> None:
    token = _owned(store)
    store.record_result("batch", token, 1, "completed", "first", Place())
    store.record_result("batch", token, 1, "failed", "second", Place(1, 0, 7))
    batch = store.read_batch("batch")
    assert (batch.completed, batch.failed, batch.place) == (1, 0, Place(1, 0, 7))
    assert store.read_results("batch", [1, 2]) == [("completed", b"first"), None]


def test_a_batch_that_is_cancelled_says_so_to_its_owner(store: TurnStore) -> None:
    token = _owned(store)
    store.start_batch("batch", token, 1)
    assert store.cancel_batch("", "batch")
    assert store.renew_batch("batch", token) == "cancelling"
    store.end_batch("batch", token, "cancelled", "", (0, 0), [])
    assert not store.cancel_batch("", "batch")
    assert store.read_batch("batch").state == "cancelled"
    assert store.claim_batch("another") is None


def test_a_batch_is_begun_once(store: TurnStore) -> None:
    token = _owned(store)
    store.create_batch("", "batch", "file", "{}", 60)
    store.end_batch("batch", token, "completed", "", (0, 0), [])
    store.create_batch("", "batch", "file", "{}", 60)
    assert store.claim_batch("another") is None
    assert store.list_batches("") == ["batch"]


def test_results_are_files_once_a_batch_has_ended(store: TurnStore) -> None:
    token = _owned(store)
    for _ in range(2):
        store.end_batch("batch", token, "completed", "", (2, 1), [("completed", "out", 5), ("failed", "err", 7)])
    out, batch = store.read_file("out"), store.read_batch("batch")
    assert (out.bytes, out.batch, out.outcome, out.purpose) == (5, "batch", "completed", "batch_output")
    assert (batch.completed_file, batch.failed_file, batch.completed, batch.failed) == ("out", "err", 2, 1)
    assert set(store.list_files("")) == {"file", "out", "err"}


def test_a_batch_that_has_expired_is_passed_over(store: TurnStore, client: Any) -> None:
    _owned(store)
    client.delete(store.keys.batch("batch"))
    _expire_lease(store, client)
    assert store.claim_batch("another") is None
    assert not client.exists(store.keys.batches_due)
