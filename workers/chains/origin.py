"""The origin of an error that a chain raises: its type, and its place in the project of the chain."""

import sysconfig
import traceback
from pathlib import Path
from types import FrameType

_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def type_name(error: BaseException) -> str:
    """Return the name of an error's type with its module; `builtins` is left out."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def place(error: BaseException, chain: str = "") -> str:
    """Return the module and line where an error comes from: the innermost of the chain's project, else the innermost of all."""
    steps = list(traceback.walk_tb(error.__traceback__))
    return project_place(error, chain) or (_told(steps[-1]) if steps else "an unknown place")


def project_place(error: BaseException, chain: str) -> str:
    """Return the innermost module and line of the chain's project; empty if the error never passed there."""
    package = chain.partition(":")[0].partition(".")[0]
    steps = reversed(list(traceback.walk_tb(error.__traceback__)))
    return next((_told(step) for step in steps if _is_of(step[0], package)), "")


def _told(step: tuple[FrameType, int]) -> str:
    frame, line = step
    return f"{_module(frame)}, line {line}"


def _is_of(frame: FrameType, package: str) -> bool:
    """Return True for a frame of the project: of the chain's package, or of no library and not of Turnstile."""
    first = _module(frame).partition(".")[0]
    if package and first == package:
        return True
    return first != "turnstile" and not frame.f_code.co_filename.startswith((*_LIBRARIES, "<"))


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__") or Path(frame.f_code.co_filename).stem)
