"""Contents of messages in the forms of both APIs: items of the Responses API, and messages of chat completions."""

from collections.abc import Callable, Mapping
from typing import Any

from turnstile.producers.gateway.edge.api_errors import invalid, unsupported

Part = dict[str, Any]
Message = dict[str, Any]

ROLES = ("user", "assistant", "system", "developer")


def read_item(item: Mapping[str, Any], param: str) -> Message:
    """Return a message of the Responses API as a chat message. Raises ApiError with the place under `param`."""
    return _message(item, param, _ITEM_PARTS)


def read_output(content: Any, param: str) -> tuple[str, list[Part]]:
    """Return a tool's output: its text, and its pictures and files, which servers take from users alone. Raises ApiError."""
    if content in ("", []):
        return "", []
    read = read_content(content, param, _ITEM_PARTS)
    if isinstance(read, str):
        return read, []
    texts = [part["text"] for part in read if part["type"] == "text"]
    return "\n".join(texts) or "See below.", [part for part in read if part["type"] != "text"]


def is_text(message: Message) -> bool:
    """Return whether a message says something: a text that is not blank, or a content part."""
    content = message["content"]
    return bool(content.strip()) if isinstance(content, str) else any(map(_says_something, content))


def _says_something(part: Mapping[str, Any]) -> bool:
    return part["type"] != "text" or bool(part["text"].strip())


_MOST_FIELDS = 8
_Reader = Callable[[Mapping[str, Any], str], Part]


def _message(item: Mapping[str, Any], param: str, readers: Mapping[str, _Reader]) -> Message:
    role = item.get("role")
    if role in ("tool", "function"):
        raise unsupported(f"{param}.role")
    if role not in ROLES:
        raise invalid(f"{param}.role", f"`{param}.role` must be one of {', '.join(ROLES)}.", "invalid_value")
    for name in ("tool_calls", "function_call", "audio"):
        if item.get(name):
            raise unsupported(f"{param}.{name}")
    content = _refusal(item, param) if _said_nothing(item) else read_content(item.get("content"), f"{param}.content", readers)
    if role != "user" and not isinstance(content, str):
        raise invalid(f"{param}.content", f"`{param}.content`: a message of the role `{role}` is text.", "invalid_value")
    return {"role": role, "content": content}


def _said_nothing(item: Mapping[str, Any]) -> bool:
    return item["role"] == "assistant" and item.get("content") in (None, "", [])


def _refusal(item: Mapping[str, Any], param: str) -> str:
    return text_at(item, "refusal", param) if item.get("refusal") else ""


def read_content(content: Any, param: str, readers: Mapping[str, _Reader]) -> str | list[Part]:
    """Return a message's content: a text where there is nothing else, or parts. Raises ApiError."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        raise invalid(param, f"`{param}` must be a text, or a list of parts.", "invalid_value")
    parts = [_part(part, f"{param}[{n}]", readers) for n, part in enumerate(content)]
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _part(part: Any, param: str, readers: Mapping[str, _Reader]) -> Part:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str):
        raise invalid(f"{param}.type", f"`{param}` must be an object with a `type`.", "invalid_value")
    if kind not in readers:
        raise invalid(f"{param}.type", f"A part of this type is not supported; {', '.join(readers)} are.", "unsupported_value")
    return readers[kind](part, param)


def text_at(part: Mapping[str, Any], name: str, param: str) -> str:
    """Return the text in a field of a request's part. Raises ApiError if there is none."""
    value = part.get(name)
    if not isinstance(value, str) or not value:
        raise invalid(f"{param}.{name}", f"`{param}.{name}` must be a text that is not empty.", "invalid_value")
    return value


def _read_text(part: Mapping[str, Any], param: str) -> Part:
    if not isinstance(part.get("text"), str):
        raise invalid(f"{param}.text", f"`{param}.text` must be a text.", "invalid_value")
    return {"type": "text", "text": part["text"]}


def _read_refusal(part: Mapping[str, Any], param: str) -> Part:
    return {"type": "text", "text": text_at(part, "refusal", param)}


def _read_image(part: Mapping[str, Any], param: str) -> Part:
    if part.get("file_id"):
        raise unsupported(f"{param}.file_id")
    url: Part = {"url": text_at(part, "image_url", param)}
    if part.get("detail"):
        url["detail"] = text_at(part, "detail", param)
    return {"type": "image_url", "image_url": url}


def _read_file(part: Mapping[str, Any], param: str) -> Part:
    if part.get("file_url"):
        raise unsupported(f"{param}.file_url")
    file = {name: text_at(part, name, param) for name in ("file_id", "file_data", "filename") if part.get(name)}
    if not file:
        raise invalid(f"{param}.file_data", f"`{param}` needs `file_data` or `file_id`.", "invalid_value")
    return {"type": "file", "file": file}


def _read_wrapped(name: str) -> _Reader:
    def read(part: Mapping[str, Any], param: str) -> Part:
        value = part.get(name)
        if not isinstance(value, dict) or len(value) > _MOST_FIELDS or not all(isinstance(one, str) for one in value.values()):
            raise invalid(f"{param}.{name}", f"`{param}.{name}` must be an object of texts.", "invalid_value")
        return {"type": name, name: value}

    return read


_ITEM_PARTS: dict[str, _Reader] = {
    "input_text": _read_text,
    "output_text": _read_text,
    "text": _read_text,
    "refusal": _read_refusal,
    "input_image": _read_image,
    "input_file": _read_file,
    "input_audio": _read_wrapped("input_audio"),
}
CHAT_PARTS: dict[str, _Reader] = {
    "text": _read_text,
    "refusal": _read_refusal,
    **{name: _read_wrapped(name) for name in ("image_url", "file", "input_audio")},
}
