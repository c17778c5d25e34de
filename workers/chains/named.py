"""A value in a module of the user's, which a setting names as `package.module:name`."""

import importlib
import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from turnstile.turns.errors import SettingError
from turnstile.workers.chains.origin import project_place, type_name


class Named:
    """A value that a setting names: the value itself, or a function that makes it, sync or async."""

    def __init__(self, variable: str, setting: str) -> None:
        self.variable = variable
        self.setting = setting
        self.module = setting.partition(":")[0]

    def value(self, is_whole: Callable[[object], bool], **given: object) -> Any:
        """Return the value, or an awaitable of it; what `is_whole` is not called. Raises SettingError.

        `given`: arguments; then it must be a function that takes them.
        """
        folder = str(Path.cwd())
        if folder not in sys.path:
            sys.path.insert(0, folder)
        module = self._attempt(f"{self.module} cannot be imported", lambda: importlib.import_module(self.module))
        name = self.setting.partition(":")[2]
        if not hasattr(module, name):
            raise SettingError(f"{self.variable}: {self.module} has no {name}.")
        value = getattr(module, name)
        if given and not _takes(value, given):
            raise SettingError(f"{self.variable}: {self.setting} is no function that takes {', '.join(given)} alone.")
        if not given and (is_whole(value) or not _takes(value, given)):
            return value
        made = self._attempt(f"{self.setting} cannot be called", lambda: value(**given))
        return self._awaited(made) if inspect.isawaitable(made) else made

    async def _awaited(self, making: Awaitable[object]) -> object:
        try:
            return await making
        except (Exception, SystemExit) as error:
            raise self._problem(f"{self.setting} cannot be called", error) from error

    def _attempt(self, problem: str, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except (Exception, SystemExit) as error:
            raise self._problem(problem, error) from error

    def _problem(self, problem: str, error: BaseException) -> SettingError:
        reason = " ".join(f"{type_name(error)}: {error}".split())[:300]
        where = project_place(error, self.setting)
        return SettingError(f"{self.variable}: {problem}: {reason}" + (f" ({where})" if where else ""))


def _takes(value: object, given: Mapping[str, object]) -> bool:
    if not callable(value):
        return False
    try:
        inspect.signature(value).bind(**given)
    except (TypeError, ValueError):
        return False
    return True
