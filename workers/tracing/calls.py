"""Spans of what a chain does in an attempt: steps of graphs, calls of models and of tools; names and counts, no content.

LangChain's callbacks tell of them, on the loop and in threads, each with the run that it is part of.
"""

from collections.abc import Mapping
from time import monotonic
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import LLMResult
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context

from turnstile.workers.chains.graphs.events import HOOKS

_STEP = "graph:step:"
_NO_FAULTS = {"CancelledError", "GraphBubbleUp"}
"""Errors that end a step, and are no failure of it: its turn was stopped, or waits for an answer."""


class CallSpans(BaseCallbackHandler):
    """A listener that makes spans of the calls of one attempt."""

    run_inline = True

    def __init__(self, tracer: Tracer, attempt: Span) -> None:
        self._tracer = tracer
        self._attempt = set_span_in_context(attempt)
        self._places: dict[UUID, Context] = {}
        self._spans: dict[UUID, Span] = {}
        self._begun: dict[UUID, float] = {}

    def end(self) -> None:
        """End the spans of calls that end with the attempt."""
        for id in list(self._spans):
            self._end(id)

    def on_chain_start(
        self,
        *_: Any,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **__: Any,
    ) -> None:
        """Begin a step of a graph; any other runnable is a place for what it calls."""
        node = str((metadata or {}).get("langgraph_node", ""))
        if any(tag.startswith(_STEP) for tag in tags or ()) and not node.endswith(HOOKS):
            self._begin(run_id, parent_run_id, f"step {node}", {"turnstile.step": node})
        else:
            self._places[run_id] = self._place(parent_run_id)

    def on_chain_end(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """End a step."""
        self._end(run_id)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """End a step that failed."""
        self._fail(run_id, error)

    def on_chat_model_start(self, *_: Any, run_id: UUID, **about: Any) -> None:
        """Begin a call of a model."""
        self._begin_model(run_id, "chat", **about)

    def on_llm_start(self, *_: Any, run_id: UUID, **about: Any) -> None:
        """Begin a call of a model that completes texts."""
        self._begin_model(run_id, "text_completion", **about)

    def on_llm_new_token(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """Note when the first piece of an answer came."""
        if (begun := self._begun.pop(run_id, None)) and (span := self._spans.get(run_id)):
            span.set_attribute("gen_ai.response.time_to_first_chunk", monotonic() - begun)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """End a call of a model, with its counts."""
        self._end(run_id, _answered(response))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """End a call of a model that failed."""
        self._fail(run_id, error)

    def on_tool_start(self, serialized: Any, *_: Any, run_id: UUID, parent_run_id: UUID | None = None, **about: Any) -> None:
        """Begin a call of a tool."""
        name = str(about.get("name") or (serialized or {}).get("name") or "tool")
        known = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name, "gen_ai.tool.type": "function"}
        if call := about.get("tool_call_id"):
            known["gen_ai.tool.call.id"] = str(call)
        self._begin(run_id, parent_run_id, f"execute_tool {name}", known)

    def on_tool_end(self, output: Any, *, run_id: UUID, **_: Any) -> None:
        """End a call of a tool; an error that its graph handles is in the output's status."""
        if getattr(output, "status", "") == "error" and (span := self._spans.get(run_id)):
            span.set_status(StatusCode.ERROR)
        self._end(run_id)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """End a call of a tool that failed."""
        self._fail(run_id, error)

    def _begin_model(
        self,
        id: UUID,
        operation: str,
        *,
        parent_run_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
        invocation_params: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        asked, known = invocation_params or {}, metadata or {}
        model = asked.get("model") or asked.get("model_name") or known.get("ls_model_name") or ""
        about = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": known.get("ls_provider"),
            "gen_ai.request.model": model,
            "gen_ai.request.temperature": asked.get("temperature", known.get("ls_temperature")),
            "gen_ai.request.top_p": asked.get("top_p"),
            "gen_ai.request.max_tokens": asked.get("max_completion_tokens") or known.get("ls_max_tokens"),
        }
        plain = {name: value for name, value in about.items() if isinstance(value, str | int | float) and value != ""}
        self._begun[id] = monotonic()
        self._begin(id, parent_run_id, f"{operation} {model}".rstrip(), plain, SpanKind.CLIENT)

    def _begin(
        self, id: UUID, parent: UUID | None, name: str, about: Mapping[str, Any], kind: SpanKind = SpanKind.INTERNAL
    ) -> None:
        span = self._spans[id] = self._tracer.start_span(name, self._place(parent), kind, about)
        self._places[id] = set_span_in_context(span)

    def _place(self, parent: UUID | None) -> Context:
        return self._places.get(parent, self._attempt) if parent else self._attempt

    def _fail(self, id: UUID, error: BaseException) -> None:
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if (span := self._spans.get(id)) and not kinds & _NO_FAULTS:
            span.set_status(StatusCode.ERROR)
            span.set_attribute("error.type", type(error).__qualname__)
        self._end(id)

    def _end(self, id: UUID, about: Mapping[str, Any] | None = None) -> None:
        self._places.pop(id, None)
        self._begun.pop(id, None)
        if span := self._spans.pop(id, None):
            span.set_attributes(about or {})
            span.end()


def _answered(response: LLMResult) -> dict[str, Any]:
    """Return what is known of an answer, but for its words."""
    message = next((getattr(one, "message", None) for group in response.generations for one in group), None)
    told, usage = getattr(message, "response_metadata", {}), getattr(message, "usage_metadata", None) or {}
    reason, model = told.get("finish_reason"), told.get("model_name") or told.get("model")
    about = {
        "gen_ai.response.model": str(model) if model else None,
        "gen_ai.response.finish_reasons": [str(reason)] if reason else None,
        "gen_ai.response.id": told.get("id"),
        "gen_ai.usage.input_tokens": usage.get("input_tokens"),
        "gen_ai.usage.output_tokens": usage.get("output_tokens"),
    }
    return {name: value for name, value in about.items() if value is not None}
