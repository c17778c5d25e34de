"""The behaviour of the offline stand-in: its pace and its faults, as set when it starts or by a request."""

import re
from dataclasses import dataclass, fields, replace
from typing import Any

_DIRECTIVE = re.compile(r"(?<!\s)\s*\[\[\s*(\w[^\[\]]*)\]\]")
FAILURES = {
    "400": (400, "invalid_request_error", None),
    "401": (401, "invalid_request_error", "invalid_api_key"),
    "403": (403, "invalid_request_error", "unsupported_country_region_territory"),
    "404": (404, "invalid_request_error", "model_not_found"),
    "408": (408, "server_error", None),
    "409": (409, "server_error", None),
    "422": (422, "invalid_request_error", None),
    "429": (429, "requests", "rate_limit_exceeded"),
    "500": (500, "server_error", None),
    "502": (502, "server_error", None),
    "503": (503, "server_error", None),
    "context_length_exceeded": (400, "invalid_request_error", "context_length_exceeded"),
    "insufficient_quota": (429, "insufficient_quota", "insufficient_quota"),
}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The way in which a request is answered.

    `latency`: seconds before the first token. `tokens_per_second`: 0 for all at once. `fail`: a status or code (one
    of `FAILURES`). `retry_after`: seconds, told with a failure. `finish`: a finish reason to claim; `refusal`: the
    answer is one. `hang`: never answer. `stall`: stop half-way through the answer. `drop`: close the connection
    half-way. `refuse`: reset the connection at once. `think`: send reasoning first. `context`: most tokens of a prompt; 0:
    any number.
    `model`: the name under which it answers. `cache`: tell how many tokens of the prompt have been seen.
    `requests_per_minute`, `tokens_per_minute`: of each model, in any minute; more get a 429; 0 for no limit.
    `times`: only the first so many requests with the same `key` (the question itself, if there is none) are met with a
    fault; 0 for all.
    """

    latency: float = 0.0
    tokens_per_second: float = 0.0
    fail: str = ""
    retry_after: float = 0.0
    finish: str = ""
    times: int = 0
    key: str = ""
    hang: bool = False
    stall: bool = False
    drop: bool = False
    refuse: bool = False
    think: bool = False
    context: int = 0
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    model: str = ""
    cache: bool = False

    def __post_init__(self) -> None:
        if self.fail and self.fail not in FAILURES:
            raise ValueError(f"fail must be one of {', '.join(FAILURES)}")
        numbers = (self.latency, self.tokens_per_second, self.retry_after, self.times, self.context, self.requests_per_minute)
        if not all(0 <= number <= 1_000_000 for number in (*numbers, self.tokens_per_minute)):
            raise ValueError("numbers must be from 0 to 1,000,000")

    @property
    def faulty(self) -> bool:
        """True when the request will not get its full answer."""
        return bool(self.fail or self.finish or self.hang or self.stall or self.drop or self.refuse)

    def healed(self) -> "Behaviour":
        """Return the same pace, without the faults."""
        return replace(
            self, fail="", retry_after=0.0, finish="", hang=False, stall=False, drop=False, refuse=False, times=0, key=""
        )

    def adjusted(self, words: str) -> "Behaviour":
        """With `name=value` and plain flag words applied.

        Raises:
            ValueError: a word is not known, or its value does not fit.
        """
        return replace(self, **dict(_setting(word) for word in words.split()))


OPTIONS: dict[str, type] = {field.name: type(field.default) for field in fields(Behaviour)}


def _setting(word: str) -> tuple[str, Any]:
    name, equals, value = word.partition("=")
    name = name.replace("-", "_")
    kind = OPTIONS.get(name)
    if kind is None or (kind is bool) == bool(equals):
        raise ValueError(f"{name} is not known")
    return name, True if kind is bool else kind(value)


def read_directive(question: str, base: Behaviour) -> tuple[str, Behaviour]:
    """Split a question from the directives in it. Double brackets that hold anything else stay in the question."""
    behaviour = base

    def take(found: re.Match[str]) -> str:
        nonlocal behaviour
        try:
            behaviour = behaviour.adjusted(found[1])
        except ValueError:
            return found[0]
        return ""

    return _DIRECTIVE.sub(take, question).strip() if "[[" in question else question, behaviour
