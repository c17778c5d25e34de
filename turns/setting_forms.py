"""Forms of settings: a pattern, and the words that tell a person of it."""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from pydantic import AfterValidator

PREFIX = "TURNSTILE_"
_ALIKE = 0.8


def form(pattern: str, words: str) -> AfterValidator:
    """Return a check that a whole text fits the pattern; the words say how to write it."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(words)
        return text

    return AfterValidator(check)


def list_of(pattern: str, words: str) -> AfterValidator:
    """Return a check that each part of a comma-separated list fits the pattern; the words say how to write it."""

    def check(text: str) -> str:
        if not all(re.fullmatch(pattern, part) for part in text.replace(" ", "").split(",") if part):
            raise ValueError(words)
        return text

    return AfterValidator(check)


def misspelt(environ: Iterable[str], known: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the unknown names that look like one of ours, each with ours.

    Other names with our prefix belong to other programs: Cloudflare's Turnstile has `TURNSTILE_SECRET_KEY`, for instance.
    """
    ours = {name.removeprefix(PREFIX): name for name in known}
    for name in sorted(name for name in environ if name.startswith(PREFIX) and name not in ours.values()):
        if near := get_close_matches(name.removeprefix(PREFIX).upper(), ours, n=1, cutoff=_ALIKE):
            yield name, ours[near[0]]
