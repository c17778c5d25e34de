"""Lines in the form of OpenAI's Batch API. The gateway's own parts read, ask and answer them, so its extra is needed."""
# ruff: noqa: E402 - a missing extra is named before anything of it is imported

from turnstile.turns.extras import need

need("gateway")

from dataclasses import dataclass
from functools import cache
from typing import Any

from turnstile.producers.cli.batch.results import Result
from turnstile.producers.client import AsyncChatClient
from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.batches.lines import Line as FileLine
from turnstile.producers.gateway.batches.requests import (
    ENDPOINTS,
    BatchRequest,
    answered,
    asking,
    checked,
    read_request,
    response,
    turn_id,
)
from turnstile.producers.gateway.edge.api_errors import ApiError, translate
from turnstile.producers.gateway.edge.caller import Caller
from turnstile.turns.errors import InvalidTurn, QueueUnreachable, TurnRefused, TurnstileError
from turnstile.turns.settings import Settings
from turnstile.turns.store.batches import Place
from turnstile.turns.turn import TurnResult

_CALLER = Caller()


class RefusedRequest(TurnRefused):
    """A request that the gateway would have refused: `error` is its answer."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True, slots=True)
class OpenAILine:
    """One request of the input; `key` leads to its turn again."""

    number: int
    id: str
    key: str
    endpoint: str
    request: BatchRequest

    async def ask(self, client: AsyncChatClient) -> None:
        """Have the turn accepted. Raises TurnRefused, QueueUnreachable."""
        await client.agree()
        try:
            await asking(self.endpoint, self.key, _backend(client.store.settings), _CALLER, self.request)()
        except ApiError as error:
            raise RefusedRequest(error) from None
        except (TurnRefused, QueueUnreachable):
            raise
        except TurnstileError as error:
            raise RefusedRequest(translate(error)) from None

    def refused(self, error: TurnRefused) -> Result:
        """Return the result of a line whose turn was not accepted."""
        shown = error.error if isinstance(error, RefusedRequest) else translate(error)
        return self._result("refused", shown.status, shown.body())

    def ended(self, client: AsyncChatClient, record: TurnResult, /) -> Result:
        """Return the result of a line whose turn has ended."""
        status, body = answered(self.endpoint, _backend(client.store.settings), _CALLER, record)
        return self._result(str(record.state), status, body)

    def _result(self, state: str, status: int, body: dict[str, Any]) -> Result:
        answer = response(f"req_{self.key}", self.request.row, status, body)
        return {"line": self.number, "id": self.id, "state": state, **answer}


def read_line(number: int, text: str, endpoint: object, key: str) -> OpenAILine:
    """Read a line. Raises InvalidTurn for one that is wrong."""
    if endpoint not in ENDPOINTS:
        raise InvalidTurn(f"`url` must be one of {', '.join(ENDPOINTS)}", "url")
    request = read_request(FileLine(number, text.encode(), Place()), str(endpoint))
    try:
        checked(str(endpoint), request)
    except ApiError as error:
        raise InvalidTurn(error.message, error.param or "") from None
    return OpenAILine(number, turn_id(str(endpoint), key, _CALLER, request.row), key, str(endpoint), request)


@cache
def _backend(settings: Settings) -> Backend:
    return Backend(settings)
