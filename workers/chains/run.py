"""One call of a chain: events as they happen, and an output at the end.

A chain takes `{"question": str | list of content parts, "history": list of messages}`, `instructions` if the turn brings
its own, and `name` if it tells who asks; `config["configurable"]["session_id"]` holds the session id. It returns a message
or a string.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSequence
from langchain_openai.chat_models.base import BaseChatOpenAI

from turnstile.memory.element import REFUSAL, reasoning_text
from turnstile.memory.step_errors import StepError
from turnstile.turns.output import Output, is_refusal, text_of
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.text import dumps, whole
from turnstile.turns.turn import Claim, Joined
from turnstile.workers.chains.default import DefaultChain
from turnstile.workers.chains.items import CUT_OFF, drop_calls, finish_reason, items_of, name_calls, whole_message
from turnstile.workers.chains.openai.model import call_options

Chain = Runnable[Any, Any]
Question = str | list[str | dict[str, Any]]


class ChainOutputError(TypeError):
    """A chain gave something other than a message or a string. The message names the type only."""


class ToolRaised(Exception):
    """A tool raised an error that its graph does not handle: the cause. The message names the cause's type only."""


class OptionRefused(ValueError):
    """A turn has an option that the chain cannot follow. The message names it, and can be shown."""


@dataclass(slots=True)
class TextDelta:
    """A piece of the answer's text, never empty."""

    text: str


@dataclass(slots=True)
class RefusalDelta:
    """A piece of the text that says why there is no answer, never empty."""

    text: str


@dataclass(slots=True)
class ReasoningDelta:
    """A piece of what the model thinks before it answers, never empty."""

    text: str


@dataclass(slots=True)
class StartsOver:
    """The end of text that does not count, because its model's call has failed and is made again. What counts follows."""


@dataclass(slots=True)
class StepDelta:
    """A step of a graph that begins, or ends."""

    name: str
    done: bool

    def encode(self) -> str:
        """Return the data of its event. Nothing of what the step was given or found is in it."""
        return dumps({"name": self.name, "status": "done" if self.done else "started"})


@dataclass(slots=True)
class ModelSwitch:
    """The model that answers in the place of the one that was asked, and why: one of `Fallback`'s reasons."""

    model: str
    reason: str

    def encode(self) -> str:
        """Return the data of its event."""
        return dumps({"model": self.model, "reason": self.reason})


class Drained(Exception):
    """A graph has stopped between two steps, because its process ends; it goes on elsewhere."""


class TurnLost(Exception):
    """The turn is in other hands."""


_CONFIGURABLE = (
    *("model", "temperature", "top_p", "max_output_tokens", "instructions", "response_format"),
    *("tools", "tool_choice", "parallel_tool_calls", "parameters"),
)

ChainEvent = TextDelta | RefusalDelta | ReasoningDelta
GraphEvent = ChainEvent | StartsOver | StepDelta | ModelSwitch
Listener = Callable[[ChainEvent], object]


@dataclass(slots=True)
class ChainOutput:
    """The end of a call: what the chain answered. `usage` is langchain's `usage_metadata`: counts of tokens."""

    message: AIMessage
    output: Output
    usage: dict[str, Any] | None
    model: str | None
    finish_reason: str | None
    transcript: Sequence[BaseMessage] | None = None
    """The messages that a graph adds to the history, perhaps none; None for the question and the message."""

    @property
    def text(self) -> str:
        """The text of the output."""
        return text_of(self.output)

    @property
    def refusal(self) -> bool:
        """True when the text is a refusal that was not streamed as the text of an answer."""
        return is_refusal(self.output)


async def _nothing() -> Sequence[Joined]:
    return ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A turn as it is put to a chain that takes the whole of it."""

    claim: Claim
    store: AsyncTurnStore
    before: Sequence[BaseMessage]
    """Return the messages before the question: the window, and those that the turn brings along."""
    options: Mapping[str, Any]
    on_event: Callable[[GraphEvent], object] | None
    steering: Sequence[Joined] = ()
    """The questions that have become part of the turn while it was under way."""
    take: Callable[[], Awaitable[Sequence[Joined]]] = _nothing
    """Makes those that wait part of the turn, and returns them with the earlier ones. Raises TurnLost."""


class TurnRun(Protocol):
    """Such a chain at work on one attempt."""

    async def run(self) -> ChainOutput:
        """Return what it answered. Raises Drained, TurnLost, and whatever the chain raises."""

    def drain(self) -> None:
        """Stop at the next place from which the turn can go on elsewhere."""

    def steer(self) -> None:
        """Take the questions that wait to become part of the turn, at the next place where the chain can."""

    def halt(self, error: StepError) -> None:
        """Stop at once, where an error alone might be caught; `run` raises this one."""

    @property
    def untouched(self) -> bool:
        """True when nothing has been done for the turn that must not be done again."""

    def so_far(self) -> ChainOutput | None:
        """Return what a run that was cancelled has done and begun to say; None where the turn's text tells all."""

    async def forget(self) -> None:
        """Forget what an untouched run has kept, so that another begins anew. Raises TurnLost."""


class TurnChain(Protocol):
    """A chain that takes a whole turn, not a question alone: a graph, whose steps are kept."""

    def begin(self, asked: Asked) -> TurnRun:
        """Return a run for one attempt."""


AnyChain = Chain | TurnChain


async def run_chain(
    chain: Chain,
    question: Question,
    history: Sequence[BaseMessage],
    session_id: str,
    options: Mapping[str, Any] | None = None,
    on_event: Listener | None = None,
) -> ChainOutput:
    """Ask the chain once and return its output. With `on_event` the answer is streamed, and each event is passed on at once.

    Cancelling the task that awaits this drops the connection to the model.

    Raises:
        ChainOutputError: the chain gave no message and no string.
        OptionRefused: the turn brings tools, and the chain takes none.
        Exception: whatever the chain raises; `turnstile.workers.attempt.failures.classify` knows the model's errors.
    """
    options = options or {}
    inputs: dict[str, Any] = {"question": question, "history": list(history)}
    inputs |= {name: options[name] for name in ("instructions", "name") if options.get(name)}
    if options.get("instructions") == "" and isinstance(chain, DefaultChain):
        # Any other chain has a prompt of its own, into which nothing would go.
        inputs["instructions"] = ""
    arguments = call_options(options)
    config: RunnableConfig = {"configurable": {**configurable(options), "session_id": session_id}}
    bound = _bound(chain, arguments) if arguments else chain
    # No generator: Python leaves one running for ever whose chain raises GeneratorExit.
    if on_event is None:
        message = _message(await bound.ainvoke(inputs, config))
        return _output(message, _refuses(message))
    return await _streamed(bound, inputs, config, on_event)


def configurable(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a chain finds of a turn's options in `config["configurable"]`."""
    return {name: options[name] for name in _CONFIGURABLE if options.get(name) is not None}


def _bound(chain: Chain, arguments: Mapping[str, Any]) -> Chain:
    """Return the chain with call arguments bound to the OpenAI model at its end; any other chain as it is."""
    steps = list(getattr(chain, "steps", ())) or [chain]
    if not isinstance(getattr(steps[-1], "bound", steps[-1]), BaseChatOpenAI):
        if "tools" in arguments:
            raise OptionRefused(
                "`tools`: this chain takes no tools of a client; only a chain that ends in an OpenAI model does."
            )
        return chain
    model = steps[-1].bind(**arguments)
    return RunnableSequence(*steps[:-1], model) if steps[:-1] else model


def _refuses(piece: Any) -> bool:
    return bool(getattr(piece, "response_metadata", {}).get("finish_reason") == REFUSAL)


async def _streamed(chain: Chain, inputs: Mapping[str, Any], config: RunnableConfig, on_event: Listener) -> ChainOutput:
    pieces: list[Any] = []
    delta: type[ChainEvent] | None = None
    async for piece in chain.astream(inputs, config):
        pieces.append(piece)
        if isinstance(piece, BaseMessage) and (thought := reasoning_text(piece.content, piece.additional_kwargs)):
            on_event(ReasoningDelta(thought))
        text = piece if isinstance(piece, str) else _text(piece)
        if text:
            delta = delta or (RefusalDelta if _refuses(piece) else TextDelta)
            on_event(delta(text))
    message = _put_together(pieces)
    return _output(message, _refuses(message) if delta is None else delta is RefusalDelta)


def _put_together(pieces: list[Any]) -> AIMessage:
    if not pieces:
        raise ChainOutputError("The chain gave nothing.")
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
        return whole_message(output)
    if not isinstance(output, AIMessage):
        raise ChainOutputError(f"The chain gave a {type(output).__name__}, not an AI message or a string.")
    return output


def _output(message: AIMessage, refusal: bool) -> ChainOutput:
    about = message.response_metadata
    reason = finish_reason(message)
    if isinstance(message.content, str):
        message.content = whole(message.content)
    (drop_calls if reason in CUT_OFF else name_calls)(message)
    return ChainOutput(
        message=message,
        output=items_of(message, refusal),
        usage=dict(message.usage_metadata) if message.usage_metadata else None,
        model=model if isinstance(model := about.get("model_name") or about.get("model"), str) else None,
        finish_reason=reason,
    )
