"""The scripts of batches against a plain model: tenants, gateways that come and go, calls that are repeated or cut short.

`HYPOTHESIS_PROFILE=long` looks for longer.
"""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
import redis
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.scripts import test_machine as _profiles  # noqa: F401 - it registers the profiles
from tests.scripts.cutting import cut
from turnstile.turns.errors import FileRefused, UnknownFile
from turnstile.turns.redis.scripts import BATCHES_AT_WORK
from turnstile.turns.settings import Settings
from turnstile.turns.store.batches import COMPLETED, FAILED, Hold, Place, result_file
from turnstile.turns.store.turns import TurnStore

_tenants = st.sampled_from(("", "acme"))
_pick = st.integers(0, 20)
_outcomes = st.sampled_from((COMPLETED, FAILED))
_cuts = st.sampled_from((None, None, 0, 1, 2, 3, 4, 5))


@dataclass
class Known:
    """A batch, as it has to be."""

    id: str
    tenant: str
    owner: str = ""
    state: str = "validating"
    results: dict[int, tuple[str, str]] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)

    @property
    def ended(self) -> bool:
        return self.state in (COMPLETED, "cancelled")

    def of(self, outcome: str) -> list[str]:
        return [text for kind, text in self.results.values() if kind == outcome]


class Batches(RuleBasedStateMachine):
    """Rules are the calls of clients and gateways; after each, what is stored is compared with the model."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.store = TurnStore(Settings(redis_url=self.url))
        self.client: Any = redis.Redis.from_url(self.url, decode_responses=True)
        self.client.flushdb()
        self.numbers = count(1)
        self.known: list[Known] = []
        self.tokens = ["nobody", "nobody else"]
        self.small: set[str] = set()
        """Tenants without room for more than they have."""
        for tenant in ("", "acme"):
            self.store.create_file(tenant, f"file{tenant}", "x.jsonl")
            self.store.append_piece(tenant, f"file{tenant}", 0, 0, b"a line", last=True)

    def teardown(self) -> None:
        """Close the connections."""
        self.client.close()

    def _find(self, pick: int, **wanted: object) -> Known | None:
        found = [one for one in self.known if all(getattr(one, name) == value for name, value in wanted.items())]
        return found[pick % len(found)] if found else None

    def _token(self, batch: Known, stale: bool) -> str:
        others = [token for token in self.tokens if token != batch.owner]
        return others[-1] if stale or not batch.owner else batch.owner

    def _call(self, script: str, call: Any, writes: int | None) -> Any:
        """Make a call, perhaps cut after some writes and then repeated."""
        if writes is None:
            return call()
        with cut(self.store, script, writes) as happened:
            reply = call()
        return call() if happened else reply

    @rule(tenant=_tenants, writes=_cuts)
    def begin(self, tenant: str, writes: int | None) -> None:
        if sum(not one.ended for one in self.known) > 12:
            return
        batch = Known(f"batch_{next(self.numbers):04}", tenant)
        if tenant in self.small:
            with pytest.raises(FileRefused):
                self.store.create_batch(tenant, batch.id, f"file{tenant}", "{}", "f", 60)
            return
        self._call("create_batch", lambda: self.store.create_batch(tenant, batch.id, f"file{tenant}", "{}", "f", 60), writes)
        self.known.append(batch)

    @rule()
    def claim(self) -> None:
        token = f"token{next(self.numbers)}"
        free = {one.id for one in self.known if not one.ended and self._is_free(one)}
        taken = self.store.claim_batch(token)
        assert (taken in free) if free else taken is None
        if taken:
            self.tokens.append(token)
            next(one for one in self.known if one.id == taken).owner = token

    def _is_free(self, batch: Known) -> bool:
        due = self.client.zscore(self.store.keys.batches_due, f"{batch.tenant}/{batch.id}")
        return due is not None and due <= self.store.now() * 1000

    @rule(pick=_pick)
    def lapse(self, pick: int) -> None:
        if batch := self._find(pick, ended=False):
            self.client.zadd(self.store.keys.batches_due, {f"{batch.tenant}/{batch.id}": 1}, xx=True)

    @rule(pick=_pick, stale=st.booleans(), release=st.booleans())
    def renew(self, pick: int, stale: bool, release: bool) -> None:
        if batch := self._find(pick):
            token = self._token(batch, stale)
            hold = (self.store.release_batch if release else self.store.renew_batch)(batch.id, token)
            assert isinstance(hold, Hold) == (token == batch.owner != "")
            assert hold is None or hold.state == batch.state

    @rule(pick=_pick, stale=st.booleans(), number=st.integers(1, 4), outcome=_outcomes, asked=st.booleans(), writes=_cuts)
    def record(self, pick: int, stale: bool, number: int, outcome: str, asked: bool, writes: int | None) -> None:
        if not (batch := self._find(pick, ended=False)):
            return
        token, text = self._token(batch, stale), f"result {next(self.numbers)}"
        place = Place(number, 0, 0)
        reply = self._call(
            "record_result", lambda: self.store.record_result(batch.id, token, number, outcome, text, place, asked), writes
        )
        assert reply is (batch.tenant not in self.small if token == batch.owner != "" else None)
        if reply or (reply is not None and asked):
            batch.results.setdefault(number, (outcome, text))

    @rule(tenant=_tenants, small=st.booleans())
    def limit(self, tenant: str, small: bool) -> None:
        (self.small.add if small else self.small.discard)(tenant)
        self.client.hset(self.store.keys.tenant(tenant), "stored_bytes", int(small))

    @rule(pick=_pick, writes=_cuts)
    def cancel(self, pick: int, writes: int | None) -> None:
        if batch := self._find(pick):
            self._call("cancel_batch", lambda: self.store.cancel_batch(batch.tenant, batch.id), writes)
            if not batch.ended:
                batch.state = "cancelling" if batch.owner else "cancelled"

    @rule(pick=_pick, stale=st.booleans(), writes=_cuts)
    def end(self, pick: int, stale: bool, writes: int | None) -> None:
        if batch := self._find(pick):
            token = self._token(batch, stale)
            state = "cancelled" if batch.state == "cancelling" else COMPLETED
            done = self._call("end_batch", lambda: self.store.end_batch(batch.id, token, state, ""), writes)
            assert bool(done) == (token == batch.owner != "")
            batch.state = state if done and not batch.ended else batch.state

    @rule(pick=_pick, outcome=_outcomes, writes=_cuts)
    def delete_results(self, pick: int, outcome: str, writes: int | None) -> None:
        batch = self._find(pick, ended=True)
        if batch and batch.of(outcome) and outcome not in batch.deleted:
            file = result_file(batch.id, outcome)
            with suppress(UnknownFile):
                self._call("delete_file", lambda: self.store.delete_file(batch.tenant, file), writes)
            batch.deleted.add(outcome)

    @invariant()
    def the_oldest_of_each_tenant_are_at_work(self) -> None:
        due = set(self.client.zrange(self.store.keys.batches_due, 0, -1))
        for tenant in ("", "acme"):
            left = [one.id for one in self.known if one.tenant == tenant and not one.ended]
            assert sorted(self.client.zrange(self.store.keys.unfinished(tenant), 0, -1)) == left
            at_work = {name.partition("/")[2] for name in due if name.partition("/")[0] == tenant}
            assert len(at_work) == min(len(left), BATCHES_AT_WORK)
            assert at_work <= set(left)

    @invariant()
    def what_is_stored_is_what_was_recorded(self) -> None:
        for batch in self.known:
            found = self.store.read_batch(batch.id)
            assert (found.state, found.completed, found.failed) == (
                batch.state,
                len(batch.of(COMPLETED)),
                len(batch.of(FAILED)),
            )
            for outcome in (COMPLETED, FAILED):
                texts = [] if outcome in batch.deleted else batch.of(outcome)
                results = self.store.read_results(result_file(batch.id, outcome), 1, 10)[1]
                assert sorted(results) == sorted(text.encode() for text in texts)
                stored = self.client.hget(self.store.keys.stored(batch.tenant), result_file(batch.id, outcome))
                assert int(stored or 0) == sum(len(text) + 1 for text in texts)

    @invariant()
    def the_sum_is_that_of_its_parts(self) -> None:
        for tenant in ("", "acme"):
            sizes = {name: int(size) for name, size in self.client.hgetall(self.store.keys.stored(tenant)).items()}
            assert sizes.pop("", 0) == sum(sizes.values())


@pytest.mark.timeout(7_200)
def test_the_scripts_of_batches_do_as_the_model(redis_url: str) -> None:
    machine = type("BoundBatches", (Batches,), {"url": redis_url})
    run_state_machine_as_test(machine, settings=profile.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci")))
