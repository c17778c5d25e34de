"""Chains that turns choose by name, as TURNSTILE_CHAINS has them."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

CODE_FORM = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"
"""A value in a module: `package.module:name`."""
MODELS_FORM = r"[^\s,]{1,200}(,[^\s,]{1,200}){0,9}"


class NamedChain(NamedTuple):
    """A chain by its name: the user's code, or the default chain; with models of its own, or without."""

    code: str = ""
    models: str = ""
    """The model that is asked, then those that answer in its place, comma-separated."""


@cache
def read_chains(text: str) -> Mapping[str, NamedChain]:
    """Read TURNSTILE_CHAINS. Raises ValueError for another form."""
    found = json.loads(text) if text else {}
    if not isinstance(found, dict) or not all(map(_is_chain, found.items())):
        raise ValueError(
            'write JSON: {"name": "package.module:name"}, {"name": {"model": "gpt-4o,gpt-4o-mini"}}, or '
            '{"name": {"chain": "package.module:name", "model": "gpt-4o,gpt-4o-mini"}}'
        )
    return {name: _chain(told) for name, told in found.items()}


def each_once(models: str) -> str:
    """Return a list of models. Raises ValueError if one is in it twice."""
    names = models.split(",")
    if len(set(names)) < len(names):
        raise ValueError("write each model once")
    return models


def _is_chain(item: tuple[str, object]) -> bool:
    name, told = item
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name):
        return False
    if isinstance(told, str):
        return re.fullmatch(CODE_FORM, told) is not None
    if not isinstance(told, dict) or not {"model"} <= told.keys() <= {"chain", "model"}:
        return False
    models, code = told["model"], told.get("chain", "m:c")
    return all(isinstance(text, str) for text in (models, code)) and bool(
        re.fullmatch(MODELS_FORM, models) and each_once(models) and re.fullmatch(CODE_FORM, code)
    )


def _chain(told: str | Mapping[str, str]) -> NamedChain:
    return NamedChain(told) if isinstance(told, str) else NamedChain(told.get("chain", ""), told["model"])
