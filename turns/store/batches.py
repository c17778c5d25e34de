"""The role of batches: requests in a file, the gateway that works on them, and their results."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from turnstile.turns.errors import FileRefused, TooManyWaiting, TurnConflict, UnknownBatch
from turnstile.turns.ids import shown
from turnstile.turns.redis.scripts import BATCH_LEASE_MS, MOST_UNFINISHED_BATCHES
from turnstile.turns.store.files import fields, no_room, unknown_file
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
    """A batch. Times are in seconds since the epoch, 0 for what has not happened; `facts` is the caller's, as JSON.

    `left`: its last owner was at work then at least.
    """

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
    left: float = 0
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
            left=float(found.get("left", 0)) / 1000,
            cancelling=number("cancelling") / 1000,
            ended=number("ended") / 1000,
            fault=found.get("fault", ""),
            completed_file=found.get("completed_file", ""),
            failed_file=found.get("failed_file", ""),
        )


@dataclass(frozen=True, slots=True)
class Hold:
    """An owner's hold of a batch: the batch's state; `waiting`: another batch waits for a gateway."""

    state: str
    waiting: bool


def result_file(batch: str, outcome: str) -> str:
    """Return the id of the file with the results of a batch that have an outcome, as `result_file.lua` does."""
    return f"file-{outcome}_{batch}"


def unknown_batch(id: str) -> UnknownBatch:
    """Return the error for a batch of which nothing is stored."""
    return UnknownBatch(f"There is no batch {shown(id)}: it was never created, or has expired.")


class Batches(Runner):
    """Operations on batches. Those that take a token are the owner's, and tell it when it is no longer that."""

    @operation
    def create_batch(self, tenant: str, batch: str, file: str, facts: str, fingerprint: str, window: float) -> Call[None]:
        """Begin a batch over a file; after `window` seconds the rest expires. The same `fingerprint` is the same batch.

        Raises:
            UnknownFile, FileRefused: the file is not there, has not come to its end, or there is no room.
            TooManyWaiting: the tenant has too many batches that have not ended.
            TurnConflict: the id is that of another batch.
        """
        return script_call(
            "create_batch",
            partial(_CREATED, file),
            tenant=tenant,
            batch=batch,
            file=file,
            facts=facts,
            fingerprint=fingerprint,
            window=round(window * 1000),
        )

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
    def renew_batch(self, batch: str, token: str) -> Call[Hold | None]:
        """Keep a batch; None when it is another's by now."""
        return script_call("renew_batch", _RENEWED, batch=batch, token=token, lease=BATCH_LEASE_MS)

    @operation
    def release_batch(self, batch: str, token: str) -> Call[Hold | None]:
        """Let any gateway take a batch, after those that wait already."""
        return script_call("renew_batch", _RENEWED, batch=batch, token=token, lease=0)

    @operation
    def start_batch(self, batch: str, token: str, total: int) -> Call[bool | None]:
        """Tell how many requests there are. Return whether there is room for results; None to one who lost it."""
        return script_call("start_batch", _STARTED, batch=batch, token=token, total=total)

    @operation
    def record_result(
        self, batch: str, token: str, line: int, outcome: str, result: str, before: Place, asked: bool = True
    ) -> Call[bool | None]:
        """Keep a line's result, a JSON text; before that place all lines have one. One that was not `asked` needs room.

        Return whether the tenant has room for more; None when the batch is another's by now.
        """
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
            asked=int(asked),
        )

    @operation
    def end_batch(self, batch: str, token: str, state: str, fault: str) -> Call[bool | None]:
        """End a batch; its results are files from now on. None when it is another's by now."""
        return script_call("end_batch", _ENDED, batch=batch, token=token, state=state, fault=fault)


def _unfinished(_: str) -> FileRefused:
    return FileRefused("The file has not come to its end: upload it again.")


def _too_many(_: str) -> TooManyWaiting:
    return TooManyWaiting(f"{MOST_UNFINISHED_BATCHES} batches have not ended: wait until one has, or cancel one.")


def _conflict(_: str) -> TurnConflict:
    return TurnConflict("This batch was begun with another request.")


_CREATED = OneOf(
    "create_batch",
    created=always(None),
    conflict=raising(_conflict),
    unknown_file=raising(unknown_file),
    unfinished_file=raising(_unfinished),
    too_many=raising(_too_many),
    full=raising(lambda _: no_room()),
)
_CANCELLED = OneOf(
    "cancel_batch", cancelling=always(True), cancelled=always(True), ended=always(False), unknown=raising(unknown_batch)
)
_CLAIMED = OneOf[str | None]("claim_batch", batch=lambda id: as_text(id), none=always(None))
_RENEWED = OneOf[Hold | None](
    "renew_batch", held=lambda state, waiting: Hold(as_text(state), bool(int(waiting))), lost=always(None)
)
_STARTED = OneOf[bool | None]("start_batch", started=lambda room: bool(int(room)), lost=always(None))
_RECORDED = OneOf[bool | None]("record_result", recorded=lambda room: bool(int(room)), full=always(False), lost=always(None))
_ENDED = OneOf[bool | None]("end_batch", ended=always(True), lost=always(None))
