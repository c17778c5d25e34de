"""The bodies of requests that are passed to the model's server, and the forms of its answers."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from turnstile.producers.gateway.edge.api_errors import unsupported
from turnstile.producers.gateway.schemas import MOST_NAMED, Answer, Model, Part, ShortText
from turnstile.turns.text import dumps

MOST_INPUTS = 2_048
Tokens = list[int]


def _check_inputs(given: Any) -> Any:
    """Refuse what is no input before its elements are looked at: pydantic would note a complaint about each."""
    if given and (isinstance(given, str) or (isinstance(given, list) and _are_inputs(given))):
        return given
    raise ValueError(f"a text that is not empty, or a list of at most {MOST_INPUTS:,}")


def _are_inputs(given: list[Any]) -> bool:
    if _all_are(given, int):
        return True
    if len(given) > MOST_INPUTS:
        return False
    return _all_are(given, str) or _all_are(given, dict) or (_all_are(given, list) and all(_all_are(one, int) for one in given))


def _all_are(values: list[Any], kind: type) -> bool:
    return all(type(one) is kind for one in values)


class PassedOn(Part):
    """A request for the model's server. Fields that it may know beside OpenAI's go with it, unless the gateway is strict."""

    model_config = ConfigDict(extra="allow", strict=True)
    path: ClassVar[str]

    def content(self, *, strict: bool) -> bytes:
        """Return the body to send. Raises ApiError, which names what a strict gateway does not pass on."""
        strangers = list(self.model_extra or ()) if strict else []
        if strangers:
            raise unsupported(*strangers[:MOST_NAMED])
        return dumps(self.model_dump(exclude_none=True)).encode()


class EmbeddingRequest(PassedOn):
    """POST /v1/embeddings."""

    path = "embeddings"
    input: Annotated[str | Tokens | list[str] | list[Tokens], BeforeValidator(_check_inputs)]
    model: Model
    dimensions: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: ShortText | None = None


class ModerationRequest(PassedOn):
    """POST /v1/moderations."""

    path = "moderations"
    input: Annotated[str | list[str] | list[dict[str, Any]], BeforeValidator(_check_inputs)]
    model: Model | None = None


class EmbeddingList(Answer):
    """Embeddings, in the order of the inputs."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    model: str
    usage: dict[str, Any]


class ModerationObject(Answer):
    """A moderation model's findings about each input."""

    id: str
    model: str
    results: list[dict[str, Any]]
