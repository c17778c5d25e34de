"""Parameters of the model's server that a turn passes on as they are."""

from collections.abc import Collection, Mapping
from typing import Any

from turnstile.turns.errors import InvalidTurn

OPENAI = frozenset(
    (
        *("frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "seed", "stop"),
        *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "service_tier", "safety_identifier", "user"),
        *("prediction", "reasoning_effort", "verbosity", "web_search_options"),
    )
)
"""Those of OpenAI's chat completions."""

TAKEN = frozenset(
    (
        *("messages", "model", "stream", "stream_options", "n", "store", "metadata", "audio", "modalities"),
        *("temperature", "top_p", "max_tokens", "max_completion_tokens", "response_format"),
        *("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"),
        *("api_base", "api_key", "base_url", "extra_body", "extra_headers", "extra_query"),
    )
)
"""Names that are none: an option of the turn says it, the worker's own request does, or a client's library."""


def check_parameters(parameters: Mapping[Any, Any]) -> None:
    """Raise InvalidTurn, which names all that cannot be passed on."""
    if not all(isinstance(name, str) and name for name in parameters):
        raise InvalidTurn("`parameters` must be an object: name → value.", param="parameters")
    if taken := sorted(TAKEN & parameters.keys()):
        raise InvalidTurn(
            f"`parameters` cannot hold {listed(taken)}: use the turn's own options, or leave them out.", param="parameters"
        )


def listed(names: Collection[str]) -> str:
    """Return names as a message says them."""
    return ", ".join(f"`{name}`" for name in names)
