"""Requests of the page for operators: for operators alone, and without content."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.gateways import Gateway
from tests.support.step_worker import StepWorker
from turnstile.turns.api_keys import NewKey, new_key
from turnstile.turns.settings import Settings
from turnstile.turns.states import State

Open = Callable[..., Gateway]
Ask = Callable[..., httpx.Response]

_REQUESTS = [
    ("GET", "/admin/overview"),
    ("GET", "/admin/turns/t1"),
    ("POST", "/admin/turns/t1/cancel"),
    ("POST", "/admin/turns/t1/retry"),
]


@pytest.fixture
def gateways(redis_url: str, tmp_path: Path) -> Iterator[Open]:
    """Opens gateways with some settings."""
    with ExitStack() as stack:
        yield lambda **env: stack.enter_context(Gateway(redis_url, tmp_path, **env))


@pytest.fixture
def keys() -> dict[str, NewKey]:
    return {"tenant": new_key("shop", "acme"), "operator": new_key("me", role="operator")}


@pytest.fixture
def ask(gateways: Open, keys: dict[str, NewKey]) -> Ask:
    """Make a request with the key of a role at a gateway that asks for keys."""
    gateway = gateways(TURNSTILE_API_KEYS=json.dumps({key.digest: key.entry for key in keys.values()}))

    def send(method: str, path: str, role: str = "operator", **more: str) -> httpx.Response:
        headers = {**more, **({"authorization": f"Bearer {keys[role].text}"} if role else {})}
        return httpx.request(method, f"{gateway.url}{path}", headers=headers, timeout=60)

    return send


@pytest.fixture
def step_worker(settings: Settings) -> StepWorker:
    return StepWorker(settings)


def test_operators_alone_see_and_do(ask: Ask, step_worker: StepWorker) -> None:
    step_worker.store.submit("t1", "acme/s1", "a secret")
    for method, path in _REQUESTS:
        assert ask(method, path, "").status_code == 401, path
        refused = ask(method, path, "tenant")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "wrong_role"), path
    assert step_worker.store.status("t1").state is State.QUEUED
    for method, path in _REQUESTS:
        assert ask(method, path).status_code == 200, path
    assert ask("GET", "/v1/models").status_code == 403
    page = ask("GET", "/admin", "")
    assert page.status_code == 200
    assert "acme" not in page.text


def test_a_turn_is_looked_at_and_cancelled(ask: Ask, step_worker: StepWorker) -> None:
    store = step_worker.store
    store.submit("t1", "acme/s1", "a secret")
    claim = step_worker.take()
    store.submit("t2", "acme/s1", "a secret")
    found = ask("GET", "/admin/turns/t1").json()
    assert (found["session"], found["state"], found["attempts"]) == ("acme/s1", "running", 1)
    seen = ask("GET", "/admin/overview").json()
    assert [(turn["turn"], turn["phase"], turn["session"]) for turn in seen["waiting"]] == [("t2", "blocked", "acme/s1")]
    assert seen["flower"] == ""
    assert ask("POST", "/admin/turns/t1/cancel").json() == {"turn": "t1", "state": "cancelled"}
    assert store.status("t1").state is State.CANCELLED
    assert not store.owns(claim)
    assert ask("POST", "/admin/turns/t1/cancel").json()["state"] == "cancelled"


def test_a_failed_turn_is_retried(ask: Ask, step_worker: StepWorker) -> None:
    step_worker.store.submit("t1", "s1", "a secret")
    step_worker.fail(step_worker.take())
    assert ask("GET", "/admin/overview").json()["failed"][0]["code"] == "model_timeout"
    assert ask("POST", "/admin/turns/t1/retry").json() == {"turn": "t1", "state": "queued"}
    step_worker.answer(step_worker.take(), "a secret answer")
    assert ask("POST", "/admin/turns/t1/retry").json()["state"] == "completed"


def test_content_is_shown_by_the_setting_alone(ask: Ask, gateways: Open, step_worker: StepWorker) -> None:
    step_worker.store.submit("t1", "s1", "a secret")
    step_worker.answer(step_worker.take(), "a secret answer")
    step_worker.store.submit("t2", "s1", "a secret")
    for path in ("/admin/overview", "/admin/turns/t1", "/admin/turns/t2"):
        assert "secret" not in ask("GET", path).text
    shown = httpx.get(f"{gateways(TURNSTILE_SHOW_CONTENT='true').url}/admin/turns/t1", timeout=60).json()
    assert (shown["question"], shown["answer"]) == ("a secret", "a secret answer")


@pytest.mark.parametrize(("turn", "status"), [("none", 404), ("no%20id", 400), ("x" * 200, 400)])
def test_no_such_turn_is_told(ask: Ask, turn: str, status: int) -> None:
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry")):
        assert ask(method, f"/admin/turns/{turn}{path}").status_code == status


def test_without_keys_this_machine_alone_is_answered(gateways: Open) -> None:
    gateway = gateways(TURNSTILE_TRUSTED_HOSTS="chat.example.com", TURNSTILE_FLOWER_URL="/flower")
    assert httpx.get(f"{gateway.url}/admin/overview", timeout=60).json()["flower"] == "/flower"
    for headers in ({"host": "chat.example.com"}, {"x-forwarded-for": "192.0.2.1"}, {"origin": "https://evil.example"}):
        assert httpx.get(f"{gateway.url}/admin/overview", headers=headers, timeout=60).status_code == 403
        assert httpx.post(f"{gateway.url}/admin/turns/t1/cancel", headers=headers, timeout=60).status_code == 403
