"""A turn that answers the questions of several turns together."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from turnstile.turns.question import Question
from turnstile.turns.text import dumps
from turnstile.turns.tracing.context import link
from turnstile.turns.turn import Claim, Joined


def asked_together(claim: Claim, others: Sequence[Joined]) -> Claim:
    """Return the claim of a turn that asks the last of all questions; the others come before it, each a message of its own."""
    *earlier, (question, last) = [(claim.question, claim.options), *((other.question, other.options) for other in others)]
    for other in others:
        link(other.options.trace)
    before: list[dict[str, Any]] = []
    for asked, options in earlier:
        before += [*options.before, *([_message(asked, options.name)] if asked else [])]
    options = replace(claim.options, before=[*before, *last.before], name=last.name)
    size = claim.size + sum(len(dumps([other.question, other.options.before])) for other in others)
    return replace(claim, question=question, options=options, size=size)


def _message(question: Question, name: str | None) -> dict[str, Any]:
    return {"role": "user", "content": question, **({"name": name} if name else {})}
