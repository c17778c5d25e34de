"""Chunks of a streamed completion, read from server-sent events."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from turnstile.turns.text import loads

Chunk = dict[str, Any]
DONE: Chunk = {"done": True}
_TEXTS = ("content", "reasoning_content", "reasoning")
_LIKELY = "+logprobs"


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
    """Yield the same chunks, with neighbours that go on with the same text or the same call's arguments merged."""
    held: list[Chunk] = []
    going: Going = None
    for chunk in chunks:
        goes_on, begins = _going(chunk)
        if held and (goes_on is None or goes_on != going):
            yield _joined(held, going)
            held = []
        if begins is None and goes_on is None:
            yield chunk
        else:
            held.append(chunk)
            going = begins
    if held:
        yield _joined(held, going)


Going = str | int | None
"""The field of text, or the index of the call, that chunks go on with."""


def _going(chunk: Chunk) -> tuple[Going, Going]:
    """Return what a chunk goes on with, and what the next one may go on with; None for nothing."""
    choices: Sequence[Any] = chunk.get("choices") or ()
    if len(choices) != 1 or choices[0].get("finish_reason"):
        return None, None
    likely = choices[0].get("logprobs")
    if likely and (not isinstance(likely.get("content"), list) or likely.get("refusal")):
        return None, None
    delta = choices[0].get("delta") or {}
    told = [name for name, value in delta.items() if value and name != "role"] if len(delta) > 1 else [*delta]
    field = None if told else "content"
    if len(told) == 1:
        if told[0] == "tool_calls" and len(delta["tool_calls"]) == 1 and not likely:
            return _calling(delta["tool_calls"][0])
        field = told[0] if told[0] in _TEXTS else None
    if field is None or not isinstance(delta.get(field), str):
        return None, None
    going = field + _LIKELY if likely else field
    return going, going


def _calling(call: dict[str, Any]) -> tuple[Going, Going]:
    function, index = call.get("function") or {}, call.get("index")
    if not isinstance(index, int) or not isinstance(function.get("arguments"), str):
        return None, None
    return (None if call.get("id") or function.get("name") else index), index


def _joined(chunks: list[Chunk], going: Going) -> Chunk:
    first = chunks[0]
    if len(chunks) > 1:
        likely = isinstance(going, str) and going.endswith(_LIKELY)
        field = going.removesuffix(_LIKELY) if isinstance(going, str) else going
        place = [_place(chunk, field) for chunk in chunks]
        holder, name = place[0]
        holder[name] = "".join(holder[name] for holder, name in place)
        if likely:
            # LangChain copies all of them for each chunk that has some.
            told = [chunk["choices"][0]["logprobs"]["content"] for chunk in chunks]
            first["choices"][0]["logprobs"] = {"content": [token for tokens in told for token in tokens]}
    return first


def _place(chunk: Chunk, going: Going) -> tuple[dict[str, Any], str]:
    """Return the object that holds what goes on, and its field."""
    delta = chunk["choices"][0]["delta"]
    return (delta, going) if isinstance(going, str) else (delta["tool_calls"][0]["function"], "arguments")
