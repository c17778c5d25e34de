"""Loading of the chain that the settings name: the default one, or the user's own Runnable."""

import importlib
import inspect
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langchain_core.runnables import Runnable
from langchain_openai import ChatOpenAI

from turnstile.turns.errors import SettingError
from turnstile.turns.settings import Settings
from turnstile.workers.chains.default import default_chain
from turnstile.workers.chains.openai.model import build_model, check_name, close_model
from turnstile.workers.chains.origin import project_place, type_name
from turnstile.workers.chains.run import Chain

log = logging.getLogger(__name__)

_OTHER_HISTORY = "langchain_community.chat_message_histories.redis"
"""Loaded when a name of it is used, and not before."""


def load_chain(settings: Settings, base_url: str | None = None) -> Chain:
    """Return the chain that the settings name: the user's `TURNSTILE_CHAIN`, else the default chain at `base_url`.

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
    module = _attempt(setting, f"{module_name} cannot be imported", lambda: importlib.import_module(module_name))
    if _OTHER_HISTORY in sys.modules:
        log.warning(
            "TURNSTILE_CHAIN: %s imports RedisChatMessageHistory from langchain_community, which stores each message beside "
            "the worker, so a second time: import it from turnstile",
            module_name,
        )
    if not hasattr(module, name):
        raise SettingError(f"TURNSTILE_CHAIN: {module_name} has no {name}.")
    value = getattr(module, name)
    if not isinstance(value, Runnable) and _takes_nothing(value):
        value = _attempt(setting, f"{setting} cannot be called", value)
    if not isinstance(value, Runnable):
        raise SettingError(
            f"TURNSTILE_CHAIN: {setting} is neither a Runnable nor a function without parameters that returns one."
        )
    return value


def _attempt(setting: str, problem: str, action: Callable[[], Any]) -> Any:
    try:
        return action()
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type_name(error)}: {error}".split())[:300]
        where = project_place(error, setting)
        raise SettingError(f"TURNSTILE_CHAIN: {problem}: {reason}" + (f" ({where})" if where else "")) from error


def _takes_nothing(value: object) -> bool:
    if not callable(value):
        return False
    try:
        inspect.signature(value).bind()
    except (TypeError, ValueError):
        return False
    return True
