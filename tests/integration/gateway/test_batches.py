"""Files and batches: OpenAI's own SDK, real workers, gateways that die."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.support.batches import CHAT, RESPONSES, begun, completed, ended, line, results, text_of, uploaded
from tests.support.gateways import Gateway
from tests.support.processes import Worker
from tests.support.wait import wait_until
from turnstile.turns.api_keys import new_key
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore


@pytest.fixture
def gateway(redis_url: str, tmp_path: Path) -> Iterator[Gateway]:
    with Worker(redis_url, tmp_path), Gateway(redis_url, tmp_path) as gateway:
        yield gateway


@pytest.fixture
def sdk(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with gateway.sdk() as client:
        yield client


@pytest.fixture
def http(gateway: Gateway) -> Iterator[httpx.Client]:
    with gateway.http() as client:
        yield client


def test_requests_are_answered_in_the_order_of_the_file(sdk: openai.OpenAI) -> None:
    lines = [line(f"q{n}", {"model": "gpt-4o-mini", "input": f"number {n}"}) for n in range(30)]
    batch = ended(sdk, begun(sdk, *lines).id)
    assert (batch.status, batch.metadata, batch.error_file_id, batch.errors) == ("completed", {"mine": "yes"}, None, None)
    counts = batch.request_counts
    assert counts
    assert (counts.total, counts.completed, counts.failed) == (30, 30, 0)
    found = results(sdk, batch.output_file_id)
    assert [result["custom_id"] for result in found] == [f"q{n}" for n in range(30)]
    assert [text_of(result) for result in found] == [f"You said: number {n}" for n in range(30)]
    assert {result["response"]["status_code"] for result in found} == {200}
    assert sdk.files.retrieve(str(batch.output_file_id)).bytes == len(sdk.files.content(str(batch.output_file_id)).content)
    assert batch.id in [one.id for one in sdk.batches.list()]


def test_chat_completions(sdk: openai.OpenAI) -> None:
    batch = begun(sdk, line("c", {"messages": [{"role": "user", "content": "hi"}]}, CHAT), endpoint=CHAT)
    [result] = results(sdk, ended(sdk, batch.id).output_file_id)
    assert result["response"]["body"]["choices"][0]["message"]["content"] == "You said: hi"


def test_a_bad_line_is_an_error_of_its_own(sdk: openai.OpenAI) -> None:
    batch = begun(
        sdk,
        line("good", {"input": "hi"}),
        "not JSON",
        "",
        line("unknown", {"input": "hi", "nonsense-of-mine": [1], "background": True}),
        line("elsewhere", {"messages": []}, CHAT),
        line("streamed", {"input": "hi", "stream": True}),
        line("unanswered", {"input": "fail [[fail=400]]"}),
        "[1]",
    )
    done = ended(sdk, batch.id)
    assert [result["custom_id"] for result in results(sdk, done.output_file_id)] == ["good"]
    failed = results(sdk, done.error_file_id)
    assert [result["custom_id"] for result in failed] == [None, "unknown", "elsewhere", "streamed", "unanswered", None]
    assert {result["response"]["status_code"] for result in failed} == {400}
    assert done.request_counts
    assert (done.request_counts.total, done.request_counts.failed) == (7, 6)


def test_a_file_that_has_no_request_fails(sdk: openai.OpenAI) -> None:
    done = ended(sdk, begun(sdk, "", "  ").id)
    assert done.status == "failed"
    assert done.errors
    assert done.errors.data
    assert done.errors.data[0].message == "The file has no requests."


def test_empty_lines_count_as_lines(sdk: openai.OpenAI) -> None:
    done = ended(sdk, begun(sdk, line("first", {"input": "hi"}), *[""] * 50_001).id)
    assert done.status == "failed"
    assert done.errors
    assert done.errors.data
    assert done.errors.data[0].message == "The file has more than 50,000 lines: split it."


def test_a_file_that_is_deleted_fails_its_batch(sdk: openai.OpenAI) -> None:
    batch = begun(sdk, *[line(f"q{n}", {"input": "hi [[latency=0.1]]", "instructions": "x" * 3000}) for n in range(1500)])
    wait_until(lambda: completed(sdk, batch) > 5, "some are answered")
    sdk.files.delete(batch.input_file_id)
    assert ended(sdk, batch.id).status == "failed"


def test_they_can_be_switched_off(redis_url: str, tmp_path: Path) -> None:
    with Gateway(redis_url, tmp_path, TURNSTILE_BATCHES="false") as gateway, gateway.http() as http:
        assert [http.get(path).status_code for path in ("/v1/files", "/v1/batches")] == [404, 404]


def test_files_come_back_as_they_were(sdk: openai.OpenAI) -> None:
    content = "\n".join(line(f"{n}", {"input": "x" * 900}) for n in range(1500)).encode()
    file = sdk.files.create(file=("many.jsonl", content), purpose="batch")
    assert (file.bytes, file.filename, file.purpose, file.status) == (len(content), "many.jsonl", "batch", "processed")
    assert sdk.files.content(file.id).content == content
    assert file.id in [one.id for one in sdk.files.list(purpose="batch")]
    assert sdk.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        sdk.files.retrieve(file.id)


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"files": {"file": b"x"}, "data": {"purpose": "assistants"}}, 400),
        ({"files": {"file": b"x"}}, 400),
        ({"data": {"purpose": "batch"}}, 415),
        ({"files": {"other": b"x"}, "data": {"purpose": "batch"}}, 400),
        ({"files": [("file", b"x"), ("file", b"y")], "data": {"purpose": "batch"}}, 400),
        ({"content": b"--x\r\nbroken", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 400),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400),
        ({"json": {"purpose": "batch"}}, 415),
    ],
)
def test_a_form_that_is_wrong(http: httpx.Client, form: dict[str, Any], status: int) -> None:
    answer = http.post("/v1/files", **form)
    assert (answer.status_code, set(answer.json()["error"])) == (status, {"message", "type", "param", "code"})


def test_a_batch_over_no_file(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        sdk.batches.create(input_file_id="file-none", endpoint=RESPONSES, completion_window="24h")


def test_files_are_bounded(redis_url: str, tmp_path: Path) -> None:
    small = {"TURNSTILE_MAX_FILE_BYTES": "100000", "TURNSTILE_MAX_STORED_BYTES": "150000"}
    with Gateway(redis_url, tmp_path, **small) as gateway, gateway.sdk() as sdk:
        with pytest.raises(openai.APIStatusError) as large:
            sdk.files.create(file=("large.jsonl", b"x" * 100_001), purpose="batch")
        sdk.files.create(file=("first.jsonl", b"x" * 100_000), purpose="batch")
        with pytest.raises(openai.APIStatusError) as full:
            sdk.files.create(file=("second.jsonl", b"x" * 100_000), purpose="batch")
        assert (large.value.status_code, full.value.status_code) == (413, 413)
        assert len(list(sdk.files.list())) == 1


def test_a_batch_is_cancelled(sdk: openai.OpenAI, redis_url: str) -> None:
    batch = begun(sdk, *[line(f"q{n}", {"input": "wait for me [[hang]]"}) for n in range(5)])
    store = TurnStore(Settings(redis_url=redis_url))
    wait_until(lambda: store.stats().get("running", 0) or sdk.batches.retrieve(batch.id).status == "in_progress", "it runs")
    assert sdk.batches.cancel(batch.id).status == "cancelling"
    done = ended(sdk, batch.id)
    assert done.status == "cancelled"
    assert Counter(result["error"]["code"] for result in results(sdk, done.error_file_id)) == {"batch_cancelled": 5}


def test_a_gateway_dies_and_another_goes_on(redis_url: str, tmp_path: Path) -> None:
    lines = [line(f"q{n}", {"input": f"number {n} [[latency=0.05]]"}) for n in range(400)]
    with Worker(redis_url, tmp_path), Gateway(redis_url, tmp_path) as second, second.sdk() as sdk:
        with Gateway(redis_url, tmp_path) as first:
            second.stop()
            with first.sdk() as early:
                batch = begun(early, *lines)
                wait_until(lambda: completed(early, batch) > 20, "some are answered")
            first.kill()
        second.start()
        done = ended(sdk, batch.id)
        found = results(sdk, done.output_file_id)
        assert [result["custom_id"] for result in found] == [f"q{n}" for n in range(400)]
        stats = TurnStore(Settings(redis_url=redis_url)).stats()
        assert (stats["accepted"], stats["completed"]) == (400, 400)


def test_another_tenant_sees_nothing(redis_url: str, tmp_path: Path) -> None:
    acme, other = new_key("a key of acme's", "acme"), new_key("a key of other's", "other")
    entries = json.dumps({key.digest: key.entry for key in (acme, other)})
    with (
        Gateway(redis_url, tmp_path, TURNSTILE_API_KEYS=entries) as gateway,
        gateway.sdk(api_key=acme.text) as mine,
        gateway.sdk(api_key=other.text) as theirs,
    ):
        file = uploaded(mine, line("q", {"input": "hi"}))
        batch = mine.batches.create(input_file_id=file, endpoint=RESPONSES, completion_window="24h")
        tries: list[Callable[[], object]] = [
            lambda: theirs.files.retrieve(file),
            lambda: theirs.files.content(file),
            lambda: theirs.files.delete(file),
            lambda: theirs.batches.retrieve(batch.id),
            lambda: theirs.batches.cancel(batch.id),
            lambda: theirs.batches.create(input_file_id=file, endpoint=RESPONSES, completion_window="24h"),
        ]
        for attempt in tries:
            with pytest.raises(openai.NotFoundError):
                attempt()
        assert (list(theirs.files.list()), list(theirs.batches.list())) == ([], [])
        assert [one.id for one in mine.files.list()] == [file]
