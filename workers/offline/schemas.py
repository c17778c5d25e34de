"""Values that fit a JSON schema, made without a model."""

from collections.abc import Mapping
from typing import Any

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
    """Return a value that fits a schema; its strings are `text` where the schema allows any. Patterns are not followed."""
    return _value(schema, text, schema, _DEEPEST)


def _value(schema: Any, text: str, root: Mapping[str, Any], depth: int) -> Any:
    schema = _resolved(schema, root)
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object":
        return _object(schema, text, root, depth)
    if kind == "array":
        count = max(schema.get("minItems", 1), 1 if depth > 0 else 0)
        return [_value(schema.get("items") or {}, text, root, depth - 1)] * count if depth > 0 else []
    return _plain(kind, schema, text)


def _resolved(schema: Any, root: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema without references, and with the first of its alternatives."""
    for _ in range(_DEEPEST):
        schema = schema if isinstance(schema, dict) else {}
        union = next((schema[name][0] for name in _UNIONS if schema.get(name)), None)
        if isinstance(schema.get("$ref"), str):
            schema = _at(root, schema["$ref"])
        elif union is not None:
            schema = union
        else:
            break
    return schema if isinstance(schema, dict) else {}


def _at(root: Any, reference: str) -> Any:
    for part in reference.removeprefix("#").split("/")[1:]:
        root = root.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(root, dict) else None
    return root


def _object(schema: dict[str, Any], text: str, root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    wanted = properties if depth > 0 else [name for name in properties if name in (schema.get("required") or ())]
    return {name: _value(properties[name], text, root, depth - 1) for name in wanted} if depth > -_DEEPEST else {}


def _plain(kind: Any, schema: dict[str, Any], text: str) -> Any:
    if kind in ("integer", "number"):
        least = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1 if "exclusiveMinimum" in schema else 0)
        return min(max(least, 0), schema["maximum"]) if "maximum" in schema and "minimum" not in schema else least
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    said = _FORMATS.get(schema.get("format", ""), text)
    return said[: schema.get("maxLength")].ljust(schema.get("minLength", 0), ".")
