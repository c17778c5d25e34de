"""The bodies of requests for chat completions, and the form of a completion."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from turnstile.producers.gateway.schemas import (
    Answer,
    Item,
    Messages,
    Part,
    PlainFormat,
    SchemaName,
    StreamOptions,
    Tokens,
    Tools,
    TurnRequest,
)
from turnstile.turns.question import Options

OLD_CALLS = "functions"
"""In a turn's `request`: it was asked with `functions`, the older form of tools, and is answered in that form."""


class ChatStreamOptions(StreamOptions):
    """The form of a stream of chunks."""

    include_usage: bool | None = None


class ChatSchema(SchemaName):
    """A schema and its name."""

    schema_: dict[str, Any] | None = Field(None, alias="schema")


class ChatSchemaFormat(Part):
    """JSON that fits a schema."""

    type: Literal["json_schema"]
    json_schema: ChatSchema


class ChatRequest(TurnRequest):
    """POST /v1/chat/completions."""

    idle: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "audio": (),
        "modalities": (["text"],),
        "moderation": (),
        "n": (1,),
        "store": (False,),
    }

    messages: Messages = Field(min_length=1)
    stream_options: ChatStreamOptions | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    tools: Tools | None = None
    tool_choice: str | Item | None = None
    parallel_tool_calls: bool | None = None
    functions: Tools | None = None
    function_call: str | Item | None = None
    response_format: Annotated[PlainFormat | ChatSchemaFormat, Field(discriminator="type")] | None = None

    def options(self, **more: Any) -> Options:
        """Return the options of the turn."""
        wanted = self.response_format
        return self.turn_options(
            tools=self.tools or [{"type": "function", "function": function} for function in self.functions or ()] or None,
            tool_choice=self.tool_choice or self._called(),
            parallel_tool_calls=False if self.functions else self.parallel_tool_calls,
            request={OLD_CALLS: True} if self.functions else {},
            max_output_tokens=self.max_completion_tokens or self.max_tokens,
            response_format=None
            if not wanted or wanted.type == "text"
            else wanted.model_dump(by_alias=True, exclude_none=True),
            **more,
        )

    def _called(self) -> str | Item | None:
        """Return the older `function_call` as a choice of a tool."""
        named = self.function_call
        return {"type": "function", "function": named} if isinstance(named, dict) else named


class ChatCompletion(Answer):
    """A chat completion, with the fields of OpenAI's `ChatCompletion`."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any]
