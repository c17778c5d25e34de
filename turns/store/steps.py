"""The role of graphs: a worker keeps the steps of a turn's graph, and asks whether the turn is still its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnstile.turns.redis.scripts import MOST_FIELDS
from turnstile.turns.store.replies import OneOf, always, raising
from turnstile.turns.store.runner import Call, Runner, operation, script_call
from turnstile.turns.text import as_text
from turnstile.turns.turn import Claim, Spent

_BETWEEN = "\x1f"
_AFTER = "\x1e"


@dataclass(frozen=True, slots=True)
class Place:
    """A graph's place in a thread. An empty `checkpoint` is its latest. `run` is the turn whose run it is, if not the first."""

    thread: str
    graph: str
    checkpoint: str = ""
    run: str = ""


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint as it is stored. `values` are by channel and version, `writes` by task and place."""

    checkpoint: str
    body: bytes
    known: str
    values: dict[tuple[str, str], bytes]
    writes: dict[tuple[str, int], bytes]


class Steps(Runner):
    """Operations on the steps of a turn's graph. Those that write tell whether the turn is still the caller's."""

    @operation
    def owns(self, claim: Claim, spent: Spent | None = None) -> Call[bool]:
        """Tell whether a turn is still in this worker's hands, and note what it has used."""
        return script_call("check_owner", _OWNED, id=claim.id, token=claim.token, spent=_noted(spent))

    @operation
    def put_checkpoint(
        self,
        claim: Claim,
        place: Place,
        body: bytes,
        channels: Sequence[tuple[str, str]],
        values: Mapping[tuple[str, str], bytes],
        *,
        known: str = "",
        spent: Spent | None = None,
        replace: bool = True,
    ) -> Call[bool]:
        """Keep a checkpoint that refers to `channels`, by name and version, of which `values` are new, and note what was used.

        `known` is kept unless an earlier attempt has, or an earlier turn that answered the same calls; `replace` drops the
        checkpoint before this one.
        """
        return script_call(
            "put_checkpoint",
            _CHECKPOINT,
            **_where(claim, place),
            replace="1" if replace else "",
            body=body,
            channels="".join(_BETWEEN.join(channel) + _AFTER for channel in channels),
            known=known,
            spent=_noted(spent),
            names=[_BETWEEN.join(name) for name in values],
            values=list(values.values()),
        )

    @operation
    def put_writes(
        self,
        claim: Claim,
        place: Place,
        task: str,
        writes: Mapping[int, bytes],
        *,
        known: str = "",
        results: Mapping[str, str] | None = None,
        replace: bool = True,
    ) -> Call[bool]:
        """Keep what a task wrote after a checkpoint, by its places; `known` and `replace` as the checkpoints were put.

        `results`: call id → stored element. Each closes its call, if that is open and nobody answers it.
        """
        lists: dict[str, Any] = {"places": list(writes), "values": list(writes.values())}
        told = "".join(call + _BETWEEN + element + _AFTER for call, element in (results or {}).items())
        said = {"task": task, "replace": "1" if replace else "", "known": known, "results": told}
        return script_call("put_writes", _WRITES, **_where(claim, place), **said, **lists)

    @operation
    def read_checkpoint(self, id: str, place: Place) -> Call[StoredCheckpoint | None]:
        """Return a checkpoint, with what turn `id` has kept as known; None when there is none."""
        return script_call("read_checkpoint", _FOUND, id=id, **_at(place))

    @operation
    def latest_run(self, thread: str) -> Call[str]:
        """Return the turn whose run is the latest of a thread, with which answers go on."""
        return Call("HGET", (self.keys.steps(thread), "run"), lambda turn: as_text(turn) if turn else thread)

    @operation
    def list_checkpoints(self, thread: str) -> Call[list[tuple[str, str]]]:
        """Return the graph and the name of every checkpoint of a thread."""
        return script_call("list_checkpoints", lambda reply: list(_pairs(map(as_text, reply))), thread=thread)

    @operation
    def drop_steps(self, claim: Claim, thread: str, graphs: str) -> Call[bool]:
        """Forget the steps of graphs whose names begin with `graphs`."""
        return script_call("drop_steps", _DROPPED, id=claim.id, token=claim.token, thread=thread, namespace=graphs)


def _where(claim: Claim, place: Place) -> dict[str, Any]:
    return {"id": claim.id, "token": claim.token, **_at(place)}


def _at(place: Place) -> dict[str, str]:
    run = place.run or place.thread
    return {"thread": place.thread, "namespace": place.graph, "checkpoint": place.checkpoint, "run": run}


def _noted(spent: Spent | None) -> str:
    return spent.encode() if spent else ""


def _pairs(names: Any) -> Any:
    return zip(*[iter(names)] * 2, strict=True)


def _checkpoint(checkpoint: bytes, body: bytes, known: bytes, values: list[bytes], writes: list[bytes]) -> StoredCheckpoint:
    return StoredCheckpoint(
        as_text(checkpoint),
        body,
        as_text(known),
        {_split(name): value for name, value in _pairs(values)},
        {(task, int(place)): value for name, value in _pairs(writes) for task, place in [_split(name)]},
    )


def _split(name: bytes) -> tuple[str, str]:
    first, _, second = as_text(name).rpartition(_BETWEEN)
    return first, second


_FULL = f"The steps of a turn's graph hold {MOST_FIELDS:,} values; no more are kept."
_OWNED, _DROPPED = (OneOf(script, kept=always(True), superseded=always(False)) for script in ("check_owner", "drop_steps"))
_CHECKPOINT, _WRITES = (
    OneOf(script, kept=always(True), superseded=always(False), full=raising(lambda: RuntimeError(_FULL)))
    for script in ("put_checkpoint", "put_writes")
)
_FOUND = OneOf[StoredCheckpoint | None]("read_checkpoint", found=_checkpoint, missing=always(None))
