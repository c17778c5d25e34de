"""Values that fit a JSON schema, made without a model."""

import json
from collections.abc import Mapping
from typing import Any

MOST_CHARACTERS = 1_048_576
"""Of a value, about. The stand-in shares a worker's loop."""
_DEEPEST = 12
_FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "somebody@example.com",
    "uri": "https://example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_UNIONS = ("anyOf", "oneOf", "allOf")


def example(schema: Mapping[str, Any], text: str) -> Any:
    """Return a value that fits a schema; its strings are `text` where the schema allows any. Patterns are not followed.

    Raises:
        ValueError: the value would be too large.
    """
    return _Example(schema, text).value(schema, _DEEPEST)


class _Example:
    """The making of one value, which ends at MOST_CHARACTERS."""

    def __init__(self, root: Mapping[str, Any], text: str) -> None:
        self._root = root
        self._text = text
        self._left = MOST_CHARACTERS

    def value(self, schema: Any, depth: int) -> Any:
        """Return a value for a part of the schema."""
        schema = self._resolved(schema)
        for name in ("const", "default"):
            if name in schema:
                return self._given(schema[name])
        if schema.get("enum"):
            return self._given(schema["enum"][0])
        kind = schema.get("type", "object" if "properties" in schema else "string")
        kind = kind[0] if isinstance(kind, list) and kind else kind
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            count = max(schema.get("minItems", 1), 1 if depth > 0 else 0)
            return [self.value(schema.get("items") or {}, depth - 1) for _ in range(count)] if depth > 0 else []
        return self._plain(kind, schema)

    def _take(self, characters: int) -> None:
        self._left -= 1 + characters
        if self._left < 0:
            raise ValueError("the schema asks for a value that is too large")

    def _given(self, value: Any) -> Any:
        self._take(len(json.dumps(value)))
        return value

    def _resolved(self, schema: Any) -> dict[str, Any]:
        """Return a schema without references, and with the first of its alternatives."""
        for _ in range(_DEEPEST):
            schema = schema if isinstance(schema, dict) else {}
            union = next((schema[name][0] for name in _UNIONS if schema.get(name)), None)
            if isinstance(schema.get("$ref"), str):
                schema = self._at(schema["$ref"])
            elif union is not None:
                schema = union
            else:
                break
        return schema if isinstance(schema, dict) else {}

    def _at(self, reference: str) -> Any:
        self._take(len(reference))
        found: Any = self._root
        for part in reference.removeprefix("#").split("/")[1:]:
            found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        return found

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = schema.get("required") or ()
        self._take(sum(map(len, properties)) + len(required))
        wanted = properties if depth > 0 else properties.keys() & set(required)
        return {name: self.value(properties[name], depth - 1) for name in wanted} if depth > -_DEEPEST else {}

    def _plain(self, kind: Any, schema: dict[str, Any]) -> Any:
        if kind in ("integer", "number"):
            self._take(0)
            least = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1 if "exclusiveMinimum" in schema else 0)
            return min(max(least, 0), schema["maximum"]) if "maximum" in schema and "minimum" not in schema else least
        if kind in ("boolean", "null"):
            self._take(0)
            return True if kind == "boolean" else None
        said = _FORMATS.get(schema.get("format", ""), self._text)[: schema.get("maxLength")]
        self._take(max(len(said), schema.get("minLength", 0)))
        return said.ljust(schema.get("minLength", 0), ".")
