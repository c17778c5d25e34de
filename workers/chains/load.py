"""Loading of the chains that the settings name: the default one, and the user's own Runnables and graphs."""

import inspect
import logging
import sys
from typing import Any

from langchain_core.runnables import Runnable
from langchain_openai import ChatOpenAI

from turnstile.turns.errors import SettingError
from turnstile.turns.extras import need
from turnstile.turns.settings import Settings
from turnstile.workers.chains.default import default_chain
from turnstile.workers.chains.named import Named
from turnstile.workers.chains.openai.model import build_model, check_names, close_model
from turnstile.workers.chains.run import AnyChain, Chain

log = logging.getLogger(__name__)

_OTHER_HISTORY = "langchain_community.chat_message_histories.redis"
"""Loaded when a name of it is used, and not before."""


async def load_chains(settings: Settings, base_url: str | None = None) -> dict[str, AnyChain]:
    """Return every chain by its name; the one of turns that choose none has no name.

    Raises:
        SettingError: a user's chain or tool cannot be imported, or is none.
    """
    own = {} if settings.chain else {"": await _default_chain(settings, base_url)}
    named = {**({"": settings.chain} if settings.chain else {}), **settings.named_chains}
    return own | {name: await _User(name, setting).chain() for name, setting in named.items()}


async def _default_chain(settings: Settings, base_url: str | None) -> AnyChain:
    if not settings.tools:
        return load_chain(settings, base_url)
    need("agents")
    # Workers without tools never load LangGraph.
    from turnstile.workers.chains.graphs.graph import GraphChain
    from turnstile.workers.chains.tool_agent import tool_agent
    from turnstile.workers.chains.tools import load_tools

    tools = await load_tools(settings.tools)
    model = build_model(settings, base_url)
    return GraphChain("TURNSTILE_TOOLS", tool_agent(model, tools, settings.system_prompt), [model])


def load_chain(settings: Settings, base_url: str | None = None) -> Chain:
    """Return the Runnable that the settings name: the user's `TURNSTILE_CHAIN`, else the default chain at `base_url`.

    Raises:
        SettingError: the user's chain cannot be imported, or is no Runnable.
    """
    if settings.chain:
        user = _User("", settings.chain)
        return user.runnable(user.value())
    return default_chain(settings.system_prompt, build_model(settings, base_url))


async def check_chain(chain: object, settings: Settings) -> None:
    """Ask the servers of the default chain's models whether they have them. Raises SettingError."""
    for model in _own_models(chain):
        await check_names(model, settings)


async def close_chain(chain: object) -> None:
    """Close the connections of the default chain; a user's chain looks after its own."""
    for model in _own_models(chain):
        await close_model(model)


def _own_models(chain: object) -> list[ChatOpenAI]:
    return [step for step in getattr(chain, "steps", ()) if isinstance(step, ChatOpenAI) and step.root_async_client]


class _User:
    """A user's chain in a module of theirs: the chain itself, or a function that makes it, sync or async."""

    def __init__(self, name: str, setting: str) -> None:
        self._named = Named(f"TURNSTILE_CHAINS: {name}" if name else "TURNSTILE_CHAIN", setting)

    async def chain(self) -> AnyChain:
        """Return a graph with what turns need of it, and any other Runnable as it is."""
        value = self.value()
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

    def value(self) -> Any:
        """Return the chain, or an awaitable of it."""
        value = self._named.value(lambda found: isinstance(found, Runnable))
        if _OTHER_HISTORY in sys.modules:
            log.warning(
                "%s: %s imports RedisChatMessageHistory from langchain_community, which stores each message beside "
                "the worker, so a second time: import it from turnstile",
                self._named.variable,
                self._named.module,
            )
        return value
