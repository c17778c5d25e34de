"""The run of one client's script: what it reports, within bounds of time and output."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.clients.clients import PROGRAMS, Client
from tests.clients.environments import NotInstalled, command, prepare
from tests.support.processes import environment, launch

STEPS = ("text", "stream", "tools", "continues")
_SECONDS = 600
_MOST_OUTPUT = 4 * 1024 * 1024
_SHOWN_OUTPUT = 2_000
_LOOK_SECONDS = 0.2
# Clients that report to their makers, or fetch lists from elsewhere, are told not to.
_QUIET = {
    "ANONYMIZED_TELEMETRY": "False",
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "MASTRA_TELEMETRY_DISABLED": "1",
    "NO_COLOR": "1",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "OTEL_SDK_DISABLED": "true",
}


@dataclass(frozen=True)
class Row:
    """The results of one client, or of one way to use it. A step's result is `yes`, `no`, or `-` where it has no such thing."""

    name: str
    version: str
    results: dict[str, str] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    @property
    def worked(self) -> bool:
        """True when no step failed."""
        return "no" not in self.results.values()


def rows_of(client: Client, base_url: str, key: str) -> tuple[list[Row], str]:
    """Run a client's script; return its rows, and the end of what it printed."""
    try:
        folder = prepare(client)
    except NotInstalled as error:
        return [_unfinished(client, client.name, "cannot be installed here")], str(error)
    with tempfile.TemporaryDirectory() as home:
        report = Path(home, "report.jsonl")
        env = {**_QUIET, "OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": key, "STEPS_REPORT": str(report)}
        env |= {
            "HOME": home,
            "PWD": home,
            "PYTHONPATH": str(PROGRAMS),
            "PATH": f"{folder}/bin:{folder}/node_modules/.bin:{os.environ['PATH']}",
        }
        end, output = _run(command(client, folder), env, Path(home))
        lines = report.read_text().splitlines() if report.exists() else []
    return _rows(client, [json.loads(line) for line in lines], end), output


def _rows(client: Client, reports: list[dict[str, str]], end: str) -> list[Row]:
    rows: dict[str, Row] = {}
    for report in reports:
        name = f"{client.name}, {report['way']}" if report["way"] else client.name
        row = rows.setdefault(name, Row(name, client.version))
        if row.results.get(report["step"]) != "no":
            row.results[report["step"]] = report["result"]
        if report["why"]:
            row.reasons.append(f"{report['step']}: {report['why']}")
    return [_completed(row, end) for row in rows.values()] or [_unfinished(client, client.name, end)]


def _completed(row: Row, end: str) -> Row:
    missing = [step for step in STEPS if step not in row.results]
    if missing:
        row.results.update(dict.fromkeys(missing, "no"))
        row.reasons.append(f"{', '.join(missing)}: {end}")
    return row


def _unfinished(client: Client, name: str, end: str) -> Row:
    return _completed(Row(name, client.version), end)


def _run(arguments: list[str], env: Mapping[str, str], home: Path) -> tuple[str, str]:
    """Run a command to its end; return in words how it ended, and the last of its output."""
    log = home / "output.log"
    with log.open("wb") as output:
        process = launch(
            arguments,
            env=environment(env),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            end = _ended(process, log)
        finally:
            _kill(process)
    return end, log.read_bytes()[-_SHOWN_OUTPUT:].decode(errors="replace")


def _ended(process: subprocess.Popen[bytes], log: Path) -> str:
    latest = time.monotonic() + _SECONDS
    while time.monotonic() < latest:
        try:
            code = process.wait(_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            if log.stat().st_size > _MOST_OUTPUT:
                return f"printed more than {_MOST_OUTPUT:,} bytes"
        else:
            return f"ended with exit code {code}"
    return f"took longer than {_SECONDS} s"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End what the script has left running, too."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()
