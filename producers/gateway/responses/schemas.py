"""The bodies of requests for responses, and the form of a response."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from turnstile.producers.gateway.edge.api_errors import invalid
from turnstile.producers.gateway.schemas import (
    IDLE_ANYWHERE,
    Answer,
    Input,
    Part,
    SchemaFormat,
    StreamOptions,
    TextConfig,
    Tokens,
    TurnRequest,
)
from turnstile.turns.question import Options


class ConversationReference(Part):
    """A conversation by its id."""

    id: str


class ResponseRequest(TurnRequest):
    """POST /v1/responses."""

    idle: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        **IDLE_ANYWHERE,
        "access_programs": (),
        "background_options": (),
        "context_management": ([],),
        "image": (),
        "include": ([], ["message.input_image.image_url"]),
        "max_tool_calls": (),
        "parallel_tool_calls": (True, False),
        "prompt": (),
        "reasoning": ({},),
        "tool_choice": ("auto", "none"),
        "tools": ([],),
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
    parallel_tool_calls: bool | None = None
    tool_choice: Literal["auto", "none"] | None = None

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

    def options(self, before: list[dict[str, Any]]) -> Options:
        """Return the options of the turn."""
        shown = {
            "background": self.background,
            "previous_response_id": self.previous_response_id,
            "parallel_tool_calls": self.parallel_tool_calls,
            "tool_choice": self.tool_choice,
            "user": self.user,
            "safety_identifier": self.safety_identifier,
            "prompt_cache_key": self.prompt_cache_key,
        }
        return self.turn_options(
            instructions=self.instructions,
            max_output_tokens=self.max_output_tokens,
            response_format=self._response_format(),
            truncation=self.truncation,
            store=self.store is not False,
            before=before,
            request={name: value for name, value in shown.items() if value is not None},
        )

    def _response_format(self) -> dict[str, Any] | None:
        wanted = self.text.format if self.text else None
        if isinstance(wanted, SchemaFormat):
            schema = wanted.model_dump(by_alias=True, exclude={"type"}, exclude_none=True)
            return {"type": "json_schema", "json_schema": schema}
        return {"type": "json_object"} if wanted and wanted.type == "json_object" else None


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
