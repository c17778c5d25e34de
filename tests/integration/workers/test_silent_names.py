"""Names that nobody answers for: whoever chose them waits for their look-ups, and nobody else does."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import ROOT, Worker
from tests.support.wait import wait_until
from tests.support.webhook_receiver import WebhookReceiver
from turnstile.turns.api_keys import new_secret
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

MANY = 30
OF_A_KEY = OF_A_TENANT = 10


class Office:
    """A worker whose model and receivers have names, and the look-ups that it makes."""

    def __init__(self, url: str, folder: Path, model: str) -> None:
        self.names = folder / "names"
        self.names.mkdir()
        names = os.pathsep.join((str(ROOT / "tests" / "support" / "silent_names"), str(ROOT / ".venv" / "names"), str(ROOT)))
        env = {
            "PYTHONPATH": names,
            "SILENT_NAMES": str(self.names),
            "TURNSTILE_CHAINS": '{"looks_up": "tests.chains.names:looks_up"}',
            "OPENAI_BASE_URL": model.replace("127.0.0.1", "model.test"),
            "TURNSTILE_WEBHOOK_SECRET": new_secret(),
            "TURNSTILE_WEBHOOK_NETWORKS": "127.0.0.0/8",
            "TURNSTILE_RETRY_BASE_SECONDS": "0.1",
            "TURNSTILE_SWEEP_SECONDS": "0.1",
        }
        self.worker = Worker(url, folder, 20, **env)
        self.store = TurnStore(Settings(redis_url=url))

    def ask(self, id: str, url: str, key: str) -> None:
        self.store.submit(id, id, "hi", Options(webhook={"url": url, "key": key}))

    def ask_silent(self, receiver: WebhookReceiver) -> list[str]:
        """Ask turns whose webhooks go to silent names, each of its own; return their ids when all have ended."""
        ids = [f"silent{n}" for n in range(MANY)]
        for id in ids:
            self.ask(id, receiver.url.replace("127.0.0.1", f"{id}.silent"), "greedy")
        wait_until(lambda: all(self.store.status(id).state is State.COMPLETED for id in ids), "the turns have ended")
        return ids

    def looked_up(self) -> int:
        return len([*self.names.glob("*.silent-*")])


@pytest.fixture
def office(redis_url: str, tmp_path: Path, model: str) -> Iterator[Office]:
    made = Office(redis_url, tmp_path, model)
    with made.worker:
        yield made


def _delivered(receiver: WebhookReceiver, count: int) -> None:
    wait_until(lambda: len(receiver.deliveries) >= count, f"{count} deliveries came in")


@pytest.mark.timeout(240)
def test_names_of_one_key_keep_no_other_waiting(office: Office) -> None:
    with WebhookReceiver() as receiver:
        ids = office.ask_silent(receiver)
        wait_until(lambda: office.looked_up() == OF_A_KEY, "the key has all its look-ups")
        office.ask("other", receiver.url.replace("127.0.0.1", "hooks.test"), "other")
        _delivered(receiver, 1)
        assert office.store.status("other").attempts == 1

        def given_up() -> int:
            found = [office.store.look_up(id) for id in ids]
            return sum(bool(webhook and webhook.reason == "timeout") for webhook in found)

        # Sweeps want to repeat these, and have places to give to other keys.
        wait_until(lambda: given_up() == OF_A_KEY, "the deliveries are given up, their look-ups hang")
        office.ask("another", receiver.url.replace("127.0.0.1", "hooks.test"), "other")
        _delivered(receiver, 2)
        assert office.looked_up() == OF_A_KEY
        (office.names / "answers").touch()
        _delivered(receiver, 2 + MANY)


@pytest.mark.timeout(240)
def test_a_look_up_that_hangs_holds_up_no_shutdown(office: Office) -> None:
    with WebhookReceiver() as receiver:
        office.ask_silent(receiver)
        wait_until(lambda: office.looked_up() == OF_A_KEY, "the look-ups hang")
        assert office.worker.stop() == 0
        assert "leaving" not in office.worker.text()


@pytest.mark.timeout(240)
def test_names_of_one_tenants_tools_keep_no_other_waiting(office: Office) -> None:
    store, greedy = office.store, [f"t{n}" for n in range(OF_A_TENANT + 2)]

    def look_up(id: str, session: str, name: str) -> None:
        store.submit(id, session, name, Options(chain="looks_up"))

    def ended(*ids: str) -> bool:
        return all(store.status(id).state is State.COMPLETED for id in ids)

    for id in greedy:
        look_up(id, f"greedy/{id}", f"{id}.silent")
    wait_until(lambda: office.looked_up() == OF_A_TENANT, "the tenant has all its look-ups")
    for id in greedy:
        store.cancel(id)
    look_up("more", "greedy/more", "more.silent")
    wait_until(lambda: store.status("more").state is State.RUNNING, "another one wants a look-up")
    look_up("tool", "other/tool", "tools.test")
    look_up("model", "greedy/model", "model.test")
    wait_until(lambda: ended("tool", "model"), "names of others and of the settings are found")
    assert office.looked_up() == OF_A_TENANT
    (office.names / "answers").touch()
    wait_until(lambda: ended("more"), "the tenant has its places back")


@pytest.mark.timeout(240)
def test_a_tools_look_up_that_hangs_holds_up_no_shutdown(office: Office) -> None:
    office.store.submit("t", "s", "t.silent", Options(chain="looks_up"))
    wait_until(lambda: office.looked_up() == 1, "the look-up hangs")
    office.store.cancel("t")
    assert office.worker.stop() == 0
    assert "leaving" not in office.worker.text()
