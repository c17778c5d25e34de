"""Summaries of long histories: read after a claim, asked for before a window overflows, and made in turns of their own.

Such a turn holds nothing of the session: it reads what falls out of the window, and the summary that it makes counts only if
the history still has these messages, and no other summary has come meanwhile. Its record says nothing of them.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from turnstile.memory.element import Element, read
from turnstile.turns.errors import BrokenRecord, QueueUnreachable, TurnRefused
from turnstile.turns.ids import tenant_of
from turnstile.turns.model_failures import Failure
from turnstile.turns.output import is_refusal, text_of
from turnstile.turns.question import Options
from turnstile.turns.redis.scripts import LARGE_BYTES
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.summaries import ASK, MOST_SUMMARY_BYTES, Summary, home_of, mark, name
from turnstile.turns.turn import Claim
from turnstile.turns.window_start import next_place, token_limit
from turnstile.workers.chains.items import CUT_OFF
from turnstile.workers.chains.run import ChainOutput

log = logging.getLogger(__name__)

NO_SUMMARY = Failure(
    "no_summary",
    f"The chain gave no whole text of {MOST_SUMMARY_BYTES:,} bytes at most: check TURNSTILE_SUMMARY.",
    retryable=False,
)
NO_PLAIN_CHAIN = Failure("no_summary", "A graph sums nothing up: name a plain chain in TURNSTILE_SUMMARY.", retryable=False)
_MOST_MESSAGES = 100
"""Messages that are summed up at once, where a window has fewer. Of more that have no summary, the newest are."""


async def with_past(store: AsyncTurnStore, claim: Claim) -> Claim | None:
    """Return a claim with the summary that goes before its window, or, of a turn that sums up, with what it is to sum up.

    None where nothing is left to be summed up.
    """
    if claim.options.summarises is not None:
        return await _with_block(store, claim, **claim.options.summarises)
    if not _is_long(claim, store.settings):
        return claim
    return replace(claim, summary=await store.read_summary(claim.session))


def _is_long(claim: Claim, settings: Settings) -> bool:
    """Return True where there may be a summary of the history that a turn is asked with."""
    options = claim.options
    compacts = options.compact_threshold is not None
    if not (settings.summary or compacts) or not settings.window_messages or not claim.readable:
        return False
    if options.history is not None or (options.truncation == "disabled" and not compacts):
        return False
    bounded = compacts or settings.window_tokens
    return claim.length > (1 if bounded else settings.window_messages * (1 - settings.window_block))


async def _with_block(store: AsyncTurnStore, claim: Claim, session: str, after: str, place: int) -> Claim | None:
    summary = await store.read_summary(session)
    if (summary.mark if summary else "") != after or tenant_of(session) != tenant_of(claim.session):
        return None
    most = max(store.settings.window_messages, _MOST_MESSAGES)
    count = min(most, place - (summary.place if summary else 0))
    elements = await store.read_messages(session, place - 1, -1, count, LARGE_BYTES)
    if not elements:
        return None
    size = claim.size + sum(map(len, elements))
    return replace(claim, window=tuple(elements), length=0, summary=summary, size=size)


def summary_in(output: ChainOutput) -> str:
    """Return the summary that a chain gave; empty where it gave none that is whole."""
    text = text_of(output.output)
    whole = output.finish_reason not in CUT_OFF and not is_refusal(output.output)
    return text if whole and text.strip() and len(text.encode()) <= MOST_SUMMARY_BYTES else ""


async def keep_summary(store: AsyncTurnStore, claim: Claim, text: str) -> None:
    """Keep the summary that a turn has made, if it still counts."""
    asked: dict[str, Any] = claim.options.summarises or {}
    summary = Summary(mark(asked["place"], claim.window[0]), text)
    kept = await store.write_summary(asked["session"], asked["after"], summary)
    log.info("turn %s: its summary of %d messages %s", claim.id, summary.place, "is kept" if kept else "came too late")


async def ask_summary(store: AsyncTurnStore, claim: Claim, added: Sequence[str]) -> None:
    """Ask for a summary after a turn has `added` messages to its history, if the window of the next ones is about to overflow.

    A turn that cannot be asked now is asked by the next one of the session.
    """
    if not _is_long(claim, store.settings):
        return
    elements = [*(element.encode() for element in reversed(added)), *claim.window]
    place = _next_place(claim, elements, len(added), store.settings)
    if place is None:
        return
    after = claim.summary.mark if claim.summary else ""
    last = mark(place, elements[claim.length + len(added) - place])
    options = Options(
        queue="batch",
        stream=False,
        store=False,
        chain=store.settings.summary_chain or None,
        model=None if store.settings.summary else claim.options.model,
        summarises={"session": claim.session, "after": after, "place": place},
    )
    with suppress(TurnRefused, QueueUnreachable, BrokenRecord):
        await store.submit(name(claim.session, after, last), home_of(claim.session), ASK, options)


def _next_place(claim: Claim, elements: Sequence[bytes], added: int, settings: Settings) -> int | None:
    found = _without_opening([read(element) for element in elements])
    return next_place(
        [element.tokens or 0 if element else 0 for element in found],
        [element is not None and element.role == "user" for element in found],
        claim.length + added,
        claim.summary.place if claim.summary else 0,
        settings.window_messages,
        token_limit(settings.window_tokens, claim.options.compact_threshold),
        settings.window_block,
    )


def _without_opening(found: list[Element | None]) -> list[Element | None]:
    """Return messages, newest first, without the system's that the history begins with: others may stand between."""
    while found and (last := found[-1]) and last.role == "system":
        found.pop()
    return found
