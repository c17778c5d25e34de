"""Chunks of a streamed completion, read from server-sent events."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from turnstile.turns.text import loads

Chunk = dict[str, Any]
DONE: Chunk = {"done": True}


def parsed(lines: Iterable[bytes]) -> Iterator[Chunk]:
    """Yield the JSON of server-sent `data:` lines, with `DONE` for the closing one.

    Raises:
        ValueError: a line does not hold a JSON object.
    """
    for line in lines:
        name, _, value = line.strip().partition(b":")
        if name != b"data":
            continue
        if value.strip() == b"[DONE]":
            yield DONE
            return
        chunk = loads(value)
        if not isinstance(chunk, dict):
            raise ValueError("not an object")
        yield chunk


def merged(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Yield the same chunks, with neighbours that hold only text merged."""
    held: list[Chunk] = []
    for chunk in chunks:
        if held and not _is_text(chunk):
            yield _joined(held)
            held = []
        if _is_text(chunk):
            held.append(chunk)
        else:
            yield chunk
    if held:
        yield _joined(held)


def _is_text(chunk: Chunk) -> bool:
    choices: Sequence[Any] = chunk.get("choices") or ()
    if len(choices) != 1 or chunk.get("usage") or choices[0].get("finish_reason") or choices[0].get("logprobs"):
        return False
    delta = choices[0].get("delta") or {}
    return isinstance(delta.get("content"), str) and not delta.get("tool_calls") and not delta.get("function_call")


def _joined(chunks: list[Chunk]) -> Chunk:
    first = chunks[0]
    if len(chunks) > 1:
        first["choices"][0]["delta"]["content"] = "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks)
    return first
