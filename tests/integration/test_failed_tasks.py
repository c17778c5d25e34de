"""Tasks that fail in a worker, and what goes on beside them."""

from pathlib import Path

import pytest

from tests.chaos.rights import WHOLE, Role, url, write_users
from tests.processes import Worker, offline_model
from tests.support import wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore

TURNS = 8


@pytest.mark.timeout(240)
def test_a_call_that_the_server_refuses_stops_no_other_call_of_the_worker(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.acl")
    with (
        EmbeddedServer(tmp_path / "server", options={"aclfile": str(users)}) as server,
        offline_model() as model_url,
        Worker(url(Role.WORKER, server.port), tmp_path, OPENAI_BASE_URL=model_url) as worker,
    ):
        store = TurnStore(Settings(redis_url=server.url))
        store.client.acl_setuser(Role.WORKER, commands=["-xadd"])
        for number in range(TURNS):
            store.submit(f"t{number}", f"s{number}", "Anyone there?")
        wait_until(lambda: worker.text().count("no permissions to run the 'xadd'") >= TURNS, "every claim has been refused")
        # The lease is over only when the worker's other calls, its sweeps, go on.
        store.client.execute_command("ACL", "SETUSER", Role.WORKER, *WHOLE)  # type: ignore[no-untyped-call]  # untyped
        wait_until(lambda: store.stats().get("completed", 0) == TURNS, "all turns are completed", 90)
        assert "does not answer" not in worker.text()
        assert "left behind" not in worker.text()
