"""The scripts of files and batches: bounds of a tenant's files, one owner of a batch, one result of each line, fairness."""

from typing import Any

import pytest

from tests.scripts.cutting import cut, numbers
from turnstile.turns.errors import FileRefused, TooManyWaiting, TurnConflict, UnknownBatch, UnknownFile
from turnstile.turns.redis.scripts import BATCHES_AT_WORK, MOST_FILES, MOST_UNFINISHED_BATCHES
from turnstile.turns.settings import Settings
from turnstile.turns.store.batches import COMPLETED, FAILED, Hold, Place, result_file
from turnstile.turns.store.turns import TurnStore

OUT, ERR = result_file("batch", COMPLETED), result_file("batch", FAILED)


@pytest.fixture
def store(redis_url: str) -> TurnStore:
    return TurnStore(Settings(redis_url=redis_url, max_file_bytes=1024, max_stored_bytes=4096))


def _uploaded(store: TurnStore, file: str = "file", size: int = 10, tenant: str = "") -> None:
    store.create_file(tenant, file, "x.jsonl")
    store.append_piece(tenant, file, 0, 0, b"x" * size, last=True)


def _begin(store: TurnStore, batch: str = "batch", tenant: str = "", fingerprint: str = "print") -> None:
    store.create_batch(tenant, batch, "file" + tenant, "{}", fingerprint, 60)


def _owned(store: TurnStore, token: str = "token") -> str:
    _uploaded(store)
    _begin(store)
    assert store.claim_batch(token) == "batch"
    return token


def _stored(client: Any, store: TurnStore, tenant: str = "") -> int:
    return int(client.hget(store.keys.stored(tenant), "") or 0)


def _expire_lease(store: TurnStore, client: Any) -> None:
    client.zadd(store.keys.batches_due, {"/batch": 1})


def test_a_piece_that_comes_twice_is_stored_once(store: TurnStore) -> None:
    _uploaded(store)
    for _ in range(2):
        store.append_piece("", "file", 1, 10, b"yy", last=True)
    assert [store.read_piece("file", number) for number in range(3)] == [b"x" * 10, b"yy", None]
    assert store.read_file("file").bytes == 12


def test_a_piece_that_was_cut_is_stored_once(store: TurnStore, client: Any) -> None:
    for writes in numbers():
        client.flushdb()
        _uploaded(store)
        with cut(store, "append_piece", writes) as happened:
            store.append_piece("", "file", 1, 10, b"yy", last=True)
        store.append_piece("", "file", 1, 10, b"yy", last=True)
        assert client.llen(store.keys.pieces("file")) == 2
        assert (store.read_file("file").bytes, _stored(client, store)) == (12, 12)
        if not happened:
            return


def test_a_file_and_a_tenant_are_bounded(store: TurnStore) -> None:
    store.create_file("", "large", "x")
    with pytest.raises(FileRefused, match="too large"):
        store.append_piece("", "large", 0, 0, b"x" * 1025)
    for name in ("first", "second", "third"):
        _uploaded(store, name, 1024)
    _uploaded(store, "fourth", 1000)
    with pytest.raises(FileRefused, match="no room"):
        _uploaded(store, "fifth", 100)
    _uploaded(store, "theirs", 100, "other")
    store.delete_file("", "first")
    store.append_piece("", "fifth", 0, 0, b"x" * 100)


def test_what_has_expired_makes_room(store: TurnStore, client: Any) -> None:
    for name in ("first", "second", "third", "fourth"):
        _uploaded(store, name, 1024)
    store.create_file("", "fifth", "x.jsonl")
    client.zadd(store.keys.files(""), {"first": 1})
    store.append_piece("", "fifth", 0, 0, b"x" * 1024, last=True)
    assert not client.exists(store.keys.file("first"), store.keys.pieces("first"))
    assert _stored(client, store) == 4096


def test_there_are_so_many_files_at_most(store: TurnStore, client: Any) -> None:
    now = round(store.now() * 1000)
    client.zadd(store.keys.files(""), {f"f{number}": now for number in range(MOST_FILES)})
    with pytest.raises(FileRefused, match="too many"):
        _uploaded(store)
    client.zadd(store.keys.files(""), {"f0": 1})
    _uploaded(store)
    assert client.zscore(store.keys.files(""), "f0") is None


def test_a_file_that_has_not_come_to_its_end_begins_no_batch(store: TurnStore) -> None:
    store.create_file("", "file", "x.jsonl")
    store.append_piece("", "file", 0, 0, b"half")
    assert not store.read_file("file").whole
    with pytest.raises(FileRefused, match="not come to its end"):
        _begin(store)
    store.append_piece("", "file", 1, 4, b"the rest", last=True)
    assert store.read_file("file").whole
    _begin(store)


def test_what_is_stored_expires(store: TurnStore, client: Any) -> None:
    token = _owned(store)
    store.record_result("batch", token, 1, COMPLETED, "{}", Place())
    assert {name: client.pttl(name) > 0 for name in client.keys("*")} == dict.fromkeys(client.keys("*"), True) | {
        store.keys.batches_due: False
    }
    store.end_batch("batch", token, COMPLETED, "")
    assert {name: client.pttl(name) > 0 for name in client.keys("*")} == dict.fromkeys(client.keys("*"), True)


def test_files_of_others_are_unknown(store: TurnStore) -> None:
    _uploaded(store)
    with pytest.raises(UnknownFile):
        store.delete_file("other", "file")
    with pytest.raises(UnknownFile):
        store.append_piece("other", "file", 1, 10, b"y")
    with pytest.raises(UnknownFile):
        store.create_batch("other", "batch", "file", "{}", "print", 60)
    with pytest.raises(UnknownBatch):
        store.cancel_batch("", "batch")


def test_a_batch_has_one_owner(store: TurnStore, client: Any) -> None:
    old = _owned(store, "old")
    assert store.claim_batch("new") is None
    _expire_lease(store, client)
    assert store.claim_batch("new") == "batch"
    assert store.renew_batch("batch", old) is None
    assert store.release_batch("batch", old) is None
    assert not store.start_batch("batch", old, 1)
    assert store.record_result("batch", old, 1, COMPLETED, "{}", Place()) is None
    assert not store.end_batch("batch", old, COMPLETED, "")
    assert store.renew_batch("batch", "new") == Hold("validating", False)
    assert client.zscore(store.keys.batches_due, "/batch") > store.now() * 1000
    assert store.recorded_lines(OUT, 1, 10) == (0, frozenset())


def test_a_line_has_one_result(store: TurnStore, client: Any) -> None:
    token = _owned(store)
    assert store.record_result("batch", token, 1, COMPLETED, "first", Place())
    assert store.record_result("batch", token, 1, FAILED, "second", Place(1, 0, 7))
    batch = store.read_batch("batch")
    assert (batch.completed, batch.failed, batch.place) == (1, 0, Place(1, 0, 7))
    assert (store.read_results(OUT, 1, 2), store.read_results(ERR, 1, 2)) == ((3, (b"first",)), (3, ()))
    assert int(client.hget(store.keys.stored(""), OUT)) == len("first\n")


def test_a_result_that_was_cut_is_counted_once(store: TurnStore, client: Any) -> None:
    for writes in numbers():
        client.flushdb()
        token = _owned(store)
        with cut(store, "record_result", writes) as happened:
            store.record_result("batch", token, 1, COMPLETED, "result", Place(1, 0, 7))
        store.record_result("batch", token, 1, COMPLETED, "result", Place(1, 0, 7))
        batch = store.read_batch("batch")
        assert (batch.completed, batch.failed, batch.place.line) == (1, 0, 1)
        assert int(client.hget(store.keys.stored(""), OUT)) == len("result\n")
        if not happened:
            return


def test_results_count_as_stored_and_say_when_there_is_no_more_room(store: TurnStore, client: Any) -> None:
    token = _owned(store)
    assert store.record_result("batch", token, 1, COMPLETED, "x" * 2000, Place())
    assert store.record_result("batch", token, 2, COMPLETED, "x" * 2000, Place()) is False
    with pytest.raises(FileRefused):
        _uploaded(store, "another", 100)
    store.end_batch("batch", token, COMPLETED, "")
    store.delete_file("", OUT)
    assert not client.exists(store.keys.results(OUT), store.keys.file(OUT))
    _uploaded(store, "another", 100)


def test_errors_of_requests_that_were_not_asked_take_no_more_than_there_is_room_for(store: TurnStore, client: Any) -> None:
    token = _owned(store)
    assert store.start_batch("batch", token, 9) is True
    for number in range(1, 4):
        kept = store.record_result("batch", token, number, FAILED, "x" * 1400, Place(number, 0, 0), asked=False)
        assert kept is (number < 3)
    batch = store.read_batch("batch")
    assert (batch.failed, batch.place.line) == (2, 2)
    assert _stored(client, store) <= 4096
    assert store.record_result("batch", token, 4, FAILED, "x" * 1400, Place(2, 0, 0)) is False
    assert store.start_batch("batch", token, 9) is False
    store.end_batch("batch", token, FAILED, "no room")
    assert [len(store.read_results(ERR, 1, store.read_file(ERR).lines)[1]), store.read_batch("batch").failed] == [3, 3]


def test_a_batch_that_is_cancelled_says_so_to_its_owner(store: TurnStore) -> None:
    token = _owned(store)
    store.start_batch("batch", token, 1)
    assert store.cancel_batch("", "batch")
    assert store.renew_batch("batch", token) == Hold("cancelling", False)
    store.end_batch("batch", token, "cancelled", "")
    assert not store.cancel_batch("", "batch")
    assert store.read_batch("batch").state == "cancelled"
    assert store.claim_batch("another") is None


def test_a_batch_that_is_cancelled_first_keeps_its_total(store: TurnStore) -> None:
    token = _owned(store)
    store.cancel_batch("", "batch")
    store.start_batch("batch", token, 7)
    batch = store.read_batch("batch")
    assert (batch.state, batch.total) == ("cancelling", 7)


def test_a_batch_is_begun_once(store: TurnStore) -> None:
    token = _owned(store)
    _begin(store)
    store.end_batch("batch", token, COMPLETED, "")
    _begin(store)
    assert store.claim_batch("another") is None
    assert store.list_batches("") == ["batch"]


def test_another_request_under_the_same_id_is_a_conflict(store: TurnStore) -> None:
    _owned(store)
    with pytest.raises(TurnConflict):
        _begin(store, fingerprint="another")


def test_unfinished_batches_are_bounded(store: TurnStore, client: Any) -> None:
    _uploaded(store)
    client.zadd(store.keys.unfinished(""), {f"b{number}": 1 for number in range(MOST_UNFINISHED_BATCHES)})
    with pytest.raises(TooManyWaiting):
        _begin(store)
    _uploaded(store, "fileother", tenant="other")
    _begin(store, tenant="other")


def test_batches_count_as_stored(store: TurnStore) -> None:
    _uploaded(store)
    for number in range(3):
        _begin(store, f"b{number}")
    with pytest.raises(FileRefused, match="no room"):
        _begin(store, "b3")


def test_a_tenant_has_few_batches_at_work_and_none_waits_for_them(redis_url: str) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    _uploaded(store)
    for number in range(5):
        _begin(store, f"b{number}")
    _uploaded(store, "fileother", tenant="other")
    _begin(store, "theirs", "other")
    taken = [store.claim_batch(f"t{number}") for number in range(5)]
    assert taken == [*(f"b{number}" for number in range(BATCHES_AT_WORK)), "theirs", None, None]
    store.end_batch("b1", "t1", COMPLETED, "")
    assert (store.claim_batch("new"), store.claim_batch("new")) == ("b2", None)


def test_a_batch_that_is_released_stands_behind_those_that_wait(redis_url: str, client: Any) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    for tenant in ("a", "b", "c"):
        _uploaded(store, f"file{tenant}", tenant=tenant)
        _begin(store, f"of-{tenant}", tenant)
        client.zadd(store.keys.batches_due, {f"{tenant}/of-{tenant}": "abc".index(tenant) + 1})
    assert store.claim_batch("t") == "of-a"
    assert store.renew_batch("of-a", "t") == Hold("validating", True)
    store.release_batch("of-a", "t")
    assert [store.claim_batch("t") for _ in range(4)] == ["of-b", "of-c", "of-a", None]


def test_a_batch_that_nobody_has_worked_on_ends_at_once_when_it_is_cancelled(redis_url: str) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    _uploaded(store)
    for number in range(BATCHES_AT_WORK + 1):
        _begin(store, f"b{number}")
        store.claim_batch("t")
    last = f"b{BATCHES_AT_WORK}"
    assert store.cancel_batch("", last)
    assert store.read_batch(last).state == "cancelled"
    assert not store.cancel_batch("", last)
    store.end_batch("b0", "t", COMPLETED, "")
    assert store.claim_batch("t") is None


def test_a_batch_that_was_cut_while_it_ended_lets_the_next_one_come(redis_url: str, client: Any) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    for writes in numbers():
        client.flushdb()
        _uploaded(store)
        names = [f"b{number}" for number in range(BATCHES_AT_WORK + 1)]
        for name in names:
            _begin(store, name)
        for name in names[:-1]:
            assert store.claim_batch("t") == name
        with cut(store, "end_batch", writes) as happened:
            store.end_batch("b0", "t", COMPLETED, "")
        client.zadd(store.keys.batches_due, {"/b0": 1}, xx=True)
        found = {store.claim_batch("new") for _ in range(3)}
        assert found - {"b0"} == {names[-1], None} or (happened and store.read_batch("b0").state == "validating")
        if not happened:
            return


def test_results_are_files_once_a_batch_has_ended(store: TurnStore) -> None:
    token = _owned(store)
    for number, outcome in enumerate((COMPLETED, FAILED, COMPLETED), 1):
        store.record_result("batch", token, number, outcome, f"r{number}", Place(number, 1, 0))
    assert store.read_batch("batch").completed_file == ""
    for _ in range(2):
        store.end_batch("batch", token, COMPLETED, "")
    out, batch = store.read_file(OUT), store.read_batch("batch")
    assert (out.bytes, out.lines, out.purpose, out.whole) == (6, 3, "batch_output", True)
    assert (batch.completed_file, batch.failed_file, batch.completed, batch.failed) == (OUT, ERR, 2, 1)
    assert store.read_results(OUT, 1, 3) == (4, (b"r1", b"r3"))
    assert set(store.list_files("")) == {"file", OUT, ERR}


def test_results_are_read_in_pieces(redis_url: str) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    token = _owned(store)
    for number in (1, 2, 3, 1500):
        store.record_result("batch", token, number, COMPLETED, str(number) * 200_000, Place())
    assert [store.read_results(OUT, first, 1500)[0] for first in (1, 3, 1003)] == [3, 1003, 1501]
    assert [len(store.read_results(OUT, first, 1500)[1]) for first in (1, 3, 1003)] == [2, 1, 1]


def test_lines_that_have_a_result_are_told(store: TurnStore) -> None:
    token = _owned(store)
    for number in (2, 3, 1500):
        store.record_result("batch", token, number, COMPLETED, "r", Place())
    assert store.recorded_lines(OUT, 1, 1000) == (3, frozenset({2, 3}))
    assert store.recorded_lines(OUT, 3, 5000) == (3, frozenset({3}))
    assert store.recorded_lines(OUT, 1500, 1500) == (3, frozenset({1500}))


def test_a_batch_that_has_expired_is_passed_over(store: TurnStore, client: Any) -> None:
    _owned(store)
    client.delete(store.keys.batch("batch"))
    _expire_lease(store, client)
    assert store.claim_batch("another") is None
    assert not client.exists(store.keys.batches_due, store.keys.unfinished(""))
