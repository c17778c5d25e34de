"""The form of a file."""

from typing import Any, Literal

from turnstile.producers.gateway.schemas import Answer
from turnstile.turns.store.files import File


class FileObject(Answer):
    """A file, with the fields of OpenAI's `FileObject`."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: Literal["uploaded", "processed"]


class FileList(Answer):
    """A page of files."""

    object: Literal["list"]
    data: list[FileObject]
    has_more: bool


def shown(file: File, ttl: float) -> dict[str, Any]:
    """Return a file as the API has it; it is kept for `ttl` seconds."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created),
        "expires_at": int(file.created + ttl),
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed" if file.whole else "uploaded",
        "status_details": None,
    }
