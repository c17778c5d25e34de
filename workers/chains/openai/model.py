"""The model of the default chain: LangChain's ChatOpenAI over one aiohttp pool, sized to the process."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import httpx2
import openai
from langchain_core.callbacks import AsyncCallbackManager, AsyncCallbackManagerForLLMRun
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.utils.utils import LC_ID_PREFIX
from langchain_core.utils.uuid import uuid7
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from turnstile.turns.errors import SettingError
from turnstile.turns.settings import Settings
from turnstile.workers.chains.openai.block_types import keep_block_types
from turnstile.workers.chains.openai.bodies import NOT_READABLE, no_completion
from turnstile.workers.chains.openai.completions import Completions
from turnstile.workers.chains.openai.model_server import ModelServer
from turnstile.workers.chains.openai.reasoning import note_reasoning, return_reasoning

OPENAI_URL = "https://api.openai.com/v1"
CHECK_SECONDS = 3.0

log = logging.getLogger(__name__)

keep_block_types()


class LoopChatOpenAI(ChatOpenAI):
    """ChatOpenAI that reads an answer on the loop; langchain's own hands each one to a thread, at ten times the cost."""

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - langchain's signature
        **kwargs: Any,
    ) -> ChatResult:
        answer = await self.async_client.create(**self._get_request_payload(messages, stop=stop, **kwargs))
        return self._create_chat_result(answer)

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Build the payload as langchain does, which also looks at each letter of an answer for a block of audio."""
        messages = self._convert_input(input_).to_messages()
        roles = [_ROLES.get(type(message)) if _is_plain(message) else None for message in messages]
        unusual = [message for message, role in zip(messages, roles, strict=True) if not role]
        payload = super()._get_request_payload(unusual, stop=stop, **kwargs)
        if "messages" not in payload:
            return super()._get_request_payload(messages, stop=stop, **kwargs)
        converted = iter(payload["messages"])
        payload["messages"] = [
            {"content": message.content, "role": role} if role else next(converted)
            for message, role in zip(messages, roles, strict=True)
        ]
        if unusual:
            return_reasoning(messages, payload["messages"])
        return payload

    def _convert_chunk_to_generation_chunk(
        self, chunk: dict[str, Any], default_chunk_class: type, base_generation_info: dict[str, Any] | None
    ) -> ChatGenerationChunk | None:
        try:
            found = super()._convert_chunk_to_generation_chunk(chunk, default_chunk_class, base_generation_info)
            if found and chunk.get("choices"):
                note_reasoning(chunk["choices"][0].get("delta"), found.message)
        except NOT_READABLE:
            # Its own words hold the answer.
            raise no_completion(self._request) from None
        return found

    def _create_chat_result(self, response: Any, generation_info: dict[str, Any] | None = None) -> ChatResult:
        try:
            result = super()._create_chat_result(response, generation_info)
            if isinstance(response, dict):
                for choice, generation in zip(response["choices"], result.generations, strict=True):
                    note_reasoning(choice["message"], generation.message)
        except NOT_READABLE:
            raise no_completion(self._request) from None
        return result

    @property
    def _request(self) -> httpx2.Request:
        return httpx2.Request("POST", self.openai_api_base or OPENAI_URL)

    async def answer(self, messages: list[BaseMessage]) -> AIMessage:
        """Return the message that `ainvoke` would, without the bookkeeping of callbacks; only for an `unobserved` model."""
        result = await self._agenerate(messages)
        [generation] = result.generations
        message = cast("AIMessage", generation.message)
        message.id = message.id or f"{LC_ID_PREFIX}-{uuid7()}-0"
        details = {**(generation.generation_info or {}), **message.response_metadata}
        message.response_metadata = {**(result.llm_output or {}), **details}
        return message

    @property
    def unobserved(self) -> bool:
        """Return whether nothing would see or change a call: no callbacks, tracers, cache, or other form of output."""
        if self.callbacks or self.cache is not None or self.output_version not in (None, "v0"):
            return False
        return get_llm_cache() is None and not AsyncCallbackManager.configure(verbose=self.verbose).handlers


_PLAIN_OPTIONS = ("model", "temperature", "top_p")
_TOOL_OPTIONS = ("tools", "tool_choice", "parallel_tool_calls")
_ROLES: dict[type[BaseMessage], str] = {HumanMessage: "user", AIMessage: "assistant"}
_TOLD = {"name", "tool_calls", "function_call", "audio"}


def _is_plain(message: BaseMessage) -> bool:
    """Return whether a message is no more than a role and a text."""
    if type(message.content) is not str or message.name is not None or not _TOLD.isdisjoint(message.additional_kwargs):
        return False
    return not (isinstance(message, AIMessage) and (message.tool_calls or message.invalid_tool_calls))


def build_model(settings: Settings, base_url: str | None = None) -> LoopChatOpenAI:
    """Return the model that the settings describe, at `base_url` if given (the offline stand-in's).

    It opens its connections when first used, on the event loop of that use, and belongs to that loop. It does not
    retry: a turn does. `close_model` ends it.
    """
    url = base_url or settings.openai_base_url or OPENAI_URL
    key = settings.openai_api_key.get_secret_value() or "none"
    server = ModelServer(settings, url, key)
    others = {name: ModelServer(settings, *place) for name, place in settings.servers_by_model.items()}
    return LoopChatOpenAI(
        model=settings.models[0],
        temperature=settings.temperature,
        max_tokens=settings.max_output_tokens,
        base_url=url,
        api_key=SecretStr(key),
        async_client=Completions(settings, server, others),
        root_async_client=server.client,
        max_retries=0,
        stream_usage=True,
        stream_chunk_timeout=0,
    )


async def check_names(models: Iterable[LoopChatOpenAI], settings: Settings) -> None:
    """Ask the servers of all models that may answer whether they have them.

    Only a clear "no" counts; turns will notice any other trouble.

    Raises:
        SettingError: a server says that it has none of that name.
    """
    places = {name: model.async_client.server_of(name) for model in models for name in model.async_client.models}
    for name, server in places.items():
        await _check_name(server, name, "TURNSTILE_MODEL" if name in settings.models else "TURNSTILE_CHAINS")


async def _check_name(server: ModelServer, name: str, variable: str) -> None:
    try:
        await server.client.with_options(timeout=CHECK_SECONDS).models.retrieve(name)
    except openai.NotFoundError as error:
        if error.code == "model_not_found":
            raise SettingError(f"{variable}: {urlsplit(server.url).hostname} has no model {name}.") from None
    except openai.APIError as error:
        log.warning("the model's server could not be asked for its model: %s", type(error).__name__)


async def close_model(model: ChatOpenAI) -> None:
    """Close the model's connections."""
    await (model.async_client if isinstance(model, LoopChatOpenAI) else model.root_async_client).close()


def call_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a turn's options as ChatOpenAI's call arguments, for `bind`.

    Known: `model`, `temperature`, `top_p`, `max_output_tokens`, `tools` with `tool_choice` and `parallel_tool_calls` (as in
    Chat Completions), `text` (`{"format": …}`, as in the Responses API) or `response_format` (as in Chat Completions), and
    `parameters`, which are sent as they are. Others are not the model's, and are left out.
    """
    known = (*_PLAIN_OPTIONS, *(_TOOL_OPTIONS if options.get("tools") else ()))
    arguments = {name: options[name] for name in known if options.get(name) is not None}
    if options.get("max_output_tokens") is not None:
        arguments["max_completion_tokens"] = options["max_output_tokens"]
    wanted = options.get("response_format") or _response_format((options.get("text") or {}).get("format"))
    # As a plain argument, langchain would send a format through the SDK's parsing helpers.
    if body := {**(options.get("parameters") or {}), **({"response_format": wanted} if wanted else {})}:
        arguments["extra_body"] = body
    return arguments


def _response_format(wanted: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if wanted is None or wanted.get("type") != "json_schema":
        return wanted
    schema = {name: value for name, value in wanted.items() if name != "type" and value is not None}
    return {"type": "json_schema", "json_schema": schema}
