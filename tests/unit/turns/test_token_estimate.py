"""Estimates of tokens: what a picture is, a message's parts tell."""

import base64
import json
from typing import Any

import pytest

from turnstile.turns.token_estimate import prompt_tokens

_LARGE = "iVBORw0K" * 25_000
_WORDS = "word " * 40_000


def _tokens(content: Any, **more: Any) -> int:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}]
    return prompt_tokens(json.dumps({"messages": messages, **more}).encode(), messages)


def _part(kind: str, **fields: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": "Look!"}, {"type": kind, kind: fields}]


@pytest.mark.parametrize(
    "text",
    [
        f"data: {_WORDS}",
        f"data:image/png;base64,{_LARGE}",
        _LARGE,
        f'{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{_LARGE}"}}}}',
    ],
    ids=["data: and words", "an address of data", "no spaces", "a picture's JSON"],
)
@pytest.mark.parametrize("where", ["text", "part", "tool's answer", "tool", "unknown part"])
def test_a_text_counts_by_its_length(text: str, where: str) -> None:
    part = {"image_url": {"url": text}, "type": "image_url"}
    tokens = {
        "text": lambda: _tokens(text),
        "part": lambda: _tokens([{"type": "text", "text": text}]),
        "tool's answer": lambda: _tokens([{"type": "text", "text": "hi", "image_url": {"url": text}}]),
        "tool": lambda: _tokens("hi", tools=[{"messages": [{"content": [part]}]}]),
        "unknown part": lambda: _tokens([{**part, "type": ["image_url"]}, {**part, "image_url": [text]}, text]) // 3,
    }[where]()
    assert tokens == pytest.approx(50_000, rel=0.1)


@pytest.mark.parametrize("url", [f"data:image/png;base64,{_LARGE}", "https://example.com/a.png"])
def test_a_picture_counts_a_thousand(url: str) -> None:
    assert _tokens(_part("image_url", url=url) * 2) == pytest.approx(2_000, abs=100)
    assert _tokens(_part("image_url", url=url, detail=_WORDS)) == pytest.approx(51_000, rel=0.1)


@pytest.mark.parametrize(("kind", "field"), [("input_audio", "data"), ("file", "file_data")])
def test_recordings_and_files_count_by_their_size(kind: str, field: str) -> None:
    assert _tokens(_part(kind, **{field: "UklGRg=="})) == pytest.approx(1_000, abs=100)
    assert _tokens(_part(kind, **{field: _LARGE})) == pytest.approx(2_000, abs=100)


def test_a_file_of_text_is_a_text() -> None:
    data = "data:Text/plain;base64," + base64.b64encode(_WORDS.encode()).decode()
    assert _tokens(_part("file", file_data=data)) == pytest.approx(50_000, rel=0.1)
