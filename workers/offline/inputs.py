"""The stand-in's embeddings and moderations. They follow the words of an input: texts that share words have similar vectors."""

import asyncio
import base64
import hashlib
import json
import math
import re
import uuid
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from turnstile.workers.offline.answers import MODEL
from turnstile.workers.offline.messages import text_of

DIMENSIONS = 1_536
MOST_CHARACTERS = 8_192
"""Of an input that its embedding follows: the stand-in shares a worker's loop. The rest counts as tokens of four characters."""
_MOST_CHARACTERS_IN_ALL = 1_048_576
_MOST_DIMENSIONS = 8_192
_MOST_NUMBERS = 2_048 * DIMENSIONS
_PLACES_OF_A_WORD = 8
_WORD = re.compile(r"\w+")
_HARMFUL = {"violence": re.compile(r"\b(?:kill|murder|stab)\b", re.IGNORECASE)}
_CATEGORIES = (
    *("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm"),
    *("self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic"),
)


def newest_text(request: Any) -> str:
    """Return the text of a request's last input. Raises ValueError if the request has none."""
    return _text(_inputs(request)[-1])


async def embeddings(request: Mapping[str, Any]) -> bytes:
    """Return the body of a list of embeddings, one for each input; others have their time between two."""
    size = request.get("dimensions") or DIMENSIONS
    if type(size) is not int or not 0 < size <= _MOST_DIMENSIONS:
        raise ValueError(f"dimensions must be at most {_MOST_DIMENSIONS}")
    texts = [_text(one) for one in _inputs(request)]
    if len(texts) * size > _MOST_NUMBERS or sum(len(text[:MOST_CHARACTERS]) for text in texts) > _MOST_CHARACTERS_IN_ALL:
        raise ValueError("the inputs, or their dimensions, are too many: send fewer in a request")
    form: Callable[[list[float]], Any] = _base64 if request.get("encoding_format") == "base64" else list
    data, tokens = [], 0
    for place, text in enumerate(texts):
        words = _WORD.findall(text[:MOST_CHARACTERS].lower())
        tokens += len(words) + len(text[MOST_CHARACTERS:]) // 4
        data.append(json.dumps({"object": "embedding", "index": place, "embedding": form(_vector(words, size))}))
        await asyncio.sleep(0)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    head = json.dumps({"object": "list", "model": MODEL, "usage": usage})[:-1]
    return f'{head}, "data": [{", ".join(data)}]}}'.encode()


async def moderations(request: Mapping[str, Any]) -> bytes:
    """Return the body of a moderation, with a result for each input; others have their time between two."""
    results = []
    for one in _inputs(request):
        results.append(_result(_text(one)))
        await asyncio.sleep(0)
    return json.dumps({"id": f"modr-{uuid.uuid4().hex}", "model": MODEL, "results": results}).encode()


def _inputs(request: Any) -> list[Any]:
    """Return the inputs of a request."""
    given = request.get("input") if isinstance(request, dict) else None
    if isinstance(given, str) or (isinstance(given, list) and given and isinstance(given[0], int)):
        given = [given]
    if not isinstance(given, list) or not given:
        raise ValueError("input must be a text, or a list that is not empty")
    return given


def _text(given: Any) -> str:
    """Return an input as a text; each token is a word."""
    if isinstance(given, list):
        return " ".join(map(str, given))
    return text_of([given]) if isinstance(given, dict) else str(given)


def _vector(words: Sequence[str], size: int) -> list[float]:
    vector = [0.0] * size
    for word in words or [""]:
        digest = hashlib.sha256(word.encode()).digest()
        for start in range(0, 4 * _PLACES_OF_A_WORD, 4):
            number = int.from_bytes(digest[start : start + 4])
            vector[(number >> 1) % size] += 1.0 if number & 1 else -1.0
    length = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [value / length for value in vector]


def _base64(vector: list[float]) -> str:
    return base64.b64encode(array("f", vector).tobytes()).decode()


def _result(text: str) -> dict[str, Any]:
    found = {name: bool(_HARMFUL[name].search(text)) if name in _HARMFUL else False for name in _CATEGORIES}
    return {
        "flagged": any(found.values()),
        "categories": found,
        "category_scores": {name: 0.99 if harmful else 0.0 for name, harmful in found.items()},
        "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
    }
