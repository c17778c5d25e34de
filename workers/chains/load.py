"""Loading of the chains that the settings name: the default one, and the user's own Runnables and graphs."""

import inspect
import logging
import sys
from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_openai import ChatOpenAI

from turnstile.turns.errors import SettingError
from turnstile.turns.extras import need
from turnstile.turns.named_chains import NamedChain
from turnstile.turns.settings import Settings
from turnstile.workers.chains.default import default_chain
from turnstile.workers.chains.named import Named
from turnstile.workers.chains.openai.model import LoopChatOpenAI, build_model, close_model
from turnstile.workers.chains.run import AnyChain, Chain

log = logging.getLogger(__name__)

_OTHER_HISTORY = "langchain_community.chat_message_histories.redis"
"""Loaded when a name of it is used, and not before."""


async def load_chains(settings: Settings, base_url: str | None = None) -> tuple[dict[str, AnyChain], list[LoopChatOpenAI]]:
    """Return every chain by its name, and the models made for them; the chain of turns that choose none has no name.

    Raises:
        SettingError: a user's chain or tool cannot be imported, or is none, or there is no plain chain that sums up.
    """
    loader = _Loader(settings, base_url)
    chains = {name: await loader.chain(name, chain) for name, chain in _all_chains(settings).items()}
    if settings.summary and not isinstance(chains.get(settings.summary_chain), Runnable):
        raise SettingError(
            f"TURNSTILE_SUMMARY: {settings.summary} is no plain chain: write the name of one in TURNSTILE_CHAINS that is no "
            "graph and has no tools, or default where that has none."
        )
    return chains, loader.models


def _all_chains(settings: Settings) -> Mapping[str, NamedChain]:
    default = NamedChain(settings.chain) if settings.chain else NamedChain(models=settings.model)
    return {"": default, **settings.named_chains}


def load_chain(settings: Settings, base_url: str | None = None) -> Chain:
    """Return the Runnable that the settings name: the user's `TURNSTILE_CHAIN`, else the default chain at `base_url`.

    Raises:
        SettingError: the user's chain cannot be imported, or is no Runnable.
    """
    if settings.chain:
        user = _User("", settings.chain)
        return user.runnable(user.value())
    return default_chain(settings.system_prompt, build_model(settings, base_url))


async def close_chain(chain: object) -> None:
    """Close the connections of the default chain; a user's chain looks after its own."""
    for step in getattr(chain, "steps", ()):
        if isinstance(step, ChatOpenAI) and step.root_async_client:
            await close_model(step)


class _Loader:
    """The making of all chains, whose models are told."""

    def __init__(self, settings: Settings, base_url: str | None) -> None:
        self.models: list[LoopChatOpenAI] = []
        self._settings, self._base_url = settings, base_url
        self._tools: list[BaseTool] = []

    async def chain(self, name: str, chain: NamedChain) -> AnyChain:
        """Return a chain. Raises SettingError."""
        model = self._model(chain.models) if chain.models else None
        if chain.code or not model:
            return await _User(name, chain.code).chain(model)
        return await self._default(model)

    def _model(self, models: str) -> LoopChatOpenAI:
        self.models.append(build_model(self._settings.model_copy(update={"model": models}), self._base_url))
        return self.models[-1]

    async def _default(self, model: LoopChatOpenAI) -> AnyChain:
        if not self._settings.tools:
            return default_chain(self._settings.system_prompt, model)
        need("agents")
        # Workers without tools never load LangGraph.
        from turnstile.workers.chains.graphs.graph import GraphChain
        from turnstile.workers.chains.tool_agent import tool_agent
        from turnstile.workers.chains.tools import load_tools

        self._tools = self._tools or await load_tools(self._settings.tools)
        return GraphChain("TURNSTILE_TOOLS", tool_agent(model, self._tools, self._settings.system_prompt), [model])


class _User:
    """A user's chain in a module of theirs: the chain itself, or a function that makes it, sync or async."""

    def __init__(self, name: str, setting: str) -> None:
        self._named = Named(f"TURNSTILE_CHAINS: {name}" if name else "TURNSTILE_CHAIN", setting)

    async def chain(self, model: LoopChatOpenAI | None = None) -> AnyChain:
        """Return a graph with what turns need of it, and any other Runnable as it is; one that asks a `model` is given it."""
        value = self.value(**({"model": model} if model else {}))
        value = await value if inspect.isawaitable(value) else value
        pregel = sys.modules.get("langgraph.pregel")
        # A graph's author has imported LangGraph; nobody else pays for it.
        if pregel and isinstance(value, pregel.Pregel):
            need("agents")
            from turnstile.workers.chains.graphs.graph import GraphChain

            return GraphChain(self._named.variable, value)
        return self.runnable(value)

    def runnable(self, value: object) -> Chain:
        """Return a value that is a Runnable, or raise SettingError."""
        if isinstance(value, Runnable):
            return value
        if inspect.iscoroutine(value):
            value.close()
        raise SettingError(
            f"{self._named.variable}: {self._named.setting} is neither a Runnable nor a function without parameters that "
            "returns one."
        )

    def value(self, **given: object) -> Any:
        """Return the chain, or an awaitable of it; a function that takes what is `given` makes it."""
        value = self._named.value(lambda found: isinstance(found, Runnable), **given)
        if _OTHER_HISTORY in sys.modules:
            log.warning(
                "%s: %s imports RedisChatMessageHistory from langchain_community, which stores each message beside "
                "the worker, so a second time: import it from turnstile",
                self._named.variable,
                self._named.module,
            )
        return value
