"""The forms that several resources share: parts of request bodies, and of what is answered.

A request follows OpenAI's API as far as turns can do it: anything else is the model's server's, or is refused by name, except a
value that asks for nothing. The forms of answers are for the OpenAPI document; routes write answers without going through them.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, RootModel, model_validator

from turnstile.producers.gateway.edge.api_errors import invalid, unsupported
from turnstile.turns.bounds import MOST_MESSAGES
from turnstile.turns.parameters import OPENAI, TAKEN
from turnstile.turns.question import Options
from turnstile.turns.tools import MOST_TOOLS

Temperature = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Tokens = Annotated[int, Field(ge=1, le=10_000_000)]
Model = Annotated[str, Field(min_length=1, max_length=200)]
ShortText = Annotated[str, Field(max_length=512)]
Item = dict[str, Any]
Items = Annotated[list[Item], Field(fail_fast=True)]
"""Objects, of which the first that is none is complained about: pydantic would note a complaint about each."""


def _few(pairs: Any) -> Any:
    """Refuse many pairs before their values are looked at: pydantic would note a complaint about each."""
    if isinstance(pairs, dict) and len(pairs) > 16:
        raise ValueError("at most 16 pairs")
    return pairs


def _check_metadata(metadata: dict[str, str]) -> dict[str, str]:
    for name, value in metadata.items():
        if not 1 <= len(name) <= 64 or len(value) > 512:
            raise ValueError("a key has at most 64 characters, a value at most 512")
    return metadata


Metadata = Annotated[dict[str, str], Field(max_length=16), AfterValidator(_check_metadata), BeforeValidator(_few)]


def _few_messages(messages: Any) -> Any:
    if isinstance(messages, list) and len(messages) > MOST_MESSAGES:
        raise ValueError(f"{len(messages):,} messages; at most {MOST_MESSAGES:,} are taken: send fewer, or name a conversation")
    return messages


Messages = Annotated[Items, BeforeValidator(_few_messages)]
Input = Annotated[str | Items, BeforeValidator(_few_messages)]


def _few_tools(tools: Any) -> Any:
    if isinstance(tools, list) and len(tools) > MOST_TOOLS:
        raise ValueError(f"{len(tools):,} tools; at most {MOST_TOOLS} are taken")
    return tools


Tools = Annotated[Items, BeforeValidator(_few_tools)]


MOST_FIELDS = 200
"""Of a request, with those that it passes on to a model's server."""


def _check_count(fields: Item) -> Item:
    if len(fields) > MOST_FIELDS:
        message = f"The request has {len(fields):,} parameters; at most {MOST_FIELDS} are taken."
        raise invalid("parameters", message, "invalid_value")
    return fields


class Part(BaseModel):
    """An object in a request's body."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)
    idle: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """Parameters that are not supported, with the values that ask for nothing."""

    @model_validator(mode="before")
    @classmethod
    def _one_stranger(cls, data: Any) -> Any:
        """Keep the first unknown name of many: pydantic would note a complaint about each. Bound those that are passed on."""
        if not isinstance(data, dict):
            return data
        if cls.model_config["extra"] == "allow":
            return _check_count(data)
        known = cls.model_fields.keys() | {field.alias for field in cls.model_fields.values()} | cls.idle.keys()
        stranger = next((name for name in data if name not in known), None)
        return {name: value for name, value in data.items() if name in known or name == stranger}


class Body(Part):
    """The part of a request's body at `where`."""

    where: ClassVar[str] = ""

    @model_validator(mode="before")
    @classmethod
    def _refuse(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        for name in data.keys() & cls.idle.keys():
            asked = _without_nulls(data[name])
            if asked is not None and asked not in cls.idle[name]:
                raise unsupported(cls.where + name)
        return {name: value for name, value in data.items() if name not in cls.idle}


def _without_nulls(value: Any) -> Any:
    return {name: one for name, one in value.items() if one is not None} if isinstance(value, dict) else value


class PlainFormat(Part):
    """Text, or any JSON object."""

    type: Literal["text", "json_object"]


class SchemaName(Part):
    """The name of a schema, and how strictly it is kept."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str | None = None
    strict: bool | None = None


class SchemaFormat(SchemaName):
    """JSON that fits a schema."""

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class TextConfig(Body):
    """The form of the answer."""

    where = "text."
    verbosity: ShortText | None = None
    format: Annotated[PlainFormat | SchemaFormat, Field(discriminator="type")] | None = None


class StreamOptions(Body):
    """The form of a stream."""

    where = "stream_options."
    idle = {"include_obfuscation": (False,)}


MOST_NAMED = 32
"""Parameters that one error names."""


class TurnRequest(Part):
    """The fields that all requests for an answer have. Others are the model's server's, but for those in `idle`."""

    model_config = ConfigDict(extra="allow", strict=True, populate_by_name=True)

    model: Model | None = None
    stream: bool | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    metadata: Metadata | None = None
    user: ShortText | None = None
    safety_identifier: ShortText | None = None
    prompt_cache_key: ShortText | None = None

    _queue: str = PrivateAttr("chat")

    def for_batch(self) -> Self:
        """Return this request, of which nobody waits for the answer."""
        self._queue, self.stream = "batch", None
        return self

    def check(self, *, strict: bool) -> None:
        """Raise ApiError, which names all parameters that nobody follows; `strict`: those that OpenAI's API lacks, too."""
        names = [name for name in self.others() if name in self.idle or name in TAKEN or (strict and name not in OPENAI)]
        if names:
            raise unsupported(*names[:MOST_NAMED])

    def others(self) -> Item:
        """Return the parameters that are no fields, except those that ask for nothing."""
        given = {name: (value, _without_nulls(value)) for name, value in (self.model_extra or {}).items()}
        return {
            name: value for name, (value, asked) in given.items() if asked is not None and asked not in self.idle.get(name, ())
        }

    def turn_options(self, *, parameters: Mapping[str, Any] | None = None, **more: Any) -> Options:
        """Return the options of the turn: those of these fields, and more."""
        own = {"user": self.user, "safety_identifier": self.safety_identifier, "prompt_cache_key": self.prompt_cache_key}
        sent = {**own, **self.others(), **(parameters or {})}
        if self._queue == "batch":
            more["stream"] = False
        return Options(
            queue=self._queue,
            model=self.model,
            temperature=self.temperature,
            top_p=self.top_p,
            metadata=self.metadata or {},
            parameters={name: value for name, value in sent.items() if value is not None},
            **more,
        )


class Answer(BaseModel):
    """The form of an answer, which may have more fields."""

    model_config = ConfigDict(extra="allow")


class Deleted(Answer):
    """Confirmation of a deletion."""

    id: str
    object: str
    deleted: Literal[True]


class MessageItem(Answer):
    """A message."""

    id: str
    type: Literal["message"]
    role: str
    status: str
    content: list[dict[str, Any]]


class CallItem(Answer):
    """A call of a tool, or the answer to one."""

    id: str
    type: Literal["function_call", "function_call_output"]
    call_id: str
    status: str


class RunItem(Answer):
    """A call that a worker ran, a request for an approval, or what somebody decided about one."""

    id: str
    type: Literal["mcp_call", "mcp_approval_request", "mcp_approval_response"]


class ReasoningItem(Answer):
    """A model's reasoning."""

    id: str
    type: Literal["reasoning"]
    summary: list[dict[str, Any]]


class ItemObject(RootModel[MessageItem | CallItem | RunItem | ReasoningItem]):
    """An item of a conversation."""


class ItemList(Answer):
    """A page of items."""

    object: Literal["list"]
    data: list[ItemObject]
    first_id: str | None
    last_id: str | None
    has_more: bool
