"""The role of files: bytes that a tenant has uploaded, in pieces, for as long as the settings say."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from turnstile.turns.errors import FileRefused, UnknownFile
from turnstile.turns.store.replies import OneOf, always, raising
from turnstile.turns.store.runner import Call, Runner, operation, script_call
from turnstile.turns.text import as_text

INPUT, OUTPUT = "batch", "batch_output"


@dataclass(frozen=True, slots=True)
class File:
    """A file. `created` is in seconds since the epoch; `batch` and `outcome` say whose results it holds, if any."""

    id: str
    tenant: str
    name: str
    purpose: str
    bytes: int
    created: float
    batch: str = ""
    outcome: str = ""

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
            found.get("batch", ""),
            found.get("outcome", ""),
        )


def fields(reply: Any) -> dict[str, str]:
    """Return the fields of a hash, as RESP2 and RESP3 give them."""
    pairs = reply.items() if isinstance(reply, Mapping) else zip(reply[::2], reply[1::2], strict=True)
    return {as_text(name): as_text(value) for name, value in pairs}


def unknown_file(id: str) -> UnknownFile:
    """Return the error for a file of which nothing is stored."""
    return UnknownFile(f"There is no file {id}: it was never uploaded, was deleted, or has expired.")


class Files(Runner):
    """Operations on files."""

    @operation
    def create_file(self, tenant: str, file: str, name: str, purpose: str) -> Call[float]:
        """Begin a file, and return when, in seconds since the epoch. Raises FileRefused."""
        return script_call("create_file", _CREATED, tenant=tenant, file=file, name=name, purpose=purpose)

    @operation
    def append_piece(self, tenant: str, file: str, number: int, offset: int, piece: bytes) -> Call[None]:
        """Append a piece: it is the one of this number, from 0, and begins at this offset. Raises FileRefused, UnknownFile."""
        read = partial(_STORED, file)
        return script_call("append_piece", read, tenant=tenant, file=file, number=number, offset=offset, piece=piece)

    @operation
    def delete_file(self, tenant: str, file: str) -> Call[None]:
        """Delete a file. Raises UnknownFile."""
        return script_call("delete_file", partial(_DELETED, file), tenant=tenant, file=file)

    @operation
    def read_file(self, file: str) -> Call[File]:
        """Return what is known of a file. Raises UnknownFile."""
        return Call("HGETALL", (self.keys.file(file),), lambda reply: File.decode(file, reply))

    @operation
    def list_files(self, tenant: str) -> Call[list[str]]:
        """Return the ids of a tenant's files, newest first; some may have expired."""

        def newest_first(reply: Any) -> list[str]:
            created = {name: int(value.split()[0]) for name, value in fields(reply).items()}
            return sorted(created, key=lambda name: (-created[name], name))

        return Call("HGETALL", (self.keys.files(tenant),), newest_first)

    @operation
    def read_piece(self, file: str, number: int) -> Call[bytes | None]:
        """Return a piece of a file; None after the last."""
        return Call("LINDEX", (self.keys.pieces(file), number), lambda reply: reply)


_CREATED = OneOf(
    "create_file",
    created=lambda created: int(created) / 1000,
    too_many=raising(lambda: FileRefused("There are too many files: delete some, or wait until they expire.")),
)
_STORED = OneOf(
    "append_piece",
    stored=always(None),
    too_large=raising(lambda _: FileRefused("The file is too large: split it.")),
    full=raising(lambda _: FileRefused("There is no room for more files: delete some, or wait until they expire.")),
    unknown=raising(unknown_file),
)
_DELETED = OneOf("delete_file", deleted=always(None), unknown=raising(unknown_file))
