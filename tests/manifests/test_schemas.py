"""Each file is as its schema wants it, and each validator notices a planted error."""

import json
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # comes without types

from tests.manifests.conftest import FOLDER, TOOLS, kustomized, run
from tests.support.processes import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
COMPOSE = ROOT / "deploy" / "docker" / "compose.yaml"
# KEDA's are no part of Kubernetes.
_FOREIGN = "ScaledObject"


@pytest.fixture(scope="module", params=["base", "keda"])
def made(request: pytest.FixtureRequest) -> str:
    return kustomized(KUBERNETES / request.param)


def kubernetes(text: str, folder: Path) -> tuple[int, str]:
    parts = [part for part in yaml.safe_load_all(text) if part["kind"] != _FOREIGN]
    (folder / "all.yaml").write_text(yaml.safe_dump_all(parts))
    return run(TOOLS / "kubernetes-validate", "--strict", folder / "all.yaml")


def test_kubernetes_takes_every_line(made: str, tmp_path: Path) -> None:
    status, said = kubernetes(made, tmp_path)
    assert (status, "WARN" in said) == (0, False), said


@pytest.mark.parametrize(
    ("old", "new"),
    [("replicas: 1", "replikas: 1"), ("containerPort: 8000", "containerPort: many"), ("minAvailable: 1", "minAvailabel: 1")],
)
def test_the_validator_of_kubernetes_notices_an_error(made: str, tmp_path: Path, old: str, new: str) -> None:
    assert old in made
    assert kubernetes(made.replace(old, new), tmp_path)[0] != 0


def scaled_object(**changes: object) -> dict[str, object]:
    (found,) = [part for part in yaml.safe_load_all(kustomized(KUBERNETES / "keda")) if part["kind"] == _FOREIGN]
    found["spec"] |= changes
    return dict(found)


def keda(part: dict[str, object], folder: Path) -> int:
    (folder / "part.json").write_text(json.dumps(part))
    return run(TOOLS / "check-jsonschema", "--schemafile", FOLDER / "scaled_object.schema.json", folder / "part.json")[0]


def test_keda_takes_every_line(tmp_path: Path) -> None:
    assert keda(scaled_object(), tmp_path) == 0
    assert keda(scaled_object(maxReplicas=3), tmp_path) != 0
    assert keda(scaled_object(triggers=[]), tmp_path) != 0


def hadolint(text: str, folder: Path) -> tuple[int, str]:
    (folder / "Dockerfile").write_text(text)
    return run(TOOLS / "hadolint", folder / "Dockerfile")


def test_hadolint_takes_every_line(tmp_path: Path) -> None:
    status, said = hadolint(DOCKERFILE.read_text(), tmp_path)
    assert (status, said) == (0, "")


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("WORKDIR /app", "WORKDIR app", "DL3000"),
        ("USER 10001:10001", "USER root", "DL3002"),
        ("STOPSIGNAL SIGTERM", "EXPOSE 80000", "DL3011"),
        ("COPY package", "ADD package", "DL3020"),
        ("WORKDIR /app", "WORDKIR /app", "unexpected"),
    ],
)
def test_hadolint_notices_an_error(tmp_path: Path, old: str, new: str, rule: str) -> None:
    assert old in DOCKERFILE.read_text()
    status, said = hadolint(DOCKERFILE.read_text().replace(old, new), tmp_path)
    assert (status, rule in said) == (1, True), said


def compose(text: str, folder: Path) -> int:
    (folder / "compose.yaml").write_text(text)
    return run(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", folder / "compose.yaml")[0]


def test_compose_takes_every_line(tmp_path: Path) -> None:
    assert compose(COMPOSE.read_text(), tmp_path) == 0
    for old, new in (
        ("mem_limit: 512m", "memory: 512m"),
        ("init: true", "init: [yes, no]"),
        ("profiles: [", "profile: ["),
    ):
        assert old in COMPOSE.read_text()
        assert compose(COMPOSE.read_text().replace(old, new), tmp_path) != 0
