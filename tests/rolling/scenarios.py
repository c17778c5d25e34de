"""The scenarios: each changes a deployment while it is asked, and returns what became of the turns."""

from pathlib import Path

from tests.chaos.callers import READER
from tests.chaos.record import WEB
from tests.rolling.deployment import CONCURRENCY, Deployment, Outcome
from tests.rolling.old import OldWorker, old_environment, unpack

CALM = "nothing changes"


def restart(folder: Path) -> Outcome:
    """Replace three workers and two gateways one after another, then end all workers and start them again."""
    with Deployment(folder) as site:
        workers, gateways = site.workers(3), site.gateways(2)
        with site.running(*workers, *gateways):
            site.produce("p0")
            site.produce(READER)
            site.produce(WEB, address=",".join(gateway.url for gateway in gateways), tenant=False)
            site.goes_on()
            site.phase(CALM)
            site.goes_on()
            site.phase("3 workers, one after another")
            for worker in workers:
                assert worker.stop() == 0
                worker.start()
                site.goes_on(15)
            site.phase("2 gateways, one after another")
            for gateway in gateways:
                gateway.stop()
                gateway.start()
                site.goes_on(15)
            site.phase("no worker, and 3 again")
            # Turns that were accepted before have ended by then.
            site.goes_on(15)
            for worker in workers:
                assert worker.stop() == 0
            waiting_before = site.waiting()
            site.accepts(20)
            assert site.waiting() > waiting_before
            site.start(*workers)
            site.goes_on(40)
            return site.judge()


def upgrade(folder: Path) -> Outcome:
    """Upgrade a deployment of version 0.1.0: new workers beside the old ones, then new producers, then the old workers end."""
    where = unpack(folder)
    with Deployment(folder) as site:
        env = old_environment(where)
        old = [OldWorker(where, site.server.url, folder, CONCURRENCY, **site.env) for _ in range(2)]
        new = site.workers(2)
        with site.running(*old):
            for name in ("old0", "old1"):
                site.produce(name, env=env)
            site.goes_on()
            site.phase(f"{CALM}: version 0.1.0")
            site.goes_on()
            site.phase("2 workers of this version beside 2 of 0.1.0")
            with site.running(*new):
                site.goes_on(40)
                site.phase("producers of this version, one after another")
                for number in range(2):
                    site.end_producer(f"old{number}")
                    site.produce(f"new{number}", sessions_of=f"old{number}")
                    site.goes_on()
                site.phase("the workers of 0.1.0 end, one after another")
                for worker in old:
                    worker.stop()
                    site.goes_on()
                site.phase(f"{CALM}: this version")
                site.goes_on()
                return site.judge()
