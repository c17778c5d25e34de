"""The role of batches: requests in a file, the gateway that works on them, and their results."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from turnstile.turns.errors import UnknownBatch
from turnstile.turns.store.files import fields, unknown_file
from turnstile.turns.store.replies import OneOf, always, raising
from turnstile.turns.store.runner import Call, Runner, operation, script_call
from turnstile.turns.text import as_text

COMPLETED, FAILED = "completed", "failed"
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file: the number of lines before it, the piece that it is in, and the bytes of that before it."""

    line: int = 0
    piece: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch. Times are in seconds since the epoch, 0 for what has not happened; `facts` is the caller's, as JSON."""

    id: str
    tenant: str
    file: str
    facts: str
    state: str
    created: float
    expires: float
    total: int
    completed: int
    failed: int
    place: Place
    started: float = 0
    cancelling: float = 0
    ended: float = 0
    fault: str = ""
    completed_file: str = ""
    failed_file: str = ""

    @classmethod
    def decode(cls, id: str, reply: Any) -> Self:
        """Read the fields of a batch. Raises UnknownBatch when there are none."""
        found = fields(reply)
        if "state" not in found:
            raise unknown_batch(id)

        def number(name: str) -> int:
            return int(found.get(name, 0))

        return cls(
            id,
            found["tenant"],
            found["file"],
            found["facts"],
            found["state"],
            created=number("created") / 1000,
            expires=number("expires") / 1000,
            total=number("total"),
            completed=number("completed"),
            failed=number("failed"),
            place=Place(number("line"), number("piece"), number("offset")),
            started=number("in_progress") / 1000,
            cancelling=number("cancelling") / 1000,
            ended=number("ended") / 1000,
            fault=found.get("fault", ""),
            completed_file=found.get("completed_file", ""),
            failed_file=found.get("failed_file", ""),
        )


def unknown_batch(id: str) -> UnknownBatch:
    """Return the error for a batch of which nothing is stored."""
    return UnknownBatch(f"There is no batch {id}: it was never created, or has expired.")


class Batches(Runner):
    """Operations on batches. Those that take a token are the owner's, and tell it when it is no longer that."""

    @operation
    def create_batch(self, tenant: str, batch: str, file: str, facts: str, window: float) -> Call[None]:
        """Begin a batch over a file, of which the rest expires after `window` seconds. Raises UnknownFile."""
        read, milliseconds = partial(_CREATED, file), round(window * 1000)
        return script_call("create_batch", read, tenant=tenant, batch=batch, file=file, facts=facts, window=milliseconds)

    @operation
    def read_batch(self, batch: str) -> Call[Batch]:
        """Return a batch. Raises UnknownBatch."""
        return Call("HGETALL", (self.keys.batch(batch),), lambda reply: Batch.decode(batch, reply))

    @operation
    def list_batches(self, tenant: str) -> Call[list[str]]:
        """Return the ids of a tenant's newest thousand batches, newest first; some may have expired."""
        return Call("ZREVRANGE", (self.keys.batches(tenant), 0, 999), lambda reply: [as_text(id) for id in reply])

    @operation
    def cancel_batch(self, tenant: str, batch: str) -> Call[bool]:
        """Ask for a batch's end; False when it has ended already. Raises UnknownBatch."""
        return script_call("cancel_batch", partial(_CANCELLED, batch), tenant=tenant, batch=batch)

    @operation
    def claim_batch(self, token: str) -> Call[str | None]:
        """Take a batch that nobody works on; None when there is none."""
        return script_call("claim_batch", _CLAIMED, token=token)

    @operation
    def renew_batch(self, batch: str, token: str) -> Call[str | None]:
        """Keep a batch, and return its state; None when it is another's by now."""
        return script_call("renew_batch", _RENEWED, batch=batch, token=token)

    @operation
    def start_batch(self, batch: str, token: str, total: int) -> Call[bool]:
        """Tell how many requests there are."""
        return script_call("start_batch", _STARTED, batch=batch, token=token, total=total)

    @operation
    def record_result(self, batch: str, token: str, line: int, outcome: str, result: str, before: Place) -> Call[bool]:
        """Keep a line's result, a JSON text; before that place all lines have one."""
        return script_call(
            "record_result",
            _RECORDED,
            batch=batch,
            token=token,
            number=line,
            outcome=outcome,
            result=result,
            line=before.line,
            piece=before.piece,
            offset=before.offset,
        )

    @operation
    def read_results(self, batch: str, lines: Sequence[int]) -> Call[list[tuple[str, bytes] | None]]:
        """Return lines' outcomes and results; None for a line that has none."""

        def read(reply: Sequence[bytes | None]) -> list[tuple[str, bytes] | None]:
            parts = (None if found is None else found.partition(b" ") for found in reply)
            return [None if part is None else (as_text(part[0]), part[2]) for part in parts]

        return Call("HMGET", (self.keys.results(batch), *lines), read)

    @operation
    def end_batch(
        self, batch: str, token: str, state: str, fault: str, counts: tuple[int, int], files: Sequence[tuple[str, str, int]]
    ) -> Call[bool]:
        """End a batch with its counts of completed and failed requests, and its files: outcome, id and size of each."""
        return script_call(
            "end_batch",
            _ENDED,
            batch=batch,
            token=token,
            state=state,
            fault=fault,
            completed=counts[0],
            failed=counts[1],
            outcomes=[outcome for outcome, _, _ in files],
            names=[name for _, name, _ in files],
            sizes=[size for _, _, size in files],
        )


_CREATED = OneOf("create_batch", created=always(None), unknown_file=raising(unknown_file))
_CANCELLED = OneOf("cancel_batch", cancelling=always(True), ended=always(False), unknown=raising(unknown_batch))
_CLAIMED = OneOf[str | None]("claim_batch", batch=lambda id: as_text(id), none=always(None))
_RENEWED = OneOf[str | None]("renew_batch", held=lambda state: as_text(state), lost=always(None))
_STARTED = OneOf("start_batch", started=always(True), lost=always(False))
_RECORDED = OneOf("record_result", recorded=always(True), lost=always(False))
_ENDED = OneOf("end_batch", ended=always(True), lost=always(False))
