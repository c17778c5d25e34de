"""The check of what is installed here."""

from turnstile.producers.cli.doctor.check import Check, Verdict
from turnstile.turns.extras import MODULES, missing
from turnstile.turns.settings import Settings
from turnstile.turns.tracing.switch import is_wanted


def check_extras(settings: Settings) -> Check:
    """Name the extras that are installed, and those that a worker or gateway of these settings would lack."""
    installed = [extra for extra in MODULES if not missing(extra)]
    lacking = {extra: setting for extra, setting in _wanted(settings, installed).items() if extra not in installed}
    if lacking:
        needed = "; ".join(f"{setting} needs {extra}" for extra, setting in lacking.items())
        detail = f"{needed}: not installed here"
        return Check("extras", Verdict.WARN, detail, f"pip install 'turnstile[{','.join(lacking)}]'")
    return Check("extras", Verdict.OK, ", ".join(installed))


def _wanted(settings: Settings, installed: list[str]) -> dict[str, str]:
    """Return the extras that the roles which are installed would use, and the settings that ask for them."""
    wanted = {}
    if "worker" in installed and settings.tools:
        wanted["agents"] = "TURNSTILE_TOOLS"
        if any(tool.strip().startswith(("http://", "https://")) for tool in settings.tools.split(",")):
            wanted["mcp"] = "TURNSTILE_TOOLS"
    if {"worker", "gateway"} & {*installed} and is_wanted(settings):
        wanted["tracing"] = "OTEL_…"
    return wanted
