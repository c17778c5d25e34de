"""An element of a stored history: one message, without LangChain.

An element is langchain_community's JSON, `{"type", "data"}`, with one more key at the top, which LangChain's own reader
passes over: the mark, `"turnstile": {"tokens": n, "turn": id, "at": ms, …}` (`Mark`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

from turnstile.turns.bounds import MOST_STORED_BYTES
from turnstile.turns.output import Item, called
from turnstile.turns.text import dumps, loads, loads_stored

MARK = "turnstile"
REFUSAL = "refusal"
"""The finish reason of an answer that says why there is none."""
TYPES = frozenset({"human", "ai", "system", "tool", "function", "chat"})
"""Types of the messages that a history takes."""

REASONING = "reasoning_content"
"""The additional argument that holds a model's reasoning, as LangChain's integrations name it."""

_ASSISTANTS = ("ai", "AIMessageChunk")
_ROLES = {
    "human": "user",
    "ai": "assistant",
    "HumanMessageChunk": "user",
    "AIMessageChunk": "assistant",
    "ToolMessageChunk": "tool",
}
_TYPES = {"user": "human", "assistant": "ai", "system": "system", "developer": "system"}
_DEVELOPER_KEY, _DEVELOPER = "__openai_role__", "developer"


class Mark(TypedDict, total=False):
    """A message's origin, each part only where it is known."""

    tokens: int
    """Counted once, when the message was stored."""
    turn: str
    """The turn that added the message; absent for one from elsewhere."""
    at: int
    """Milliseconds since the epoch."""
    place: int
    """Position among the messages that the turn added, from 0; its answer has `attempt` instead."""
    attempt: int
    """The attempt that brought the answer, from 1."""
    own: bool
    """True for a message whose calls are all the worker's own; absent otherwise."""
    run: bool
    """True for the output of a call that a worker ran; absent otherwise."""
    item: str
    """Id of an item that was added without a turn."""


@dataclass(slots=True)
class Element:
    """A stored message. Whatever others stored is kept as it is; the properties tell what can be relied on."""

    type: str
    data: dict[str, Any]
    mark: Mark

    @property
    def role(self) -> str:
        """`user`, `assistant`, `system`, `tool`, or what the message's author called it."""
        role: str = self.data["role"] if self.type == "chat" else _ROLES.get(self.type, self.type)
        return role

    @property
    def by_developer(self) -> bool:
        """True for the role `developer`, which is stored as a system message."""
        return self.type == "system" and _entry(self.data.get("additional_kwargs"), _DEVELOPER_KEY) == _DEVELOPER

    @property
    def content(self) -> str | list[Any]:
        """A text, or content parts as in OpenAI's chat messages."""
        content: str | list[Any] = self.data["content"]
        return content

    @property
    def refused(self) -> bool:
        """True when the content says why there is no answer."""
        return bool(_entry(self.data.get("response_metadata"), "finish_reason") == REFUSAL)

    @property
    def calls(self) -> list[Item]:
        """The calls of tools that an assistant's message makes, as output items."""
        calls = [*_entries(self.data, "tool_calls"), *_entries(self.data, "invalid_tool_calls")]
        return [call_item(call) for call in calls] if self.type in _ASSISTANTS else []

    @property
    def answers(self) -> str | None:
        """The id of the call that a tool's message answers."""
        call = self.data.get("tool_call_id")
        return call if self.type in ("tool", "ToolMessageChunk") and isinstance(call, str) else None

    @property
    def own(self) -> bool:
        """True where all calls of the message are the worker's own."""
        return self.mark.get("own") is True

    @property
    def run(self) -> bool:
        """True for the output of a call that a worker ran."""
        return self.mark.get("run") is True

    @property
    def failed(self) -> bool:
        """True for the output of a call that failed."""
        return self.data.get("status") == "error"

    @property
    def reasoning(self) -> str:
        """The text of what the model thought before it spoke; empty where nothing is known of it."""
        return reasoning_text(self.data.get("content"), self.data.get("additional_kwargs")) if self.type in _ASSISTANTS else ""

    @property
    def turn(self) -> str | None:
        """The turn that added the message."""
        turn = self.mark.get("turn")
        return turn if isinstance(turn, str) else None

    @property
    def item(self) -> str | None:
        """The id of an item that was added without a turn."""
        item = self.mark.get("item")
        return item if isinstance(item, str) else None

    @property
    def tokens(self) -> int | None:
        """The tokens counted when the message was stored."""
        return _count(self.mark.get("tokens"))

    @property
    def place(self) -> int | None:
        """The position among the messages that the turn added."""
        return _count(self.mark.get("place"))

    @property
    def attempt(self) -> int | None:
        """The attempt that brought this answer."""
        return _count(self.mark.get("attempt"))


def of_role(role: str, content: str | list[Any], mark: Mark) -> Element:
    """Return the element of what somebody in an OpenAI role said."""
    data: dict[str, Any] = {"content": content, "type": _TYPES[role]}
    if role == _DEVELOPER:
        data["additional_kwargs"] = {_DEVELOPER_KEY: _DEVELOPER}
    return Element(_TYPES[role], data, mark)


def of_call(call: Item, mark: Mark) -> Element:
    """Return the element of an assistant's message that makes one call; arguments that are no object stay as written."""
    try:
        arguments = loads(call["arguments"])
    except ValueError:
        arguments = None
    told = {"name": call["name"], "id": call["call_id"]}
    if isinstance(arguments, dict):
        made: dict[str, Any] = {"tool_calls": [{**told, "args": arguments, "type": "tool_call"}]}
    else:
        made = {"invalid_tool_calls": [{**told, "args": call["arguments"], "error": None, "type": "invalid_tool_call"}]}
    return Element("ai", {"content": "", "type": "ai", **made}, mark)


def of_output(call_id: str, output: str, mark: Mark) -> Element:
    """Return the element of a tool's message, which answers a call."""
    return Element("tool", {"content": output, "type": "tool", "tool_call_id": call_id}, mark)


def call_item(call: dict[str, Any]) -> Item:
    """Return the output item of a call in LangChain's form, whose arguments may be text that did not parse."""
    arguments = call.get("args")
    text = arguments if isinstance(arguments, str) else dumps({} if arguments is None else arguments)
    return called(str(call.get("id") or ""), str(call.get("name") or ""), text)


def reasoning_text(content: Any, more: Any) -> str:
    """Return the reasoning in a message: in its blocks, or in `reasoning_content` among its additional arguments."""
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    told = [part for block in blocks for part in _thoughts(block)] or [_entry(more, REASONING)]
    return "".join(text for text in told if isinstance(text, str))


def _thoughts(block: dict[str, Any]) -> list[Any]:
    if block.get("type") == "thinking":
        return [block.get("thinking")]
    if block.get("type") != "reasoning":
        return []
    return [block.get("reasoning"), *(part.get("text") for part in _entries(block, "summary"))]


class MessageTooLarge(ValueError):
    """A message is larger than a history keeps. The text tells sizes only."""


def write(element: Element, default: Callable[[Any], Any] | None = None) -> str:
    """Return the JSON that is stored; `default` turns into JSON what is none. Raises MessageTooLarge."""
    text = dumps({"type": element.type, "data": element.data, MARK: element.mark}, default)
    # Four bytes a character at most.
    if len(text) > MOST_STORED_BYTES // 4 and (size := len(text.encode())) > MOST_STORED_BYTES:
        raise MessageTooLarge(f"A message has {size:,} bytes as stored; a history keeps {MOST_STORED_BYTES:,} at most.")
    return text


def parse(text: bytes | str) -> Element:
    """Read an element, whoever wrote it, and raise any of several errors when it is none. Its message stays unchecked."""
    content = loads_stored(text)
    mark: Any = content.get(MARK)
    if not isinstance(mark, dict):
        mark = Mark()
    return Element(content["type"], content["data"], mark)


def read(text: bytes | str) -> Element | None:
    """Return an element with a role and a content, or None when the text holds no message."""
    try:
        element = parse(text)
        if isinstance(element.role, str) and isinstance(element.content, str | list):
            return element
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    return None


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _entry(table: Any, name: str) -> Any:
    return table.get(name) if isinstance(table, dict) else None


def _entries(table: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = table.get(name)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
