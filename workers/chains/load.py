"""Loading of the chains that the settings name: the default one, and the user's own Runnables and graphs."""

import importlib
import inspect
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from langchain_core.runnables import Runnable
from langchain_openai import ChatOpenAI

from turnstile.turns.errors import SettingError
from turnstile.turns.extras import need
from turnstile.turns.settings import Settings
from turnstile.workers.chains.default import default_chain
from turnstile.workers.chains.openai.model import build_model, check_name, close_model
from turnstile.workers.chains.origin import project_place, type_name
from turnstile.workers.chains.run import AnyChain, Chain

log = logging.getLogger(__name__)

_OTHER_HISTORY = "langchain_community.chat_message_histories.redis"
"""Loaded when a name of it is used, and not before."""


async def load_chains(settings: Settings, base_url: str | None = None) -> dict[str, AnyChain]:
    """Return every chain by its name; the one of turns that choose none has no name.

    Raises:
        SettingError: a user's chain cannot be imported, or is no chain.
    """
    own = {} if settings.chain else {"": load_chain(settings, base_url)}
    named = {**({"": settings.chain} if settings.chain else {}), **settings.named_chains}
    return own | {name: await _User(name, setting).chain() for name, setting in named.items()}


def load_chain(settings: Settings, base_url: str | None = None) -> Chain:
    """Return the Runnable that the settings name: the user's `TURNSTILE_CHAIN`, else the default chain at `base_url`.

    Raises:
        SettingError: the user's chain cannot be imported, or is no Runnable.
    """
    if settings.chain:
        user = _User("", settings.chain)
        return user.runnable(user.value())
    return default_chain(settings.system_prompt, build_model(settings, base_url))


async def check_chain(chain: object) -> None:
    """Ask the default chain's server whether it has the model. Raises SettingError."""
    for model in _own_models(chain):
        await check_name(model)


async def close_chain(chain: object) -> None:
    """Close the connections of the default chain; a user's chain looks after its own."""
    for model in _own_models(chain):
        await close_model(model)


def _own_models(chain: object) -> list[ChatOpenAI]:
    return [step for step in getattr(chain, "steps", ()) if isinstance(step, ChatOpenAI) and step.root_async_client]


class _User:
    """A user's chain in a module of theirs: the chain itself, or a function that makes it, sync or async."""

    def __init__(self, name: str, setting: str) -> None:
        self._variable = f"TURNSTILE_CHAINS: {name}" if name else "TURNSTILE_CHAIN"
        self._setting = setting

    async def chain(self) -> AnyChain:
        """Return a graph with what turns need of it, and any other Runnable as it is."""
        value = self.value()
        value = await value if inspect.isawaitable(value) else value
        pregel = sys.modules.get("langgraph.pregel")
        # A graph's author has imported LangGraph; nobody else pays for it.
        if pregel and isinstance(value, pregel.Pregel):
            need("agents")
            from turnstile.workers.chains.graphs.graph import GraphChain

            return GraphChain(self._variable, value)
        return self.runnable(value)

    def runnable(self, value: object) -> Chain:
        """Return a value that is a Runnable, or raise SettingError."""
        if isinstance(value, Runnable):
            return value
        if inspect.iscoroutine(value):
            value.close()
        raise SettingError(
            f"{self._variable}: {self._setting} is neither a Runnable nor a function without parameters that returns one."
        )

    def value(self) -> object:
        """Return the chain, or an awaitable of it."""
        module_name, _, name = self._setting.partition(":")
        folder = str(Path.cwd())
        if folder not in sys.path:
            sys.path.insert(0, folder)
        module = self._attempt(f"{module_name} cannot be imported", lambda: importlib.import_module(module_name))
        if _OTHER_HISTORY in sys.modules:
            log.warning(
                "%s: %s imports RedisChatMessageHistory from langchain_community, which stores each message beside "
                "the worker, so a second time: import it from turnstile",
                self._variable,
                module_name,
            )
        if not hasattr(module, name):
            raise SettingError(f"{self._variable}: {module_name} has no {name}.")
        value = getattr(module, name)
        if isinstance(value, Runnable) or not _takes_nothing(value):
            return value
        made = self._attempt(f"{self._setting} cannot be called", value)
        return self._awaited(made) if inspect.isawaitable(made) else made

    async def _awaited(self, making: Awaitable[object]) -> object:
        try:
            return await making
        except (Exception, SystemExit) as error:
            raise self._problem(f"{self._setting} cannot be called", error) from error

    def _attempt(self, problem: str, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except (Exception, SystemExit) as error:
            raise self._problem(problem, error) from error

    def _problem(self, problem: str, error: BaseException) -> SettingError:
        reason = " ".join(f"{type_name(error)}: {error}".split())[:300]
        where = project_place(error, self._setting)
        return SettingError(f"{self._variable}: {problem}: {reason}" + (f" ({where})" if where else ""))


def _takes_nothing(value: object) -> bool:
    if not callable(value):
        return False
    try:
        inspect.signature(value).bind()
    except (TypeError, ValueError):
        return False
    return True
