"""The check of what is installed here."""

from turnstile.producers.cli.doctor.check import Check, Verdict
from turnstile.turns.extras import MODULES, missing
from turnstile.turns.settings import Settings


def check_extras(settings: Settings) -> Check:
    """Name the extras that are installed, and those that a worker of these settings would lack."""
    installed = [extra for extra in MODULES if not missing(extra)]
    lacking = [extra for extra in _wanted(settings) if extra not in installed] if "worker" in installed else []
    if lacking:
        detail = f"TURNSTILE_TOOLS needs {' and '.join(lacking)}, which a worker started here would lack"
        return Check("extras", Verdict.WARN, detail, f"pip install 'turnstile[{','.join(lacking)}]'")
    return Check("extras", Verdict.OK, ", ".join(installed))


def _wanted(settings: Settings) -> list[str]:
    remote = any(tool.strip().startswith(("http://", "https://")) for tool in settings.tools.split(","))
    return [*(["agents"] if settings.tools else []), *(["mcp"] if remote else [])]
