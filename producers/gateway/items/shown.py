"""Items as the Responses and Conversations API show them."""

from collections.abc import Mapping
from typing import Any

from turnstile.memory.element import Element
from turnstile.turns.answers import decision

Item = dict[str, Any]
Part = dict[str, Any]

SERVER_LABEL = "turnstile"
"""The label of the server whose tools a worker ran, as MCP calls have it."""

_ROLES = {"function": "tool", **{role: role for role in ("user", "assistant", "system", "developer", "tool")}}


def shown_role(element: Element) -> str:
    """Return the role of a history's element as the Conversations API names it."""
    return "developer" if element.by_developer else _ROLES.get(element.role, "unknown")


def shown_message(id: str, role: str, content: str | list[Any], status: str = "completed") -> Item:
    """Return a message."""
    kind = "output_text" if role == "assistant" else "input_text"
    parts: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    shown = [_show_part({"type": "text", "text": p} if isinstance(p, str) else p, kind) for p in parts]
    return {"id": id, "type": "message", "role": role, "status": status, "content": [p for p in shown if p]}


def shown_call(id: str, call: Mapping[str, Any], status: str = "completed") -> Item:
    """Return a call of a function."""
    told = {name: call[name] for name in ("call_id", "name", "arguments")}
    return {"id": id, "type": "function_call", **told, "status": status}


def shown_output(id: str, call: str, output: str | list[Any]) -> Item:
    """Return what somebody answered to a call."""
    told = output if isinstance(output, str) else shown_message(id, "user", output)["content"]
    return {"id": id, "type": "function_call_output", "call_id": call, "output": told, "status": "completed"}


def shown_decision(id: str, request: str, answer: str) -> Item:
    """Return what a person decided about a request for approval."""
    decided = decision(answer) or {}
    approved, reason = decided.get("type") in ("approve", "edit"), decided.get("message")
    return {"id": id, "type": "mcp_approval_response", "approval_request_id": request, "approve": approved, "reason": reason}


def shown_request(request: Mapping[str, Any]) -> Item:
    """Return a request for the approval of a call."""
    told = {name: request[name] for name in ("id", "name", "arguments")}
    return {"type": "mcp_approval_request", "server_label": SERVER_LABEL, **told}


def shown_run(id: str, call: Mapping[str, Any], status: str | None = None) -> Item:
    """Return a call of a worker's own; it has been run, unless `status` tells otherwise."""
    error = call.get("error")
    return {
        "id": id,
        "type": "mcp_call",
        "server_label": SERVER_LABEL,
        "name": call["name"],
        "arguments": call["arguments"],
        "output": call.get("output"),
        "error": None if error is None else {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": error}]},
        "status": status or ("completed" if error is None else "failed"),
        "approval_request_id": None,
    }


def shown_reasoning(id: str, text: str, status: str = "completed") -> Item:
    """Return a model's reasoning."""
    summary = [{"type": "summary_text", "text": text}] if text else []
    return {"id": id, "type": "reasoning", "summary": summary, "encrypted_content": None, "status": status}


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
