"""The units for systemd, held against the Procfile, the settings, and systemd itself."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from turnstile.turns.settings import Settings

UNITS = ROOT / "deploy" / "systemd"
RUN = ["-m", "turnstile.deploy.procfile"]


def unit(name: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # configparser keeps the case
    parser.read(UNITS / name)
    return parser


@pytest.mark.parametrize(
    ("name", "command"), [("turnstile-worker@", "worker"), ("turnstile-gateway@", "web"), ("turnstile-flower", "flower")]
)
def test_a_unit_runs_the_procfiles_command(name: str, command: str) -> None:
    program, *rest = unit(f"{name}.service")["Service"]["ExecStart"].split()
    assert (Path(program).name, rest) == ("python", [*RUN, command])


def test_the_workers_unit_gives_it_time_and_watches_its_health() -> None:
    service = unit("turnstile-worker@.service")["Service"]
    assert int(service["TimeoutStopSec"]) > Settings().shutdown_seconds + 10
    assert (service["Type"], service["WatchdogSignal"]) == ("notify", "SIGTERM")
    name, file = service["Environment"].split("=")
    assert name == Settings.variable("health_file")
    assert file.startswith(f"%t/{service['RuntimeDirectory']}/")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return the root of a machine with the units, as docs/operations.md has them copied."""
    root = tmp_path / "root"
    shutil.copytree(UNITS, root / "etc" / "systemd" / "system")
    program = root / "opt" / "turnstile" / ".venv" / "bin"
    program.mkdir(parents=True)
    for name in ("python", "turnstile"):
        shutil.copy("/bin/true", program / name)
    for target in ("sysinit", "basic", "multi-user", "network-online", "shutdown"):
        (root / "etc" / "systemd" / "system" / f"{target}.target").write_text("[Unit]\n")
    return root


def analyzed(root: Path, *words: str) -> str:
    command = ["systemd-analyze", f"--root={root}", "--man=no", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + "\n".join(line for line in done.stderr.splitlines() if "turnstile" in line)


INSTANCES = ("turnstile-worker@1", "turnstile-gateway@8000", "turnstile-flower", "turnstile-metrics")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is missing")
@pytest.mark.parametrize("name", INSTANCES)
def test_systemd_takes_every_line_of_a_unit(installed: Path, name: str) -> None:
    assert analyzed(installed, "verify", f"{name}.service") == ""
    folder = installed / "etc" / "systemd" / "system"
    for file in (folder / "turnstile-.service.d" / "common.conf", *folder.glob(f"{name.partition('@')[0]}*.service")):
        whole = file.read_text()
        file.write_text(whole.replace("[Service]", "[Service]\nKilMode=mixed"))
        assert "KilMode" in analyzed(installed, "verify", f"{name}.service")
        file.write_text(whole)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is missing")
@pytest.mark.parametrize("name", INSTANCES)
def test_a_unit_is_as_hardened_as_the_docs_say(installed: Path, name: str) -> None:
    said = analyzed(installed, "security", "--offline=yes", f"{name}.service")
    (exposure,) = re.findall(r"Overall exposure level for \S+ (\d\.\d)", said)
    assert f"exposure level {exposure}" in (ROOT / "docs" / "operations.md").read_text()
