"""Tasks that fail in a worker, and what goes on beside them."""

from pathlib import Path
from typing import Any

import pytest

from tests.chaos.rights import WHOLE, Role, url, write_users
from tests.support.processes import Worker, offline_model
from tests.support.wait import wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore

TURNS = 8
LEASES = 8
_IMPATIENT: dict[str, Any] = {"TURNSTILE_LEASE_SECONDS": "1", "TURNSTILE_DISPATCH_GRACE_SECONDS": "1"}


@pytest.mark.timeout(300)
def test_a_right_that_is_missing_for_many_leases_fails_no_turn(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.acl")
    with (
        EmbeddedServer(tmp_path / "server", options={"aclfile": str(users)}) as server,
        offline_model() as model_url,
        Worker(url(Role.WORKER, server.port), tmp_path, OPENAI_BASE_URL=model_url, **_IMPATIENT) as worker,
    ):
        store = TurnStore(Settings(redis_url=server.url))
        for number in range(TURNS):
            store.submit(f"running{number}", f"s{number}", "Anyone there? [[latency=2]]")
        wait_until(lambda: store.stats().get("claimed", 0) == TURNS, "all turns run")
        store.client.acl_setuser(Role.WORKER, enabled=True, commands=["-xadd"])
        for number in range(TURNS):
            store.submit(f"waiting{number}", f"t{number}", "Anyone there?")
        since = store.now()
        wait_until(lambda: store.now() > since + LEASES, "every turn could have failed for good")
        # The leases are renewed only when the worker's other calls go on.
        store.client.execute_command("ACL", "SETUSER", Role.WORKER, *WHOLE)  # type: ignore[no-untyped-call]  # untyped
        wait_until(lambda: store.stats().get("completed", 0) == 2 * TURNS, "all turns are completed")
        assert {store.status(f"{kind}{n}").attempts for kind in ("running", "waiting") for n in range(TURNS)} == {1}
        assert "lacks +xadd: grant it" in worker.text()
        assert "does not answer" not in worker.text()
        assert "left behind" not in worker.text()
