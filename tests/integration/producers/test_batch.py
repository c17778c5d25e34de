"""Questions from a file: every line is asked once, whatever interrupts a run, and no file but the batch's own is written."""

import asyncio
import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest

from tests.support.processes import Worker, environment, offline_model
from tests.support.step_worker import StepWorker, answering
from tests.support.wait import PATIENCE_SECONDS
from turnstile.producers.cli.batch.lines import AnyLine, read
from turnstile.producers.cli.batch.results import Results
from turnstile.producers.cli.batch.run import run
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.turn import Claim


def _lines(*lines: dict[str, Any]) -> Sequence[AnyLine]:
    return read("".join(json.dumps(line) + "\n" for line in lines).encode())


def _written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _run(settings: Settings, lines: Sequence[AnyLine], target: Path, **how: Any) -> dict[str, int]:
    return asyncio.run(run(settings, lines, Results(target), 10, how.pop("show", lambda done, of: None), **how))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def test_every_line_is_answered_once_and_in_order(settings: Settings, redis_url: str, tmp_path: Path, target: Path) -> None:
    asked = [{"session": f"s{n % 3}", "question": f"question {n}"} for n in range(30)]
    bad = [{"session": "no such session!", "question": "x"}, {"session": "s9", "question": "x [[fail=400]]"}]
    lines, seen = _lines(*asked, *bad), list[int]()
    with offline_model() as model, Worker(redis_url, tmp_path, OPENAI_BASE_URL=model):
        counts = _run(settings, lines, target, show=lambda done, of: seen.append(done))
        assert counts == {"completed": 30, "refused": 1, "failed": 1}
        assert seen == list(range(33))
        assert _run(settings, lines, target) == counts
    results = sorted(_written(target), key=lambda result: int(result["line"]))
    assert [result["line"] for result in results] == list(range(1, 33))
    assert [result.get("answer") for result in results[:30]] == [f"You said: question {n}" for n in range(30)]
    assert [result["error"]["code"] for result in results[30:]] == ["invalid", "invalid_request"]
    said = [json.loads(element)["data"]["content"] for element in reversed(TurnStore(settings).history("s0"))]
    assert said[::2] == [f"question {n}" for n in range(0, 30, 3)]


def test_a_result_is_there_while_later_lines_are_still_at_work(settings: Settings, target: Path) -> None:
    """And submitted: with room for one waiting turn, the second is accepted when the first has ended."""
    tight = settings.model_copy(update={"max_waiting": 1})
    first_shown, in_time = threading.Event(), list[bool]()

    def reply(claim: Claim) -> str:
        if claim.question == "q1":
            in_time.append(first_shown.wait(PATIENCE_SECONDS))
        return "answer"

    def show(done: int, of: int) -> None:
        assert of == 2
        if done == 1 and len(_written(target)) == 1:
            first_shown.set()

    with answering(tight, reply, queue="batch"):
        _run(tight, _lines(*({"session": f"s{n}", "question": f"q{n}"} for n in range(2))), target, show=show)
    assert in_time == [True]


def test_a_rewrite_that_is_cut_off_leaves_the_file_as_it_was(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    old = "".join(f'{{"line":1,"id":"a","state":"{state}"}}\n' for state in ("failed", "completed"))
    target.write_text(old)
    monkeypatch.setattr(os, "fsync", cut)
    with pytest.raises(click.UsageError, match="cannot be written: No space left"), Results(target):
        pass
    assert target.read_text() == old
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.usefixtures("worker")
def test_a_second_run_goes_on_where_the_first_was_cut_off(settings: Settings, target: Path) -> None:
    lines = _lines(*({"session": "s", "question": f"question {n}"} for n in range(4)))
    _run(settings, lines, target)
    whole = target.read_text()
    target.write_text(whole[: whole.index("\n") + 20])
    _run(settings, lines, target)
    assert sorted(result["line"] for result in _written(target)) == [1, 2, 3, 4]
    assert len(TurnStore(settings).history("s")) == 8


@pytest.fixture
def worker(settings: Settings) -> Iterator[None]:
    with answering(settings, queue="batch"):
        yield


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("ids", [True, False])
def test_a_line_that_is_put_on_top_is_asked_and_no_other_twice(settings: Settings, target: Path, ids: bool) -> None:
    def line(number: int) -> dict[str, Any]:
        return {"session": "s", "question": f"question {number}", **({"id": f"id-{number}"} if ids else {})}

    _run(settings, _lines(line(1), line(2)), target)
    assert _run(settings, _lines(line(0), line(1), line(2)), target) == {"completed": 3}
    assert len(_written(target)) == 3
    assert len(TurnStore(settings).history("s")) == 6


@pytest.mark.usefixtures("worker")
def test_equal_lines_are_turns_of_their_own(settings: Settings, target: Path) -> None:
    line = {"session": "s", "question": "again"}
    assert _run(settings, _lines(line, line), target) == {"completed": 2}
    assert len(TurnStore(settings).history("s")) == 4


def test_failed_lines_are_counted_until_they_are_asked_again(settings: Settings, target: Path) -> None:
    lines = _lines({"session": "s", "question": "q", "id": "a"}, {"session": "no!", "question": "q"})
    hand = StepWorker(settings)
    with hand.later(lambda: hand.fail(hand.take("batch"), "model_overloaded")):
        assert _run(settings, lines, target) == {"failed": 1, "refused": 1}
    assert _run(settings, lines, target) == {"failed": 1, "refused": 1}
    with answering(settings, queue="batch"):
        assert _run(settings, lines, target, retry_failed=True) == {"completed": 1, "refused": 1}
    assert {result["id"]: result["state"] for result in _written(target)} == {"a": "completed", lines[1].id: "refused"}
    assert len(_written(target)) == 2
    assert TurnStore(settings).status("a").state is State.COMPLETED


def test_requests_in_openai_s_form(settings: Settings, target: Path) -> None:
    def request(name: str, url: str, **body: Any) -> dict[str, Any]:
        return {"custom_id": name, "method": "POST", "url": url, "body": body}

    lines = _lines(
        request("a", "/v1/responses", input="one", conversation="s"),
        request("b", "/v1/chat/completions", messages=[{"role": "user", "content": "two"}]),
        request("c", "/v1/responses", input="three", conversation="no/such"),
        request("d", "/v1/responses", input="four"),
        {"session": "s", "question": "five"},
    )
    hand = StepWorker(settings)

    def work() -> None:
        for _ in range(3):
            claim = hand.take("batch")
            (hand.fail if claim.question == "four" else partial(hand.answer, answer="done"))(claim)
        hand.answer(hand.take("batch"), "done")

    with hand.later(work):
        assert _run(settings, lines, target) == {"completed": 3, "failed": 1, "refused": 1}
    assert _run(settings, lines, target) == {"completed": 3, "failed": 1, "refused": 1}
    by_name = {result.get("custom_id"): result for result in _written(target)}
    assert by_name["a"]["response"]["body"]["output"][0]["content"][0]["text"] == "done"
    assert by_name["b"]["response"]["body"]["choices"][0]["message"]["content"] == "done"
    assert [by_name[name]["response"]["status_code"] for name in "abcd"] == [200, 200, 400, 504]
    assert by_name[None]["answer"] == "done"
    with answering(settings, queue="batch"):
        assert _run(settings, lines, target, retry_failed=True) == {"completed": 4, "refused": 1}
    assert len(_written(target)) == 5
    assert len(TurnStore(settings).history("s")) == 4


@pytest.mark.parametrize(
    "content",
    [
        b"precious text\nand a last line without an end",
        b"precious text without any newline",
        b'{"session": "s", "question": "q"}\n',
        b'{"line":1,"id":"a","session":"s","state":"completed","answer":"b"}\nprecious\n',
        b'{"line":1,"id":"a","session":"s","state":"completed","answer":"b"}\nprecious',
        b"\xff\xfe\x00garbage\n",
        b"[]\n",
        b'{"line":1,"id":["a"],"state":"completed"}\n',
        b'{"line":1,"id":"a","state":{}}\n',
        b"\n",
    ],
)
def test_a_file_that_is_no_batch_s_own_is_left_as_it_is(target: Path, content: bytes) -> None:
    target.write_bytes(content)
    with pytest.raises(click.UsageError, match="is no result of a batch"):
        Results(target)
    assert target.read_bytes() == content


def test_a_result_whose_newline_an_editor_took_away_counts(target: Path) -> None:
    target.write_bytes(b'{"line":1,"id":"a","session":"s","state":"completed","answer":"b"}')
    with Results(target) as results:
        assert results.state("a") == "completed"
        results.write({"line": 2, "id": "b", "session": "s", "state": "failed"})
    assert [result["id"] for result in _written(target)] == ["a", "b"]


@pytest.mark.usefixtures("worker")
def test_a_batch_of_csv_with_a_byte_order_mark_from_stdin_to_stdout(settings: Settings, redis_url: str) -> None:
    text = '\ufeffsession,question,temperature\r\ns,"Hello, ""you""\nthere",0.5\r\ns,And?,\r\n'
    done = _command(redis_url, "-", "-", "--csv", stdin=text.encode())
    assert done.returncode == 0
    # Results come as their turns are seen to have ended.
    ids = {result["answer"]: result["id"] for result in map(json.loads, done.stdout.splitlines())}
    assert ids.keys() == {'You said: Hello, "you"\nthere', "You said: And?"}
    assert done.stderr.decode() == "2 completed\n"
    assert TurnStore(settings).status(ids['You said: Hello, "you"\nthere']).options.temperature == 0.5


def _command(redis_url: str, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "from turnstile.producers.cli.commands import main; main()", "batch", *arguments]
    env = environment({"REDIS_URL": redis_url})
    return subprocess.run(command, env=env, input=stdin, capture_output=True, timeout=PATIENCE_SECONDS, check=False)


def test_wrong_files_are_told_in_a_line(redis_url: str, tmp_path: Path, target: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"session": "s", "question": "q"}\n')
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"\xff")
    for arguments, told in (
        ((source, source), "is the input"),
        ((source, foreign), "is no result of a batch"),
        ((foreign, target), "line 1: not UTF-8."),
        ((source, tmp_path / "nowhere" / "out.jsonl"), "cannot be written: No such file or directory."),
        ((tmp_path / "nowhere", target), "does not exist"),
    ):
        done = _command(redis_url, *map(str, arguments))
        assert (done.returncode, done.stdout) == (2, b"")
        assert told in done.stderr.decode()
        assert b"Traceback" not in done.stderr
    assert foreign.read_bytes() == b"\xff"
    assert "accepted" not in TurnStore(Settings(redis_url=redis_url)).stats()


def test_the_status_is_1_while_a_line_has_no_answer(settings: Settings, redis_url: str, tmp_path: Path, target: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("session,question,id\ns,q,a\n")
    hand = StepWorker(settings)
    with hand.later(lambda: hand.fail(hand.take("batch"), "model_overloaded")):
        assert _command(redis_url, str(source), str(target)).returncode == 1
    again = _command(redis_url, str(source), str(target), "--json")
    assert (again.returncode, json.loads(again.stdout)) == (1, {"failed": 1})
    with answering(settings, queue="batch"):
        assert _command(redis_url, str(source), str(target), "--retry-failed").returncode == 0
    assert _command(redis_url, str(source), str(target)).returncode == 0
