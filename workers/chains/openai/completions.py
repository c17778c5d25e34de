"""`chat.completions` without the typed objects of the `openai` package.

The package rebuilds every message of a request and every chunk of an answer as a typed object, and prepares each request
anew. That is most of the cost of a call, it grows with each message (bench/parts.py measures it), and nothing here uses the
types. This class passes the same dictionaries on as they are; connections, keys, errors and timeouts stay the package's.
"""

from collections.abc import Mapping
from typing import Any, cast

import httpx2
from pydantic_core import to_json

from turnstile.turns.settings import Settings
from turnstile.turns.text import loads
from turnstile.turns.token_estimate import prompt_tokens
from turnstile.workers.budgets.gate import BegunCall, Gate, OverBudget, current
from turnstile.workers.chains.openai.bodies import NOT_READABLE, BrokenAnswer, no_completion, reported
from turnstile.workers.chains.openai.deltas import Deltas
from turnstile.workers.chains.openai.fallback import Fallback
from turnstile.workers.chains.openai.model_server import ModelServer
from turnstile.workers.chains.openai.refusals import speak_refusal
from turnstile.workers.chains.openai.usage import plausible


class Completions:
    """Stands in for the SDK's `chat.completions`: dictionaries in, dictionaries out."""

    def __init__(self, settings: Settings, server: ModelServer, others: Mapping[str, ModelServer]) -> None:
        """`others`: the servers of models that are not at the usual one."""
        self.models = settings.models
        """The model that is asked, then those that answer in its place."""
        self._server, self._others = server, others
        self._fallback = Fallback(settings, lambda model: self.server_of(model).name)

    def server_of(self, model: str) -> ModelServer:
        """Return the server of a model."""
        return self._others.get(model, self._server)

    async def close(self) -> None:
        """Close the connections to all servers."""
        for server in (self._server, *self._others.values()):
            await server.client.close()

    async def create(self, *, extra_body: Mapping[str, Any] | None = None, **body: Any) -> "dict[str, Any] | Deltas":
        """POST a chat completion, to the model's server, or to that of another model that answers in its place.

        Raises:
            openai.APIError: as the SDK's own method.
            OverBudget: there is no place in the model's budget.
        """
        body.update(extra_body or {})
        model, gate = str(body.get("model")), current.get()
        try:
            if not self._fallback.behind(model):
                return await self._ask(model, body, gate)
            return await self._fallback.answer(model, lambda other: self._begin(other, body, gate), gate)
        except OverBudget as error:
            if gate:
                gate.refuse(error)
            raise

    async def _begin(self, model: str, body: Mapping[str, Any], gate: Gate | None) -> "dict[str, Any] | Deltas":
        """Ask a model up to the first piece of its answer. A server that asks for patience raises OverBudget."""
        answer = await self._ask(model, {**body, "model": model}, gate, falls_back=True)
        return await answer.begun() if isinstance(answer, Deltas) else answer

    async def _ask(
        self, model: str, body: Mapping[str, Any], gate: Gate | None, *, falls_back: bool = False
    ) -> "dict[str, Any] | Deltas":
        server = self.server_of(model)
        content, stream = to_json(body), bool(body.get("stream"))
        call: BegunCall | None = None
        if gate:
            prompt = prompt_tokens(content, body.get("messages"))
            call = await gate.enter(server.name, model, prompt, _most_tokens(body), falls_back=falls_back)
        try:
            response = await server.complete(content, stream=stream)
        except BaseException as error:
            if call and (over := await call.failed(error)) and falls_back:
                raise over from error
            raise
        if call:
            call.heard(response.headers)
        return Deltas(response, call) if stream else _whole(response, call)


def _most_tokens(body: Mapping[str, Any]) -> int | None:
    most = body.get("max_completion_tokens") or body.get("max_tokens")
    return most if type(most) is int else None


def _whole(response: httpx2.Response, call: BegunCall | None) -> dict[str, Any]:
    try:
        answer = _checked(response)
        if call:
            call.used(answer.get("usage"))
        return answer
    finally:
        if call:
            call.ended()


def _checked(response: httpx2.Response) -> dict[str, Any]:
    try:
        answer = loads(response.content)
        if answer.get("error"):
            raise reported(answer["error"], response.request)
        if not answer["choices"]:
            raise BrokenAnswer("The answer has no choices.")
        for choice in answer["choices"]:
            speak_refusal(choice)
        answer["usage"] = plausible(answer.get("usage"))
    except NOT_READABLE:
        raise no_completion(response.request) from None
    return cast("dict[str, Any]", answer)
