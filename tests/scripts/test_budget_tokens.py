"""The tokens of a model's budget, which tenants share by what their calls take, not by how many they are."""

import pytest

from tests.scripts.model_calls import MODEL, call, claims, forget_models, give_back, pass_time
from tests.scripts.scene import Scene
from turnstile.turns.store.budgets import CallEnd, CallLimits
from turnstile.turns.turn import Claim

_LIMITS = CallLimits(tokens=6_000)
_LARGE = 3_000


def _reserve(scene: Scene, claim: Claim, tokens: int, number: int = 1) -> float | None:
    slot = scene.turns.reserve_call(call(claim, number, tokens), _LIMITS)
    return slot.wait if slot.granted else None


def _park(scene: Scene, claim: Claim, tokens: int) -> None:
    assert _reserve(scene, claim, tokens) is None
    give_back(scene, claim, tokens)


@pytest.fixture
def large(scene: Scene) -> list[Claim]:
    """Turns of a tenant with large calls: one is under way, the others wait for tokens."""
    found = claims(scene, 4, "large")
    assert _reserve(scene, found[0], _LARGE) == 0
    for claim in found[1:]:
        _park(scene, claim, _LARGE)
    return found


@pytest.mark.usefixtures("large")
def test_a_small_call_does_not_wait_for_what_another_tenants_large_one_took(scene: Scene) -> None:
    small = claims(scene, 8, "small")
    assert [_reserve(scene, claim, 10) for claim in small] == [0] * 8
    forget_models(scene)
    own = scene.start("own", session="large/own")
    assert scene.turns.reserve_call(call(own, 1, 10), _LIMITS).wait == pytest.approx(30, abs=2)


@pytest.mark.usefixtures("large")
def test_small_calls_have_what_the_share_of_the_other_leaves(scene: Scene) -> None:
    [small] = claims(scene, 1, "small")
    number = 0
    for _ in range(20):
        while number < 200 and _reserve(scene, small, 10, number) is not None:
            number += 1
        pass_time(scene, 1_000)
    # A quarter of a hundred tokens a second, and the burst, and what comes in a moment.
    assert number == pytest.approx(20 * 2.5 + 12 + 2.5, abs=5)


def test_as_large_a_call_of_another_tenant_waits_for_all_tokens(scene: Scene, large: list[Claim]) -> None:
    other, much = claims(scene, 2, "other")
    assert scene.turns.reserve_call(call(other, 1, _LARGE), _LIMITS).wait == pytest.approx(28.8, abs=2)
    assert scene.turns.reserve_call(call(much, 1, _LARGE // 2), _LIMITS).wait == pytest.approx(28.8, abs=15)
    assert not scene.turns.reserve_call(call(much, 2, _LARGE // 2), _LIMITS).granted
    del large


@pytest.mark.usefixtures("large")
def test_a_small_turn_in_the_line_goes_before_large_ones_of_others(scene: Scene) -> None:
    claim = claims(scene, 1, "small")[0]
    give_back(scene, claim)
    assert scene.queue() == [claim.id]


@pytest.mark.usefixtures("large")
def test_a_turn_is_thought_to_want_what_its_tenants_last_call_wanted(scene: Scene) -> None:
    (first,) = claims(scene, 1, "small")
    assert _reserve(scene, first, 10) == 0
    scene.client.hset(scene.keys.stats, "budgeted", 2**50)
    for tenant in ("small", "large", "new"):
        scene.submit(f"{tenant}-next", session=f"{tenant}/next")
    assert scene.queue() == ["small-next", "new-next"]
    assert scene.client.hget(scene.keys.turn("large-next"), "wants") == str(_LARGE)
    forget_models(scene)


@pytest.mark.parametrize(("wants", "tokens", "left"), [(300, 10, 10), (10, 100, 100), (10, 600, None)])
def test_what_a_turn_was_sent_for_is_corrected_when_it_asks(scene: Scene, wants: int, tokens: int, left: int | None) -> None:
    [one, two] = claims(scene, 2, "a")
    assert _reserve(scene, one, _LARGE) == 0
    _park(scene, two, wants)
    pass_time(scene, 31_000)
    scene.turns.sweep()
    claim = scene.claim(str(scene.pop()))
    scene.client.hset(scene.keys.budget(MODEL), "paused", 2**50)
    before = scene.turns.now() * 1000
    assert (_reserve(scene, claim, tokens) is not None) == (left is not None)
    assert scene.client.zcard(scene.keys.promised(MODEL)) == 0
    spent = float(scene.client.hget(scene.keys.budget(MODEL), "tokens_spent") or 0) - before
    assert spent == pytest.approx((left or 0) * 10.3, abs=400)


def test_a_long_answer_is_its_tenants(scene: Scene) -> None:
    [long], [small] = claims(scene, 1, "long"), claims(scene, 1, "small")
    assert _reserve(scene, long, 10) == 0
    scene.turns.settle_call(call(long, 1, 10), CallEnd("answered", tokens=5_000))
    assert _reserve(scene, small, 10) == 0
    assert _reserve(scene, long, 10, 2) is None
    scene.turns.settle_call(call(long, 1, 10), CallEnd("answered", tokens=5_000))


class _Rush:
    """Turns of two tenants that wait for the model, and the calls that they make as time passes."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.passed, self.calls = scene, 0, list[tuple[float, str, int]]()
        self._sizes: dict[str, int] = {}
        scene.let_stand(1_000)
        first = scene.start("first", session="first/1")
        assert _reserve(scene, first, 1_000) == 0
        scene.turns.settle_call(call(first, 1, 1_000), CallEnd("answered", 1_000))
        scene.complete(first)

    def ask(self, tenant: str, count: int, tokens: int) -> None:
        """Let a tenant's turns wait for the model."""
        self._sizes[tenant] = tokens
        forget_models(self.scene)
        ids = [f"{tenant}{len(self.calls)}-{number}" for number in range(count)]
        for claim in [self.scene.start(id, session=f"{tenant}/{id}") for id in ids]:
            give_back(self.scene, claim, tokens)
        self._serve()

    def go(self, seconds: float) -> None:
        """Let time pass, and workers make the calls for which turns are sent."""
        for _ in range(round(seconds)):
            pass_time(self.scene, 1_000)
            self.passed += 1_000
            self.scene.turns.sweep()
            self._serve()

    def _serve(self) -> None:
        while id := self.scene.pop():
            claim, tenant = self.scene.claim(id), id.rstrip("0123456789-")
            wait = _reserve(self.scene, claim, self._sizes[tenant])
            assert wait is not None
            self.calls.append((self.passed / 1000 + wait, tenant, self._sizes[tenant]))
            self.scene.turns.settle_call(call(claim, 1, self._sizes[tenant]), CallEnd("answered", self._sizes[tenant]))
            self.scene.complete(claim)

    def tokens(self, tenant: str = "", since: float = 0, until: float = 1e9) -> int:
        """Return the tokens of the calls that began in a time."""
        return sum(size for at, one, size in self.calls if tenant in ("", one) and since <= at < until)


def test_tenants_take_turns_by_tokens(scene: Scene) -> None:
    rush = _Rush(scene)
    rush.ask("large", 4, 1_000)
    rush.ask("small", 30, 100)
    rush.go(50)
    assert rush.tokens("large") == pytest.approx(rush.tokens("small"), abs=1_100)
    assert rush.tokens() >= 0.95 * 5_000 - 1_000


def test_no_minute_holds_more_tokens_whoever_waits(scene: Scene) -> None:
    rush = _Rush(scene)
    rush.ask("large", 6, 2_000)
    for _ in range(20):
        rush.ask("small", 1, 20)
        assert rush.tokens("small", rush.passed / 1000, rush.passed / 1000 + 1) == 20
        rush.go(5)
    assert max(rush.tokens(since=at, until=at + 60) for at, _, _ in rush.calls) <= 6_000 + 2_000
    assert rush.tokens() >= 0.95 * 10_000 - 2_000
