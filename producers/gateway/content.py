"""Messages in their three forms: items of the Responses API, messages of chat completions, elements of a history."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from turnstile.memory.element import Element, of_role
from turnstile.producers.gateway.edge.api_errors import invalid, unsupported
from turnstile.turns.bounds import check_messages

Part = dict[str, Any]
Message = dict[str, Any]

ROLES = ("user", "assistant", "system", "developer")
_SHOWN = {"function": "tool", **{role: role for role in (*ROLES, "tool")}}


def read_items(items: str | Sequence[Mapping[str, Any]], param: str) -> list[Message]:
    """Return items of the Responses API as chat messages, oldest first. Raises ApiError with the place under `param`."""
    if isinstance(items, str):
        return [{"role": "user", "content": _text(items, param)}]
    check_messages(items, param)
    return [_read_item(item, f"{param}[{n}]") for n, item in enumerate(items)]


def _read_item(item: Mapping[str, Any], param: str) -> Message:
    kind = item.get("type", "message")
    if kind != "message":
        raise unsupported(f"{param}.type")
    return _message(item, param, _ITEM_PARTS)


def split_question(messages: list[Message], param: str) -> tuple[list[Message], str | list[Part]]:
    """Return the messages before the last, and the last one's content: the question. Raises ApiError if it is not a user's."""
    if not messages or messages[-1]["role"] != "user":
        raise invalid(param, f"The last of `{param}` must be a message with the role `user`: the question.", "no_question")
    question = messages[-1]["content"]
    if isinstance(question, str):
        _text(question, f"{param}[{len(messages) - 1}].content")
    return messages[:-1], question


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


def _text(value: Any, param: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise invalid(param, f"`{param}` must be a text that is not empty.", "invalid_value")
    return value


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
        if not isinstance(part.get(name), dict) or not finite(part[name]):
            raise invalid(f"{param}.{name}", f"`{param}.{name}` must be an object of JSON.", "invalid_value")
        return {"type": name, name: part[name]}

    return read


def finite(value: Any) -> bool:
    """Return True if a value is JSON: Python's reader accepts NaN and infinities."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


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


def stored(message: Message, item: str, at: int) -> Element:
    """Return the history's element for a message that no turn brought: item id `item`, added at `at` ms."""
    return of_role(message["role"], message["content"], {"item": item, "at": at})


def shown_role(element: Element) -> str:
    """Return the role of a history's element as the Conversations API names it."""
    return "developer" if element.by_developer else _SHOWN.get(element.role, "unknown")


def shown_item(id: str, role: str, content: str | list[Any], status: str = "completed") -> dict[str, Any]:
    """Return a message as an item of the Responses and Conversations API."""
    kind = "output_text" if role == "assistant" else "input_text"
    parts: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    shown = [_show_part({"type": "text", "text": p} if isinstance(p, str) else p, kind) for p in parts]
    return {"id": id, "type": "message", "role": role, "status": status, "content": [p for p in shown if p]}


def output_text(text: str) -> Part:
    """Return the part of a model's text."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def refusal(text: str) -> Part:
    """Return the part of a model's refusal to answer."""
    return {"type": "refusal", "refusal": text}


def _show_part(part: Mapping[str, Any], text_kind: str) -> Part | None:
    match part:
        case {"type": "text", "text": str(text)}:
            return output_text(text) if text_kind == "output_text" else {"type": "input_text", "text": text}
        case {"type": "refusal", "refusal": str(text)}:
            return refusal(text)
        case {"type": "image_url", "image_url": {"url": str(url), **more}}:
            return {"type": "input_image", "image_url": url, "detail": more.get("detail", "auto"), "file_id": None}
        case {"type": "file", "file": dict(file)}:
            return {"type": "input_file", **file}
        case {"type": "input_audio", "input_audio": dict(audio)}:
            return {"type": "input_audio", "input_audio": audio}
    return None
