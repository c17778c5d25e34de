"""A graph as turns need it, looked at once."""

import logging
import sys
from inspect import getclosurevars, isfunction
from typing import Any

from langgraph._internal._serde import build_serde_allowlist
from langgraph.channels.delta import DeltaChannel
from langgraph.pregel import Pregel

from turnstile.memory.step_codec import StepCodec
from turnstile.turns.errors import SettingError

log = logging.getLogger(__name__)

MESSAGES = "messages"
STRUCTURED = "structured_response"


class Plan:
    """A compiled graph whose state has `messages`, and what its steps are stored by."""

    def __init__(self, name: str, graph: Pregel[Any, Any, Any, Any]) -> None:
        """Raises SettingError when the state has no `messages`."""
        if MESSAGES not in graph.channels:
            raise SettingError(f"{name}: this graph's state has no `messages`, which hold the question and the answer.")
        if graph.checkpointer:
            log.warning("%s has a checkpointer of its own, which is not used: Turnstile keeps the steps of each turn", name)
        self.graph = graph
        parts: list[Any] = [graph, *(part for _, part in graph.get_subgraphs(recurse=True))]
        self.codec = StepCodec(type_ for part in parts for type_ in _types(part))
        self.nodes = tuple(graph.nodes)
        self.outputs = [MESSAGES, *([STRUCTURED] if STRUCTURED in graph.channels else [])]
        self.keeps_all = any(isinstance(channel, DeltaChannel) for part in parts for channel in part.channels.values())


def _types(graph: Any) -> set[tuple[str, ...]]:
    """Return the types that the schemas of a graph name."""
    builder = getattr(graph, "builder", None)
    schemas = [getattr(builder, name, None) for name in ("state_schema", "input_schema", "output_schema")]
    schemas += [node.input_schema for node in getattr(builder, "nodes", {}).values()]
    schemas += _response_schemas(graph)
    return build_serde_allowlist(schemas=[schema for schema in schemas if schema is not None], channels=graph.channels)


def _response_schemas(graph: Any) -> list[Any]:
    """Return the schemas of an agent's structured answers, which `create_agent` leaves out of the state's."""
    formats = sys.modules.get("langchain.agents.structured_output")
    if not formats:
        return []
    strategies = (formats.AutoStrategy, formats.ToolStrategy, formats.ProviderStrategy)
    values = [value for node in graph.nodes.values() for value in getclosurevars(_function(node)).nonlocals.values()]
    chosen = [value for value in values if isinstance(value, strategies)]
    return [spec.schema for strategy in chosen for spec in formats.ToolStrategy(strategy.schema).schema_specs]


def _function(node: Any) -> Any:
    bound = getattr(node, "bound", None)
    found = getattr(bound, "afunc", None) or getattr(bound, "func", None)
    return found if isfunction(found) else _function
