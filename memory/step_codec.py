"""Values of a graph's state ↔ bytes, without pickle. A type that could not be read back is refused when it is written."""

from collections.abc import Iterable
from typing import Any

import ormsgpack
from langgraph.checkpoint.serde._msgpack import SAFE_MSGPACK_METHODS, SAFE_MSGPACK_TYPES
from langgraph.checkpoint.serde.jsonplus import (
    EXT_DELTA_SNAPSHOT,
    EXT_METHOD_SINGLE_ARG,
    EXT_NUMPY_ARRAY,
    JsonPlusSerializer,
)

from turnstile.memory.step_errors import StepNotStorable, StepsUnreadable

MOST_BYTES = 16_777_216
"""Of one value of a graph's state."""

DAMAGED = "The stored steps of this turn are damaged: ask again in a new turn."
_PLAIN_EXTENSIONS = (EXT_NUMPY_ARRAY,)


class StepCodec(JsonPlusSerializer):
    """LangGraph's serializer, which takes the types of LangGraph, LangChain and the graph's own schemas, and no others."""

    def __init__(self, types: Iterable[tuple[str, ...]] = ()) -> None:
        allowed = set(types)
        super().__init__(pickle_fallback=False, allowed_msgpack_modules=allowed or None)
        self._known = allowed | SAFE_MSGPACK_TYPES

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Return a value's form and bytes. Raises StepNotStorable."""
        try:
            kind, data = super().dumps_typed(obj)
        except (TypeError, ValueError, RecursionError) as error:
            raise StepNotStorable(f"A value of the graph's state cannot be stored: {_type_in(error, obj)}.") from None
        if len(data) > MOST_BYTES:
            raise StepNotStorable(
                f"A value of the graph's state has {len(data):,} bytes; the most that is kept is {MOST_BYTES:,}."
            )
        if kind == "msgpack" and (foreign := self._foreign(data)):
            raise StepNotStorable(
                f"The graph's state holds a {foreign}, which cannot be kept: name it in the state's schema, or use plain data."
            )
        return kind, data

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Return the value. Raises StepsUnreadable."""
        kind, stored = data
        try:
            if kind != "msgpack" or not self._foreign(stored):
                return super().loads_typed(data)
        except Exception:  # whatever damaged bytes lead the libraries to
            raise StepsUnreadable(DAMAGED) from None
        raise StepsUnreadable("The stored steps of this turn hold types that the graph no longer has: ask again in a new turn.")

    def pack(self, value: Any) -> bytes:
        """Return a value as bytes that say their form."""
        kind, data = self.dumps_typed(value)
        return kind.encode() + b"\0" + data

    def unpack(self, stored: bytes) -> Any:
        """Return the value that `pack` was given."""
        kind, _, data = stored.partition(b"\0")
        return self.loads_typed((kind.decode("ascii", "replace"), data))

    def _foreign(self, data: bytes) -> str:
        """Return the first type in it that is not allowed."""
        found: list[str] = []

        def look(code: int, inner: bytes) -> None:
            if code in _PLAIN_EXTENSIONS:
                return
            read = ormsgpack.unpackb(inner, ext_hook=look, option=ormsgpack.OPT_NON_STR_KEYS)
            if code == EXT_DELTA_SNAPSHOT:
                return
            name = tuple(read[:2])
            known = (*name, read[3]) in SAFE_MSGPACK_METHODS if code == EXT_METHOD_SINGLE_ARG else name in self._known
            if not known:
                found.append(".".join(map(str, name)))

        ormsgpack.unpackb(data, ext_hook=look, option=ormsgpack.OPT_NON_STR_KEYS)
        return found[0] if found else ""


def _type_in(error: Exception, value: Any) -> str:
    words = str(error)
    return words if words.startswith("Type is not msgpack serializable") else f"{type(value).__name__}: {type(error).__name__}"
