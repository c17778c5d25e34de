"""A graph as a chain."""

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langgraph.pregel import Pregel

from turnstile.workers.chains.graphs.idempotency import give_keys
from turnstile.workers.chains.graphs.plan import Plan
from turnstile.workers.chains.graphs.run import GraphRun
from turnstile.workers.chains.run import Asked, OptionRefused


class GraphChain:
    """A compiled graph that takes turns."""

    def __init__(self, name: str, graph: Pregel[Any, Any, Any, Any], models: Sequence[BaseChatModel] = ()) -> None:
        """Raises SettingError when the state has no `messages`. `models`: the default chain's, which takes a client's tools."""
        self._plan = Plan(name, graph)
        self.steps = models
        give_keys()

    def begin(self, asked: Asked) -> GraphRun:
        """Return a run for one attempt. Raises OptionRefused for tools, since a graph has its own."""
        if asked.options.get("tools") and not self.steps:
            raise OptionRefused("`tools`: this graph has tools of its own, and takes none of a client.")
        return GraphRun(self._plan, asked)
