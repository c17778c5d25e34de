"""The files for Kubernetes, held against the Procfile, the settings and each other; `make test-manifests` asks the schemas."""

from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # comes without types

from tests.support.processes import ROOT
from turnstile.deploy import procfile
from turnstile.turns.settings import Settings

BASE = ROOT / "deploy" / "kubernetes" / "base"
PARTS: list[dict[str, Any]] = [
    part for file in BASE.glob("*.yaml") if file.name != "kustomization.yaml" for part in yaml.safe_load_all(file.read_text())
]
DEPLOYMENTS = {part["metadata"]["name"]: part["spec"]["template"] for part in PARTS if part["kind"] == "Deployment"}


def container(name: str) -> dict[str, Any]:
    found: dict[str, Any] = DEPLOYMENTS[name]["spec"]["containers"][0]
    return found


def environment(name: str) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container(name)["env"]}


def test_every_file_is_used() -> None:
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    assert {*listed, "kustomization.yaml"} == {file.name for file in BASE.iterdir()}


def test_pods_run_the_procfiles_commands() -> None:
    run = {container(name)["args"][0] for name in DEPLOYMENTS if "command" not in container(name)}
    assert run == set(procfile.commands())


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_pod_is_probed_bounded_and_knows_only_settings_that_there_are(name: str) -> None:
    one = container(name)
    assert {"readinessProbe", "livenessProbe"} <= set(one)
    assert {"memory"} == set(one["resources"]["limits"])
    set_here = environment(name) if "env" in one else {}
    known = {Settings.variable(field) for field in Settings.model_fields}
    assert {variable for variable in set_here if not variable.startswith(("FLOWER_", "WEB_"))} <= known
    assert Settings.load(set_here)


def test_a_worker_is_probed_by_the_file_that_it_touches_and_has_time_to_end() -> None:
    file = environment("worker")[Settings.variable("health_file")]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert f"%Y {file})" in container("worker")[probe]["exec"]["command"][2]
    assert DEPLOYMENTS["worker"]["spec"]["terminationGracePeriodSeconds"] > Settings().shutdown_seconds + 10


def test_a_gateway_has_time_for_everything_before_it_is_killed() -> None:
    before = int(container("gateway")["lifecycle"]["preStop"]["exec"]["command"][1])
    told = environment("gateway")
    seconds = before + int(told["TURNSTILE_DRAIN_SECONDS"]) + int(told["WEB_SHUTDOWN_SECONDS"])
    assert DEPLOYMENTS["gateway"]["spec"]["terminationGracePeriodSeconds"] > seconds + 10


def test_budgets_services_and_policies_choose_pods_that_there_are() -> None:
    chosen = [
        part["spec"].get("selector", {}).get("matchLabels", {}) for part in PARTS if part["kind"] == "PodDisruptionBudget"
    ]
    chosen += [part["spec"]["selector"] for part in PARTS if part["kind"] == "Service"]
    chosen += [part["spec"]["podSelector"].get("matchLabels", {}) for part in PARTS if part["kind"] == "NetworkPolicy"]
    assert {labels["app"] for labels in chosen if labels} <= set(DEPLOYMENTS)
    assert {name: template["metadata"]["labels"]["app"] for name, template in DEPLOYMENTS.items()} == {
        name: name for name in DEPLOYMENTS
    }


def test_scaling_leaves_a_worker_some_room() -> None:
    scaled = yaml.safe_load((BASE.parent / "keda" / "scaled-object.yaml").read_text())["spec"]
    assert scaled["scaleTargetRef"]["name"] in DEPLOYMENTS
    assert int(scaled["triggers"][0]["metadata"]["threshold"]) < Settings().concurrency
