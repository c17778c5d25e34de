"""Errors that repeat: logged once in the server's own words, and retried at a pace."""

import logging

from redis.exceptions import InvalidResponse, RedisError

from turnstile.turns.repeated_errors import RecentTexts

_FIRST_SECONDS, _LONGEST_SECONDS = 0.1, 1.0
_MOST = 200


class OutageLog:
    """The log lines of an outage: one when it begins or changes, one when it is over."""

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log, self._what = log, what
        self._pause = 0.0
        self._logged = False
        self._recent = RecentTexts()

    def record(self, error: BaseException) -> float:
        """Log an error unless the same was logged within the last minute; return the seconds to wait before the next try."""
        words = _words(error)
        if self._recent.add(words):
            self._log.error("%s: %s (trying again)", self._what, words)
            self._logged = True
        self._pause = min(_LONGEST_SECONDS, 2 * self._pause or _FIRST_SECONDS)
        return self._pause

    def end(self) -> None:
        """Log the end of the outage if its beginning was logged."""
        if self._logged:
            self._log.warning("%s: works again", self._what)
        self._logged, self._pause = False, 0.0


def _words(error: BaseException) -> str:
    # Text that could not be parsed may be content.
    text = "" if isinstance(error, InvalidResponse) else " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:_MOST]}" if text else type(error).__name__


class OncePerMinute(logging.Filter):
    """A filter that passes a line about Redis once a minute, without its traceback."""

    def __init__(self) -> None:
        super().__init__()
        self._recent = RecentTexts()

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop repetitions; lines about anything else pass."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, RedisError | OSError):
            return True
        record.exc_info = record.exc_text = None
        return self._recent.add(f"{record.msg} {_words(error)}")
