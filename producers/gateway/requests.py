"""What may be asked: the bodies of requests, as OpenAI's API has them, so far as turns can do it.

What OpenAI has and we have not is refused by name; only a value that asks for nothing is let through.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from turnstile.producers.gateway.content import finite
from turnstile.producers.gateway.edge.errors import invalid, unsupported
from turnstile.turns.question import Options

Temperature = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Tokens = Annotated[int, Field(ge=1, le=10_000_000)]
Model = Annotated[str, Field(min_length=1, max_length=200)]
Item = dict[str, Any]

MOST_ITEMS = 20


def _check_metadata(metadata: dict[str, str]) -> dict[str, str]:
    if len(metadata) > 16:
        raise ValueError("at most 16 pairs")
    for name, value in metadata.items():
        if not 1 <= len(name) <= 64 or len(value) > 512:
            raise ValueError("a key has at most 64 characters, a value at most 512")
    return metadata


Metadata = Annotated[dict[str, str], Field(max_length=16), AfterValidator(_check_metadata)]


def _check_schema(schema: dict[str, Any]) -> dict[str, Any]:
    if not finite(schema):
        raise ValueError("numbers must be finite")
    return schema


Schema = Annotated[dict[str, Any], AfterValidator(_check_schema)]


class Body(BaseModel):
    """A request's body, or the part of one at `where`.

    `idle` names parameters that are not supported, with the values that ask for nothing; those that are fields too are shown
    again.
    """

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)
    where: ClassVar[str] = ""
    idle: ClassVar[Mapping[str, tuple[Any, ...]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _refuse(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        for name in data.keys() & cls.idle.keys():
            asked = _without_nulls(data[name])
            if asked is not None and asked not in cls.idle[name]:
                raise unsupported(cls.where + name)
        return {name: value for name, value in data.items() if name not in cls.idle or name in cls.model_fields}


def _without_nulls(value: Any) -> Any:
    return {name: one for name, one in value.items() if one is not None} if isinstance(value, dict) else value


class PlainFormat(BaseModel):
    """Text, or any JSON object."""

    model_config = ConfigDict(extra="forbid", strict=True)
    type: Literal["text", "json_object"]


class SchemaFormat(BaseModel):
    """JSON of a schema."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)
    type: Literal["json_schema"]
    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    schema_: Schema = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class TextConfig(Body):
    """How the answer is to be written."""

    where = "text."
    idle = {"verbosity": ("medium",)}
    format: Annotated[PlainFormat | SchemaFormat, Field(discriminator="type")] | None = None


class ConversationReference(BaseModel):
    """A conversation by its id."""

    model_config = ConfigDict(extra="forbid", strict=True)
    id: str


class StreamOptions(Body):
    """How a stream is written."""

    where = "stream_options."
    idle = {"include_obfuscation": (False,)}


_IDLE_ANYWHERE: dict[str, tuple[Any, ...]] = {
    "moderation": (),
    "parallel_tool_calls": (True, False),
    "prompt_cache_options": (),
    "prompt_cache_retention": (),
    "service_tier": ("auto", "default"),
    "tool_choice": ("auto", "none"),
    "tools": ([],),
    "top_logprobs": (0,),
}


class ResponseRequest(Body):
    """POST /v1/responses."""

    idle = {
        **_IDLE_ANYWHERE,
        "access_programs": (),
        "background_options": (),
        "context_management": ([],),
        "image": (),
        "include": ([], ["message.input_image.image_url"]),
        "max_tool_calls": (),
        "prompt": (),
        "reasoning": ({},),
    }

    input: str | list[Item]
    model: Model | None = None
    instructions: str | None = None
    background: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    conversation: str | ConversationReference | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    metadata: Metadata | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    max_output_tokens: Tokens | None = None
    text: TextConfig | None = None
    truncation: Literal["auto", "disabled"] | None = None
    parallel_tool_calls: bool | None = None
    tool_choice: Literal["auto", "none"] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "ResponseRequest":
        if self.conversation is not None and self.previous_response_id is not None:
            raise invalid("conversation", "Give `conversation` or `previous_response_id`, not both.", "mutually_exclusive")
        return self

    @property
    def conversation_id(self) -> str | None:
        """The conversation that is named, if one is."""
        named = self.conversation
        return named.id if isinstance(named, ConversationReference) else named

    def options(self, before: list[dict[str, Any]]) -> Options:
        """What goes with the turn."""
        shown = {
            "background": self.background,
            "previous_response_id": self.previous_response_id,
            "text": self.text.format.model_dump(by_alias=True) if self.text and self.text.format else None,
            "truncation": self.truncation,
            "parallel_tool_calls": self.parallel_tool_calls,
            "tool_choice": self.tool_choice,
            "user": self.user,
            "safety_identifier": self.safety_identifier,
            "prompt_cache_key": self.prompt_cache_key,
        }
        return Options(
            model=self.model,
            instructions=self.instructions,
            temperature=self.temperature,
            top_p=self.top_p,
            max_output_tokens=self.max_output_tokens,
            response_format=self._response_format(),
            store=self.store is not False,
            before=before,
            metadata=self.metadata or {},
            request={name: value for name, value in shown.items() if value is not None},
        )

    def _response_format(self) -> dict[str, Any] | None:
        wanted = self.text.format if self.text else None
        if isinstance(wanted, SchemaFormat):
            schema = wanted.model_dump(by_alias=True, exclude={"type"}, exclude_none=True)
            return {"type": "json_schema", "json_schema": schema}
        return {"type": "json_object"} if wanted and wanted.type == "json_object" else None


class ChatStreamOptions(StreamOptions):
    """How a stream of chunks is written."""

    include_usage: bool | None = None


class ChatSchema(BaseModel):
    """A schema and its name."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)
    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    schema_: Schema | None = Field(None, alias="schema")
    description: str | None = None
    strict: bool | None = None


class ChatSchemaFormat(BaseModel):
    """JSON of a schema."""

    model_config = ConfigDict(extra="forbid", strict=True)
    type: Literal["json_schema"]
    json_schema: ChatSchema


class ChatRequest(Body):
    """POST /v1/chat/completions."""

    idle = {
        **_IDLE_ANYWHERE,
        "audio": (),
        "frequency_penalty": (0,),
        "function_call": ("auto", "none"),
        "functions": ([],),
        "logit_bias": ({},),
        "logprobs": (False,),
        "modalities": (["text"],),
        "n": (1,),
        "prediction": (),
        "presence_penalty": (0,),
        "reasoning_effort": (),
        "seed": (),
        "stop": ([],),
        "store": (False,),
        "verbosity": ("medium",),
        "web_search_options": (),
    }

    messages: list[Item] = Field(min_length=1)
    model: Model | None = None
    stream: bool | None = None
    stream_options: ChatStreamOptions | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    response_format: Annotated[PlainFormat | ChatSchemaFormat, Field(discriminator="type")] | None = None
    metadata: Metadata | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    def options(self, **more: Any) -> Options:
        """What goes with the turn."""
        wanted = self.response_format
        return Options(
            model=self.model,
            temperature=self.temperature,
            top_p=self.top_p,
            max_output_tokens=self.max_completion_tokens or self.max_tokens,
            response_format=None
            if not wanted or wanted.type == "text"
            else wanted.model_dump(by_alias=True, exclude_none=True),
            metadata=self.metadata or {},
            **more,
        )


class ConversationRequest(Body):
    """POST /v1/conversations."""

    items: Annotated[list[Item], Field(max_length=MOST_ITEMS)] | None = None
    metadata: Metadata | None = None


class ConversationUpdate(Body):
    """POST /v1/conversations/{id}."""

    metadata: Metadata | None


class ItemsRequest(Body):
    """POST /v1/conversations/{id}/items."""

    items: Annotated[list[Item], Field(min_length=1, max_length=MOST_ITEMS)]
