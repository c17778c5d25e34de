"""Processes with other settings, which join for a while."""

import time
from collections.abc import Callable
from contextlib import suppress

import httpx

from tests.chaos.faults import Fault
from tests.chaos.record import WEB, question, stored_id
from tests.chaos.rights import Role, url
from tests.chaos.scene import Scene
from tests.support.gateways import Gateway
from tests.support.ports import lasting_port
from tests.support.processes import Worker
from tests.support.wait import wait_until

_OTHERS = ({"TURNSTILE_HISTORY_PREFIX": "others:"}, {"TURNSTILE_HISTORY_TTL": "3"}, {"TURNSTILE_HISTORY_TTL": "2000000"})


def join(scene: Scene, fault: Fault) -> None:
    """Start a worker or a gateway that disagrees with the others about the histories, and end it again."""
    env = {**scene.settings, **fault.chosen.choice(_OTHERS)}
    with scene.guests_lock, scene.noted(fault.kind):
        if fault.chosen.random() < 0.5:
            _work(scene, fault, env)
        else:
            _serve(scene, fault, env)


def _work(scene: Scene, fault: Fault, env: dict[str, str]) -> None:
    guest = Worker(url(Role.WORKER, scene.proxy().port), scene.folder, 20, **env)
    guest.start(ready=False)
    # Until it works, or has refused to.
    _until(lambda: " ready." in guest.text() or guest.process is None or guest.process.poll() is not None)
    time.sleep(fault.seconds)
    guest.kill()


def _until(what: Callable[[], bool]) -> None:
    with suppress(AssertionError):
        wait_until(what, "it is there")


def _serve(scene: Scene, fault: Fault, env: dict[str, str]) -> None:
    guest = Gateway(url(Role.GATEWAY, scene.proxy().port), scene.folder, lasting_port(), **env)
    name, session = f"{WEB}-guest-{fault.target}", fault.chosen.choice(scene.shared)
    scene.notes.note("sent", name, session, time.time())
    # One that refuses to start does what it should.
    with suppress(AssertionError):
        guest.start()
        body = {"input": question(stored_id(name)), "conversation": session, "background": True}
        with suppress(httpx.TransportError):
            reply = httpx.post(f"{guest.url}/v1/responses", json=body, headers={"idempotency-key": name}, timeout=10)
            if reply.is_success:
                scene.notes.note("accepted", name, session, time.time())
        time.sleep(fault.seconds)
    guest.kill()
