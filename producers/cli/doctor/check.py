"""The outcome of one check."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """A finding; `advice` is empty when all is well."""

    name: str
    verdict: Verdict
    detail: str
    advice: str = ""
