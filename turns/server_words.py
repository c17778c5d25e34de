"""Errors of a model's server in its own words, which each server has for a prompt that is too long."""

import re
from dataclasses import dataclass
from typing import Any, Self

from turnstile.turns.text import whole

_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_TEXT = 2_000
_READ = 20_000
_MOST_DIGITS = 12
_TYPES = ("context_length_exceeded", "exceed_context_size_error")
_SENTENCES = re.compile(
    "|".join(
        (
            "maximum context length",  # OpenAI, Azure, vLLM, OpenRouter
            "context window",  # OpenAI's Responses API, llama-cpp-python
            "context length",  # SGLang, LM Studio, Ollama
            "maximum model length",  # vLLM
            "too long to fit into the model",  # vLLM
            "max_tokens must be at least 1, got -",  # vLLM, where the prompt leaves no room
            "available context size",  # llama.cpp
            "prompt is too long",  # Ollama, Anthropic
            "input length .*exceeds the maximum allowed length",  # SGLang
            r"`inputs` must have less than \d+ tokens",  # TGI
            r"`inputs` tokens \+ `max_new_tokens` must be <=",  # TGI
            "context the overflows|when context overflows",  # LM Studio
            "cannot truncate prompt with n_keep",  # LM Studio
            "input token count .*exceeds the maximum",  # Gemini
        )
    )
)
_REFUSALS = (400, 413, 422)
_TOO_MANY_AT_ONCE = "request too large"  # OpenAI, with status 429: more than is taken in a minute
_RATE_LIMIT = 429
_ENDED = "context size has been exceeded"  # llama.cpp, with status 500
_ASKED = re.compile(
    r"requested:? (\d+)|resulted in (\d+) tokens|request \((\d+) tokens|input \((\d+) tokens|given: (\d+)|length (\d+)\)"
    r"|first (\d+) tokens|n_keep \((\d+)\)|input length \((\d+)"
)
_ALLOWED = re.compile(
    r"maximum context length is (\d+)|context size \((\d+)|context length \((\d+)|must be <= (\d+)|less than (\d+) tokens"
    r"|limit (\d+), requested|context length of only (\d+)|context length (\d+)\)|n_ctx \((\d+)\)|model length of (\d+)"
    r"|allowed length \((\d+)"
)


@dataclass(frozen=True, slots=True)
class ServerWords:
    """A server's own words about an error. `text` may hold a question, an answer or a key; the others are plain words."""

    kind: str = ""
    code: str = ""
    text: str = ""
    asked: int = 0
    """The tokens of a prompt that is too long, where the server tells."""
    allowed: int = 0
    """The tokens that it takes."""

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """Read an error of the `openai` package, or of another that keeps the answer's `body`."""
        return cls.of_body(getattr(error, "body", None), error)

    @classmethod
    def of_body(cls, body: Any, error: BaseException | None = None) -> Self:
        """Read the body of an answer, which says it all; `error` is what was made of it, if anything."""
        if isinstance(body, dict) and isinstance(body.get("error"), dict | str):
            body = body["error"]
        about = body if isinstance(body, dict) else {}
        text = body if isinstance(body, str) else about.get("message") or str(error or "")
        text = whole(str(text))[:_READ]
        return cls(
            kind=_word(about.get("type") or getattr(error, "type", None)),
            code=_word(about.get("code") or getattr(error, "code", None)),
            text=text,
            asked=_count(about.get("n_prompt_tokens")) or _number(_ASKED, text),
            allowed=_count(about.get("n_ctx")) or _number(_ALLOWED, text),
        )

    def too_long(self, status: int | None) -> bool:
        """Return whether the server says that the prompt does not fit; `status` is None for an error inside a stream."""
        if self.kind in _TYPES or self.code in _TYPES or _ENDED in self.text.lower():
            return True
        if status == _RATE_LIMIT:
            return self.text.lower().startswith(_TOO_MANY_AT_ONCE)
        return status in (None, *_REFUSALS) and bool(_SENTENCES.search(self.text.lower()))

    def told(self, status: int | None, *, whole_text: bool) -> str:
        """Return one line for an operator."""
        words = [f"HTTP {status}" if status else "", *(word for word in (self.kind, self.code) if not word.isdigit())]
        line = ", ".join(dict.fromkeys(filter(None, words)))
        text = " ".join(self.text.split())[:_MOST_TEXT]
        return ": ".join(filter(None, (line, text))) if whole_text else line


def _word(value: object) -> str:
    text = str(value) if isinstance(value, str) or (isinstance(value, int) and abs(value) < 10**_MOST_DIGITS) else ""
    return text if _WORD.fullmatch(text) else ""


def _count(value: object) -> int:
    return value if type(value) is int and value > 0 else 0


def _number(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.search(text.lower())
    digits = next(filter(None, found.groups())) if found else "0"
    return int(digits) if len(digits) <= _MOST_DIGITS else 0
