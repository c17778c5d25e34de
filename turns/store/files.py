"""The role of files: bytes that a tenant has uploaded, in pieces, for as long as the settings say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from turnstile.turns.errors import FileRefused, UnknownFile
from turnstile.turns.ids import shown
from turnstile.turns.store.replies import OneOf, always, raising
from turnstile.turns.store.runner import Call, Runner, operation, script_call
from turnstile.turns.text import as_text

INPUT, OUTPUT = "batch", "batch_output"


@dataclass(frozen=True, slots=True)
class File:
    """A file. `created` is in seconds since the epoch; `whole`: all of it has come; `lines`: the batch's, for results."""

    id: str
    tenant: str
    name: str
    purpose: str
    bytes: int
    created: float
    whole: bool = True
    lines: int = 0

    @classmethod
    def decode(cls, id: str, reply: Any) -> Self:
        """Read the fields of a file. Raises UnknownFile when there are none."""
        found = fields(reply)
        if not found:
            raise unknown_file(id)
        return cls(
            id,
            found["tenant"],
            found["name"],
            found["purpose"],
            int(found["bytes"]),
            int(found["created"]) / 1000,
            found["purpose"] == OUTPUT or found.get("whole", "") != "",
            int(found.get("lines", 0)),
        )


def fields(reply: Any) -> dict[str, str]:
    """Return the fields of a hash, as RESP2 and RESP3 give them."""
    pairs = reply.items() if isinstance(reply, Mapping) else zip(reply[::2], reply[1::2], strict=True)
    return {as_text(name): as_text(value) for name, value in pairs}


def unknown_file(id: str) -> UnknownFile:
    """Return the error for a file of which nothing is stored."""
    return UnknownFile(f"There is no file {shown(id)}: it was never uploaded, was deleted, or has expired.")


def no_room() -> FileRefused:
    """Return the error for what a tenant's files and batches leave no room for."""
    return FileRefused("There is no room for more files: delete some, or wait until they expire.")


class Files(Runner):
    """Operations on files."""

    @operation
    def create_file(self, tenant: str, file: str, name: str) -> Call[None]:
        """Begin a file of requests. Raises FileRefused."""
        return script_call("create_file", _CREATED, tenant=tenant, file=file, name=name)

    @operation
    def append_piece(self, tenant: str, file: str, number: int, offset: int, piece: bytes, *, last: bool = False) -> Call[None]:
        """Append a piece: it is the one of this number, from 0, and begins at this offset. Raises FileRefused, UnknownFile."""
        place = {"number": number, "offset": offset, "last": "1" if last else ""}
        return script_call("append_piece", partial(_STORED, file), tenant=tenant, file=file, piece=piece, **place)

    @operation
    def delete_file(self, tenant: str, file: str) -> Call[None]:
        """Delete a file, or a batch's results. Raises UnknownFile."""
        return script_call("delete_file", partial(_DELETED, file), tenant=tenant, file=file)

    @operation
    def read_file(self, file: str) -> Call[File]:
        """Return what is known of a file. Raises UnknownFile."""
        return Call("HGETALL", (self.keys.file(file),), lambda reply: File.decode(file, reply))

    @operation
    def list_files(self, tenant: str) -> Call[list[str]]:
        """Return the ids of a tenant's files, newest first; some may have expired, or be results of a batch that goes on."""
        return Call("ZREVRANGE", (self.keys.files(tenant), 0, -1), lambda reply: [as_text(id) for id in reply])

    @operation
    def read_piece(self, file: str, number: int) -> Call[bytes | None]:
        """Return a piece of a file; None after the last."""
        return Call("LINDEX", (self.keys.pieces(file), number), lambda reply: reply)

    @operation
    def read_results(self, file: str, first: int, last: int) -> Call[tuple[int, Sequence[bytes]]]:
        """Return some results in a file of a batch, from a line on, and the line that the next call begins with."""
        return script_call("read_results", _READ, file=file, first=first, last=last)

    @operation
    def recorded_lines(self, file: str, first: int, last: int) -> Call[tuple[int, frozenset[int]]]:
        """Return how many results a file of a batch has, and which of these lines have one, of 1,000 at most."""
        return script_call("recorded_lines", _FOUND, file=file, first=first, last=last)


_CREATED = OneOf(
    "create_file",
    created=always(None),
    too_many=raising(lambda: FileRefused("There are too many files: delete some, or wait until they expire.")),
)
_STORED = OneOf(
    "append_piece",
    stored=always(None),
    too_large=raising(lambda _: FileRefused("The file is too large: split it.")),
    full=raising(lambda _: no_room()),
    unknown=raising(unknown_file),
)
_DELETED = OneOf("delete_file", deleted=always(None), unknown=raising(unknown_file))
_FOUND = OneOf[tuple[int, frozenset[int]]](
    "recorded_lines", found=lambda count, *lines: (int(count), frozenset(map(int, lines)))
)
_READ = OneOf[tuple[int, Sequence[bytes]]]("read_results", read=lambda number, *found: (int(number), found))
