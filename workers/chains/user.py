"""The chain that answers: the default one, or the user's own Runnable, and how a turn calls it.

A chain takes `{"question": str | list of content parts, "history": list of messages}`, `instructions` where a turn brings
its own, and `name` where it tells who asks; the session id stands in `config["configurable"]["session_id"]`. It gives a message
or a string.
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, message_chunk_to_message
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSequence
from langchain_openai import ChatOpenAI
from langchain_openai.chat_models.base import BaseChatOpenAI

from turnstile.turns.errors import SettingError
from turnstile.turns.settings import Settings
from turnstile.turns.text import whole
from turnstile.turns.turn import REFUSAL
from turnstile.workers.chains.default import default_chain
from turnstile.workers.chains.openai.model import build_model, call_options, check_name, close_model

Chain = Runnable[Any, Any]
Question = str | list[str | dict[str, Any]]


class ChainOutputError(TypeError):
    """A chain gave something other than a message or a string. The message names the type only."""


@dataclass(frozen=True, slots=True)
class ChainResult:
    """What a chain answered. `usage` is langchain's `usage_metadata`: counts of tokens.

    `refusal`: the text says why there is no answer, and none of it was streamed.
    """

    message: AIMessage
    text: str
    usage: dict[str, Any] | None
    model: str | None
    finish_reason: str | None
    refusal: bool = False


def load_chain(settings: Settings, base_url: str | None = None) -> Chain:
    """The chain that the settings name: the user's `TURNSTILE_CHAIN`, else the default chain at `base_url`.

    Raises:
        SettingError: the user's chain cannot be imported, or is no chain.
    """
    if settings.chain:
        return _user_chain(settings.chain)
    return default_chain(settings.system_prompt, build_model(settings, base_url))


async def check_chain(chain: Chain) -> None:
    """Ask the default chain's server whether it has the model. Raises SettingError."""
    for model in _own_models(chain):
        await check_name(model)


async def close_chain(chain: Chain) -> None:
    """Close the connections of the default chain; a user's chain looks after its own."""
    for model in _own_models(chain):
        await close_model(model)


def _own_models(chain: Chain) -> list[ChatOpenAI]:
    return [step for step in getattr(chain, "steps", ()) if isinstance(step, ChatOpenAI) and step.root_async_client]


def _user_chain(setting: str) -> Chain:
    module_name, _, name = setting.partition(":")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = _attempt(f"{module_name} cannot be imported", lambda: importlib.import_module(module_name))
    if not hasattr(module, name):
        raise SettingError(f"TURNSTILE_CHAIN: {module_name} has no {name}.")
    value = getattr(module, name)
    if not isinstance(value, Runnable) and _takes_nothing(value):
        value = _attempt(f"{setting} cannot be called", value)
    if not isinstance(value, Runnable):
        raise SettingError(
            f"TURNSTILE_CHAIN: {setting} is neither a Runnable nor a function without parameters that returns one."
        )
    return value


def _attempt(problem: str, action: Callable[[], Any]) -> Any:
    try:
        return action()
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise SettingError(f"TURNSTILE_CHAIN: {problem}: {reason}") from error


def _takes_nothing(value: object) -> bool:
    if not callable(value):
        return False
    try:
        inspect.signature(value).bind()
    except (TypeError, ValueError):
        return False
    return True


async def run_chain(
    chain: Chain,
    question: Question,
    history: Sequence[BaseMessage],
    session_id: str,
    options: Mapping[str, Any] | None = None,
    on_text: Callable[[str], object] | None = None,
) -> ChainResult:
    """Ask the chain once. With `on_text` the answer is streamed, and its text given piece by piece.

    Cancelling the task that awaits this drops the connection to the model.

    Raises:
        ChainOutputError: the chain gave no message and no string.
        Exception: whatever the chain raises; `turnstile.workers.attempt.failures.classify` knows the model's errors.
    """
    options = options or {}
    inputs: dict[str, Any] = {"question": question, "history": list(history)}
    inputs |= {name: options[name] for name in ("instructions", "name") if options.get(name)}
    arguments = call_options(options)
    config: RunnableConfig = {"configurable": {**_configurable(options), "session_id": session_id}}
    bound = _bound(chain, arguments) if arguments else chain
    if on_text is None:
        return _result(_message(await bound.ainvoke(inputs, config)))
    return await _streamed(bound, inputs, config, on_text)


def _configurable(options: Mapping[str, Any]) -> dict[str, Any]:
    names = ("model", "temperature", "top_p", "max_output_tokens")
    return {name: options[name] for name in names if options.get(name) is not None}


def _bound(chain: Chain, arguments: Mapping[str, Any]) -> Chain:
    """The chain with call arguments bound to the OpenAI model at its end; any other chain as it is."""
    steps = list(getattr(chain, "steps", ())) or [chain]
    if not isinstance(getattr(steps[-1], "bound", steps[-1]), BaseChatOpenAI):
        return chain
    model = steps[-1].bind(**arguments)
    return RunnableSequence(*steps[:-1], model) if steps[:-1] else model


async def _streamed(
    chain: Chain, inputs: Mapping[str, Any], config: RunnableConfig, on_text: Callable[[str], object]
) -> ChainResult:
    pieces: list[Any] = []
    told = False
    async for piece in chain.astream(inputs, config):
        pieces.append(piece)
        text = piece if isinstance(piece, str) else _text(piece)
        if text and (told or not _refuses(piece)):
            told = True
            on_text(text)
    if not pieces:
        raise ChainOutputError("The chain gave nothing.")
    return _result(_put_together(pieces), told)


def _refuses(piece: Any) -> bool:
    return bool(getattr(piece, "response_metadata", {}).get("finish_reason") == REFUSAL)


def _put_together(pieces: list[Any]) -> AIMessage:
    if len(pieces) == 1 or not any(isinstance(piece, BaseMessage) for piece in pieces):
        return _message(pieces[0] if len(pieces) == 1 else "".join(pieces))
    first, *others = map(_chunk, pieces)
    return _message(first + others)


def _text(piece: Any) -> str:
    return str((piece if isinstance(piece, AIMessageChunk) else _message(piece)).text)


def _chunk(piece: Any) -> AIMessageChunk:
    if isinstance(piece, AIMessageChunk):
        return piece
    if isinstance(piece, str):
        return AIMessageChunk(content=piece)
    return AIMessageChunk(**piece.model_dump(exclude={"type"}))


def _message(output: Any) -> AIMessage:
    if isinstance(output, str):
        return AIMessage(output)
    if isinstance(output, AIMessageChunk):
        output = message_chunk_to_message(output)
    if not isinstance(output, AIMessage):
        raise ChainOutputError(f"The chain gave a {type(output).__name__}, not an AI message or a string.")
    return output


def _result(message: AIMessage, told: bool = False) -> ChainResult:
    about = message.response_metadata
    if isinstance(message.content, str):
        message.content = whole(message.content)
    return ChainResult(
        message=message,
        text=whole(str(message.text)),
        usage=dict(message.usage_metadata) if message.usage_metadata else None,
        model=about.get("model_name") or about.get("model"),
        finish_reason=about.get("finish_reason") or about.get("stop_reason"),
        refusal=_refuses(message) and not told,
    )
