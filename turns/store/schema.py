"""The schema: a number for the form of all that is stored, which processes of different versions compare when they start."""

from turnstile.turns.store.registry import package_version
from turnstile.turns.store.replies import OneOf, always
from turnstile.turns.store.runner import Call, Runner, operation, script_call
from turnstile.turns.text import as_text

SCHEMA = 1
"""Raised whenever older versions would misread what this one stores. Versions with the same number may work side by side, and
replace one another in either direction. Versions before this number came compare nothing."""


class Schema(Runner):
    """Operations on the schema of what is stored."""

    @operation
    def check_schema(self) -> Call[str]:
        """Note this version's schema if it is the newest; empty, or the one line that says why this version must not start."""
        return script_call("check_schema", _CHECK, number=SCHEMA, version=package_version())

    @operation
    def schema(self) -> Call[tuple[int, str]]:
        """Return the newest schema of all processes so far, and the version that brought it; 0 if none has told."""

        def read(reply: list[bytes | None]) -> tuple[int, str]:
            number, version = reply
            return int(number or 0), as_text(version or b"")

        return Call("HMGET", (self.keys.schema, "number", "version"), read)


def _too_old(number: bytes, version: bytes) -> str:
    newer = f"version {as_text(version)} (schema {as_text(number)})"
    return f"{newer} has stored what this one, {package_version()} (schema {SCHEMA}), would misread: upgrade it."


_CHECK = OneOf("check_schema", readable=always(""), newer=_too_old)
