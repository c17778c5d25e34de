"""The options that clients take as keyword arguments."""

from typing import Any, TypedDict


class AskOptions(TypedDict, total=False):
    """The options of `ask` and `answer`, described at `turnstile.turns.question.Options`."""

    stream: bool
    queue: str
    name: str | None
    chain: str | None
    model: str | None
    instructions: str | None
    temperature: float | None
    top_p: float | None
    max_output_tokens: int | None
    response_format: dict[str, Any] | None
    tools: list[dict[str, Any]] | None
    tool_choice: str | dict[str, Any] | None
    parallel_tool_calls: bool | None
    parameters: dict[str, Any]
    truncation: str | None
    deadline_seconds: float | None
    store: bool
    history: list[dict[str, Any]] | None
    before: list[dict[str, Any]]
    metadata: dict[str, str]
    webhook: dict[str, str]
    request: dict[str, Any]
    traceparent: str | None
    tracestate: str | None
