"""Questions from a file."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Worker, offline_model
from turnstile.producers.cli import batch
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore


def _write(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_every_line_is_answered_once_and_in_order(settings: Settings, redis_url: str, tmp_path: Path) -> None:
    asked = [{"session": f"s{n % 3}", "question": f"question {n}"} for n in range(30)]
    bad = [{"session": "no such session!", "question": "x"}, {"session": "s9", "question": "x [[fail=400]]"}]
    source, target = _write(tmp_path / "in.jsonl", *asked, *bad), tmp_path / "out.jsonl"
    seen: list[int] = []
    with offline_model() as model, Worker(redis_url, tmp_path, OPENAI_BASE_URL=model):
        counts = await batch.run(settings, source, target, 10, lambda done, of: seen.append(done))
        assert counts == {"completed": 30, "refused": 1, "failed": 1}
        assert seen == list(range(1, 33))
        assert await batch.run(settings, source, target, 10, lambda done, of: None) == {}
    results = sorted(_read(target), key=lambda result: int(result["line"]))
    assert [result["line"] for result in results] == list(range(1, 33))
    assert [result.get("answer") for result in results[:30]] == [f"You said: question {n}" for n in range(30)]
    assert [result["error"]["code"] for result in results[30:]] == ["invalid", "invalid_request"]
    store = TurnStore(settings)
    said = [json.loads(element)["data"]["content"] for element in reversed(store.history("s0"))]
    assert said[::2] == [f"question {n}" for n in range(0, 30, 3)]


async def test_a_second_run_picks_up_where_the_first_was_cut_off(settings: Settings, redis_url: str, tmp_path: Path) -> None:
    source = _write(tmp_path / "in.jsonl", *({"session": "s", "question": f"question {n}"} for n in range(4)))
    target = tmp_path / "out.jsonl"
    with offline_model() as model, Worker(redis_url, tmp_path, OPENAI_BASE_URL=model):
        await batch.run(settings, source, target, 2, lambda done, of: None)
        whole = target.read_text()
        target.write_text(whole[: whole.index("\n") + 20])
        await batch.run(settings, source, target, 2, lambda done, of: None)
    assert sorted(result["line"] for result in _read(target)) == [1, 2, 3, 4]
    assert len(TurnStore(settings).history("s")) == 8


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "line 2: not a JSON object"),
        ("[]", "line 2: not a JSON object"),
        ('{"session": "s"}', "line 2: `session` and `question` are required"),
        ('{"session": "s", "question": "q", "colour": "red"}', "line 2: `colour` is unknown"),
    ],
)
async def test_a_bad_line_is_named_before_anything_is_asked(settings: Settings, tmp_path: Path, text: str, what: str) -> None:
    source = _write(tmp_path / "in.jsonl", {"session": "s", "question": "q"})
    source.write_text(source.read_text() + text + "\n")
    with pytest.raises(InvalidTurn, match=what):
        await batch.run(settings, source, tmp_path / "out.jsonl", 2, lambda done, of: None)
    assert TurnStore(settings).stats() == {"open": 0}
