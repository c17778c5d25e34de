"""Batches of several tenants: what one does, or sends, or takes back, stops nothing and nobody else."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.support.batches import CHAT, RESPONSES, begun, completed, ended, line, results, text_of, uploaded
from tests.support.gateways import Gateway
from tests.support.step_worker import StepWorker, answering
from tests.support.wait import wait_until
from turnstile.turns.api_keys import NewKey, new_key
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return Settings(redis_url=redis_url)


@pytest.fixture
def sdk(redis_url: str, tmp_path: Path) -> Iterator[openai.OpenAI]:
    """A gateway without a worker."""
    with Gateway(redis_url, tmp_path) as gateway, gateway.sdk() as sdk:
        yield sdk


def _key(tenant: str, name: str = "", **limits: Any) -> NewKey:
    key = new_key(name or tenant, tenant)
    key.entry["limits"] = limits
    return key


@contextmanager
def _tenants(redis_url: str, folder: Path, *keys: NewKey, **env: str) -> Iterator[tuple[Path, list[openai.OpenAI]]]:
    """Run a gateway with these keys in a file, and yield the file and a client for each."""
    file = folder / "keys.json"
    file.write_text(json.dumps({key.digest: key.entry for key in keys}))
    with ExitStack() as stack:
        gateway = stack.enter_context(Gateway(redis_url, folder, TURNSTILE_API_KEYS_FILE=str(file), **env))
        yield file, [stack.enter_context(gateway.sdk(api_key=key.text)) for key in keys]


def test_an_idempotency_key_is_one_batch(sdk: openai.OpenAI) -> None:
    file, other = (uploaded(sdk, line(name, {"input": "hi"})) for name in ("a", "b"))
    asked: Any = {"endpoint": RESPONSES, "completion_window": "24h", "extra_headers": {"Idempotency-Key": "mine"}}
    first, again = (sdk.batches.create(input_file_id=file, **asked) for _ in range(2))
    assert first.id == again.id
    for another in (
        {"input_file_id": other},
        {"input_file_id": file, "endpoint": CHAT},
        {"input_file_id": file, "metadata": {"a": "b"}},
    ):
        with pytest.raises(openai.UnprocessableEntityError):
            sdk.batches.create(**{**asked, **another})


@pytest.mark.parametrize(("charset", "status"), [("punycode", 400), ("UTF-8", 200), ('"utf-8"', 200), ("utf-7", 400)])
def test_a_form_is_decoded_as_utf_8_alone(sdk: openai.OpenAI, charset: str, status: int) -> None:
    """Python's codec for punycode takes a second for 64 KB."""
    parts = {"purpose": "batch", 'file"; filename="a.jsonl': "{}"}
    form = "".join(f'--X\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in parts.items())
    headers = {"content-type": f"multipart/form-data; boundary=X; charset={charset}", "authorization": f"Bearer {sdk.api_key}"}
    answer = httpx.post(f"{sdk.base_url}files", content=f"{form}--X--\r\n", headers=headers)
    assert answer.status_code == status, answer.text


def test_lines_that_are_wrong_in_every_way(sdk: openai.OpenAI, settings: Settings) -> None:
    deep = b'{"custom_id": "deep", "url": "/v1/responses", "body": {"input": ' + b"[" * 5000 + b"]" * 5000 + b"}}"
    many = line("many", {"input": "hi", "x": [0] * 250_000})
    huge = line("huge", {"input": "x" * 9_000_000})
    batch = begun(
        sdk,
        b'\xef\xbb\xbf{"custom_id": "marked", "url": "/v1/responses", "method": "POST", "body": {"input": "first"}}',
        b'{"custom_id": "\xff\xfe"}',
        "[" * 50_000,
        deep,
        many,
        huge,
        line("twice", {"input": "one"}),
        line("twice", {"input": "two"}),
        line("twice", {"input": "one"}),
        '{"custom_id": "half \\ud800", "url": "/v1/responses", "body": {"input": "x"}}',
        b'{"custom_id": "nul\0"}',
        line("x" * 513, {"input": "hi"}),
        line("wrong tool", {"input": "hi", "tools": [{"type": "function", "name": "f", "parameters": 7}]}),
        line("no number", {"input": "hi", "temperature": "hot"}),
        line("last", {"input": "last"}),
    )
    with answering(settings, queue="batch"):
        done = ended(sdk, batch.id)
    assert done.status == "completed"
    assert [(one["custom_id"], text_of(one)) for one in results(sdk, done.output_file_id)] == [
        ("marked", "You said: first"),
        ("twice", "You said: one"),
        ("twice", "You said: one"),
        ("last", "You said: last"),
    ]
    codes = [(one["custom_id"], one["response"]["body"]["error"]["code"]) for one in results(sdk, done.error_file_id)]
    assert codes[:2] == [(None, "invalid_json_line")] * 2
    assert dict(codes)["twice"] == "duplicate_custom_id"
    assert [code for name, code in codes if name is None].count("request_too_large") == 2
    assert len(codes) == 11
    assert TurnStore(settings).stats()["accepted"] == 3


def test_sessions_and_questions_are_lines_too(sdk: openai.OpenAI, settings: Settings) -> None:
    asked = [{"session": "s", "question": f"q{n}", "id": f"id-{n}"} for n in range(3)]
    batch = begun(
        sdk, *map(json.dumps, [*asked, {"session": "s", "question": "q", "temperature": 0}, {"session": "", "question": "q"}])
    )
    with answering(settings, queue="batch"):
        done = ended(sdk, batch.id)
    found = results(sdk, done.output_file_id)
    assert [(one["custom_id"], text_of(one)) for one in found] == [
        *((f"id-{n}", f"You said: q{n}") for n in range(3)),
        (None, "You said: q"),
    ]
    assert len(results(sdk, done.error_file_id)) == 1
    said = [json.loads(element)["data"]["content"] for element in reversed(TurnStore(settings).history("s"))]
    assert said[::2] == ["q0", "q1", "q2", "q"]


def test_a_batch_that_waits_for_room_is_cancelled(redis_url: str, tmp_path: Path) -> None:
    with Gateway(redis_url, tmp_path, TURNSTILE_MAX_WAITING="2") as gateway, gateway.sdk() as sdk:
        batch = begun(sdk, *[line(f"q{n}", {"input": "hi"}) for n in range(9)])
        store = TurnStore(Settings(redis_url=redis_url))
        wait_until(lambda: store.stats().get("accepted") == 2, "the queue is full")
        sdk.batches.cancel(batch.id)
        done = ended(sdk, batch.id)
        assert done.status == "cancelled"
        assert Counter(one["error"]["code"] for one in results(sdk, done.error_file_id)) == {"batch_cancelled": 9}
        assert (store.stats()["accepted"], store.stats()["open"]) == (2, 0)


def test_a_batch_expires_while_it_waits(sdk: openai.OpenAI, settings: Settings) -> None:
    batch = begun(sdk, *[line(f"q{n}", {"input": "hi"}) for n in range(3)])
    worker = StepWorker(settings)
    worker.answer(worker.take("batch"), "in time")
    wait_until(lambda: completed(sdk, batch) == 1, "one is answered")
    # The gateway has read the time: another one reads it anew.
    client, keys = worker.store.client, worker.store.keys
    client.hset(keys.batch(batch.id), mapping={"expires": 1, "owner": "gone"})
    client.zadd(keys.batches_due, {f"/{batch.id}": 1})
    done = ended(sdk, batch.id)
    assert (done.status, len(results(sdk, done.output_file_id))) == ("expired", 1)
    assert Counter(one["error"]["code"] for one in results(sdk, done.error_file_id)) == {"batch_expired": 2}
    assert worker.store.stats()["open"] == 0


def test_results_leave_room_for_others(redis_url: str, tmp_path: Path, settings: Settings) -> None:
    small = {"TURNSTILE_MAX_STORED_BYTES": "150000", "TURNSTILE_MAX_FILE_BYTES": "100000"}
    with Gateway(redis_url, tmp_path, **small) as gateway, gateway.sdk() as sdk, answering(settings, queue="batch"):
        says = "x" * 1500
        batch = begun(sdk, *[line(f"q{n}", {"input": "hi", "instructions": says}) for n in range(60)])
        done = ended(sdk, batch.id)
        counts, errors = done.request_counts, done.errors
        assert counts
        assert errors
        assert [error.code for error in errors.data or ()] == ["storage_full"]
        assert (done.status, done.error_file_id, counts.failed, counts.total) == ("failed", None, 0, 60)
        assert 0 < counts.completed == len(results(sdk, done.output_file_id)) < 60
        assert counts.completed == TurnStore(settings).stats()["accepted"]
        with pytest.raises(openai.APIStatusError) as full:
            uploaded(sdk, "x" * 90_000)
        assert full.value.status_code == 413
        for file in list(sdk.files.list()):
            sdk.files.delete(file.id)
        uploaded(sdk, "x" * 90_000)
        client, keys = TurnStore(settings).client, TurnStore(settings).keys
        assert client.keys(keys.results("*")) == []


def test_lines_that_are_no_requests_take_no_more_than_a_key_may_store(
    redis_url: str, tmp_path: Path, settings: Settings
) -> None:
    with _tenants(redis_url, tmp_path, _key("acme", stored_bytes=100_000)) as (_, (sdk,)):
        file = uploaded(sdk, "x\n" * 9_999)
        asked: Any = {"input_file_id": file, "endpoint": RESPONSES, "completion_window": "24h"}
        batches = [sdk.batches.create(**asked).id for _ in range(6)]
        for id in batches:
            done = ended(sdk, id)
            assert done.errors
            assert [error.code for error in done.errors.data or ()] == ["storage_full"]
            assert done.status == "failed"
        store = TurnStore(settings)
        stored = {name: int(size) for name, size in store.client.hgetall(store.keys.stored("acme")).items()}
        assert sum(stored.values()) // 2 <= 100_000


def test_what_was_asked_is_kept_where_there_is_no_room(redis_url: str, tmp_path: Path, settings: Settings) -> None:
    """Another gateway follows the one that asked; by then nothing more may be stored."""
    with _tenants(redis_url, tmp_path, _key("acme")) as (_, (sdk,)):
        batch = begun(
            sdk, *["no request", line("q", {"input": "hi"})] * 2, *[line(f"q{n}", {"input": "hi"}) for n in range(300)]
        )
        worker = StepWorker(settings)
        store = worker.store
        claims = [worker.take("batch") for _ in range(3)]
        store.client.hset(store.keys.batch(batch.id), "owner", "gone")
        store.client.hset(store.keys.tenant("acme"), "stored_bytes", 1)
        store.client.zadd(store.keys.batches_due, {f"acme/{batch.id}": 1})
        for claim in claims:
            worker.answer(claim, "an answer")
        with answering(settings, queue="batch"):
            done = ended(sdk, batch.id)
        assert done.status == "failed"
        assert done.request_counts
        answers = results(sdk, done.output_file_id)
        assert done.request_counts.completed == len(answers)
        assert len({one["custom_id"] for one in answers}) == store.stats()["accepted"] < 250


def test_a_key_makes_so_many_requests_a_minute_in_batches_too(redis_url: str, tmp_path: Path, settings: Settings) -> None:
    slow, quick = _key("acme", "slow", requests_per_minute=20), _key("acme", "quick")
    with _tenants(redis_url, tmp_path, slow, quick) as (_, (limited, free)), answering(settings, queue="batch"):
        batch = begun(limited, *[line(f"q{n}", {"input": "hi"}) for n in range(40)])
        wait_until(lambda: completed(free, batch) >= 5, "half of a minute's worth is answered")
        free.batches.cancel(batch.id)
        done = ended(free, batch.id)
        assert done.status == "cancelled"
        assert done.request_counts
        assert 5 <= done.request_counts.completed < 20


def test_a_batch_ends_when_its_key_is_removed(redis_url: str, tmp_path: Path) -> None:
    keys = [_key("acme", "first"), _key("acme", "second")]
    with _tenants(redis_url, tmp_path, *keys) as (file, (removed, kept)):
        batch = begun(removed, *[line(f"q{n}", {"input": "hi"}) for n in range(5)])
        store = TurnStore(Settings(redis_url=redis_url))
        wait_until(lambda: store.stats().get("accepted") == 5, "all are asked")
        file.write_text(json.dumps({keys[1].digest: keys[1].entry}))
        done = ended(kept, batch.id)
        assert done.status == "cancelled"
        assert {one["error"]["message"] for one in results(kept, done.error_file_id)} == {
            "The API key of the batch was removed."
        }


def test_a_tenant_s_batches_do_not_stop_another_s(redis_url: str, tmp_path: Path, settings: Settings) -> None:
    """The first fills all its places with turns that nobody answers; the second's are answered."""
    with _tenants(redis_url, tmp_path, _key("many"), _key("few")) as (_, (many, few)):
        waiting = [begun(many, *[line(f"q{n}", {"input": "hi"}) for n in range(300)]) for _ in range(20)]
        store = TurnStore(settings)
        wait_until(lambda: store.stats().get("accepted", 0) >= 400, "the first has all its places")
        batch = begun(few, *[line(f"q{n}", {"input": "hi"}) for n in range(3)])
        worker = StepWorker(settings)

        def answer_mine() -> bool:
            claim = worker.take_if_any("batch")
            if claim and claim.session.startswith("few/"):
                worker.answer(claim, "done")
            return completed(few, batch) == 3

        wait_until(answer_mine, "the second is answered")
        assert ended(few, batch.id).status == "completed"
        statuses = Counter(many.batches.retrieve(one.id).status for one in waiting)
        assert (statuses["in_progress"], statuses["completed"]) == (2, 0)


def test_a_retry_asks_what_has_no_answer(sdk: openai.OpenAI, settings: Settings) -> None:
    file = uploaded(sdk, *[line(f"q{n}", {"input": f"{n}"}) for n in range(4)])
    asked: Any = {"input_file_id": file, "endpoint": RESPONSES, "completion_window": "24h"}
    first = sdk.batches.create(**asked)
    with pytest.raises(openai.BadRequestError, match="has not ended"):
        sdk.batches.create(**asked, extra_body={"retry_of": first.id})
    worker = StepWorker(settings)
    for _ in range(4):
        claim = worker.take("batch")
        worker.fail(claim) if claim.question == "2" else worker.answer(claim, "at once")
    done = ended(sdk, first.id)
    again = sdk.batches.create(**asked, extra_body={"retry_of": first.id})
    worker.answer(worker.take("batch"), "later")
    retried = ended(sdk, again.id)
    assert [(one["custom_id"], text_of(one)) for one in results(sdk, retried.output_file_id)] == [("q2", "later")]
    assert retried.request_counts
    assert (retried.status, retried.request_counts.total) == ("completed", 1)
    with pytest.raises(openai.BadRequestError, match="another file"):
        sdk.batches.create(**{**asked, "input_file_id": uploaded(sdk, "x")}, extra_body={"retry_of": first.id})
    sdk.files.delete(str(done.output_file_id))
    lost = ended(sdk, sdk.batches.create(**asked, extra_body={"retry_of": first.id}).id)
    assert lost.status == "failed"
    assert TurnStore(settings).stats()["accepted"] == 5


def test_what_may_have_been_answered_is_not_asked_again(redis_url: str, tmp_path: Path, settings: Settings) -> None:
    """All gateways were away for so long that the answers have expired."""
    store = TurnStore(settings)
    with Gateway(redis_url, tmp_path) as gateway, gateway.sdk() as sdk:
        batch = begun(sdk, *[line(f"q{n}", {"input": "hi"}) for n in range(2)])
        wait_until(lambda: store.stats().get("accepted") == 2, "both are asked")
        gateway.kill()
        worker = StepWorker(settings)
        for _ in range(2):
            claim = worker.take("batch")
            worker.answer(claim, "an answer")
            store.client.delete(store.keys.turn(claim.id))
        store.client.zadd(store.keys.batches_due, {f"/{batch.id}": 1})
        gateway.start()
        done = ended(sdk, batch.id)
        codes = [one["response"]["body"]["error"]["code"] for one in results(sdk, done.error_file_id)]
        assert codes == ["result_expired"] * 2
        assert store.stats()["accepted"] == 2


def test_a_gateway_that_stops_lets_its_batches_go_at_once(redis_url: str, tmp_path: Path) -> None:
    with Gateway(redis_url, tmp_path) as first, first.sdk() as sdk:
        batch = begun(sdk, line("q", {"input": "hi"}))
        store = TurnStore(Settings(redis_url=redis_url))
        wait_until(lambda: store.stats().get("accepted") == 1, "it is asked")
        first.stop()
        assert store.claim_batch("another") == batch.id
