"""The bodies of requests for responses, and the form of a response."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from turnstile.producers.gateway.dependencies import LOGPROBS, Includable
from turnstile.producers.gateway.edge.api_errors import invalid, unsupported
from turnstile.producers.gateway.responses.tools import functions, read_choice, read_tools
from turnstile.producers.gateway.schemas import (
    Answer,
    Input,
    Item,
    Part,
    SchemaFormat,
    ShortText,
    StreamOptions,
    TextConfig,
    Tokens,
    Tools,
    TurnRequest,
)
from turnstile.turns.question import Options

MOST_THRESHOLD = 10_000_000
"""Most tokens of a window."""


class ConversationReference(Part):
    """A conversation by its id."""

    id: str


class Reasoning(Part):
    """The model's reasoning: its effort goes to the model, the rest is shown again."""

    effort: ShortText | None = None
    summary: ShortText | None = None
    generate_summary: ShortText | None = None
    context: ShortText | None = None
    mode: ShortText | None = None


class ContextManagement(Part):
    """A way to keep prompts short: a summary in the place of what is old."""

    type: Literal["compaction"]
    compact_threshold: Annotated[int, Field(ge=1_000, le=MOST_THRESHOLD)] | None = None


class ResponseRequest(TurnRequest):
    """POST /v1/responses."""

    idle: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "access_programs": (),
        "background_options": (),
        "image": (),
        "moderation": (),
        "prompt": (),
    }

    input: Input
    instructions: str | None = None
    background: bool | None = None
    stream_options: StreamOptions | None = None
    conversation: str | ConversationReference | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    max_output_tokens: Tokens | None = None
    text: TextConfig | None = None
    truncation: Literal["auto", "disabled"] | None = None
    context_management: Annotated[list[ContextManagement], Field(max_length=1)] | None = None
    reasoning: Reasoning | None = None
    top_logprobs: int | None = None
    client_metadata: Any = None
    """Words of coding agents about themselves, which go no further."""
    tools: Tools | None = None
    tool_choice: Literal["auto", "none", "required"] | Item | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    include: Annotated[list[Includable], Field(max_length=100)] | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "ResponseRequest":
        if self.conversation is not None and self.previous_response_id is not None:
            raise invalid("conversation", "Give `conversation` or `previous_response_id`, not both.", "mutually_exclusive")
        return self

    @property
    def conversation_id(self) -> str | None:
        """The conversation that the request names, if any."""
        named = self.conversation
        return named.id if isinstance(named, ConversationReference) else named

    @property
    def compact_threshold(self) -> int | None:
        """The most tokens of a history before it is summed up; None where it is not."""
        wanted = self.context_management
        return (wanted[0].compact_threshold or MOST_THRESHOLD) if wanted else None

    def options(self, **more: Any) -> Options:
        """Return the options of the turn. Raises ApiError, InvalidTurn."""
        able = functions(self.tools or [])
        given = read_tools(able)
        choice, tools = read_choice(self.tool_choice, given)
        shown = {
            "background": self.background,
            "previous_response_id": self.previous_response_id,
            "parallel_tool_calls": self.parallel_tool_calls,
            "tool_choice": self.tool_choice,
            "tools": able if tools != given else None,
            "max_tool_calls": self.max_tool_calls,
            "user": self.user,
            "safety_identifier": self.safety_identifier,
            "prompt_cache_key": self.prompt_cache_key,
            "reasoning": self.reasoning.model_dump(exclude_none=True) if self.reasoning else None,
            "verbosity": self.text.verbosity if self.text else None,
            "top_logprobs": self.top_logprobs,
            **{name: self.others().get(name) for name in ("service_tier", "prompt_cache_retention")},
        }
        return self.turn_options(
            parameters=self._parameters(),
            instructions=self.instructions,
            max_output_tokens=self.max_output_tokens,
            response_format=self._response_format(),
            truncation=self.truncation,
            compact_threshold=self.compact_threshold,
            tools=tools,
            tool_choice=choice,
            parallel_tool_calls=self.parallel_tool_calls,
            store=self.store is not False,
            request={name: value for name, value in shown.items() if value is not None},
            **more,
        )

    def _parameters(self) -> dict[str, Any]:
        """Return the model's parameters that have other names in chat completions."""
        return {
            "reasoning_effort": self.reasoning.effort if self.reasoning else None,
            "verbosity": self.text.verbosity if self.text else None,
            "logprobs": True if self.top_logprobs or LOGPROBS in (self.include or ()) else None,
            "top_logprobs": self.top_logprobs or None,
        }

    def _response_format(self) -> dict[str, Any] | None:
        wanted = self.text.format if self.text else None
        if isinstance(wanted, SchemaFormat):
            schema = wanted.model_dump(by_alias=True, exclude={"type"}, exclude_none=True)
            return {"type": "json_schema", "json_schema": schema}
        return {"type": "json_object"} if wanted and wanted.type == "json_object" else None


class InputTokensRequest(ResponseRequest):
    """POST /v1/responses/input_tokens: a request for a response, of which the prompt is counted."""

    input: Annotated[Input, BeforeValidator(lambda given: given or "")] = ""


class CompactRequest(TurnRequest):
    """POST /v1/responses/compact."""

    idle: ClassVar[Mapping[str, tuple[Any, ...]]] = {"conversation": (), "image": ()}

    input: Input | None = None
    instructions: str | None = None
    previous_response_id: str | None = None

    @model_validator(mode="after")
    def _one_answer(self) -> "CompactRequest":
        if self.stream:
            raise unsupported("stream")
        if not self.input and self.previous_response_id is None:
            message = "Give `input` or `previous_response_id`: there is nothing to compact."
            raise invalid("input", message, "missing_required_parameter")
        return self


class CompactionObject(Answer):
    """A compacted conversation: input for a later request."""

    id: str
    object: Literal["response.compaction"]
    created_at: int
    output: list[dict[str, Any]]
    usage: dict[str, Any]


class InputTokensObject(Answer):
    """The size of a prompt."""

    object: Literal["response.input_tokens"]
    input_tokens: int


class ResponseObject(Answer):
    """A response, with the fields of OpenAI's `Response`."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["queued", "in_progress", "completed", "failed", "cancelled", "incomplete"]
    model: str
    output: list[dict[str, Any]]
    metadata: dict[str, str]
    conversation: dict[str, str] | None
    error: dict[str, Any] | None
    incomplete_details: dict[str, Any] | None
    usage: dict[str, Any] | None
