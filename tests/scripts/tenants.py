"""Turns of tenants, and the slots that they take."""

from collections import Counter

from tests.scripts.scene import Scene
from turnstile.turns.api_keys import Limits
from turnstile.turns.question import Options
from turnstile.turns.turn import Claim

BATCH = Options(queue="batch")


def have_slots(scene: Scene, count: int) -> None:
    """Let workers have so many slots, all of them free."""
    scene.client.hset(scene.keys.stats, mapping={"slots": count, "standing": count})


def ask(scene: Scene, tenant: str, count: int, *, first: int = 1, quotas: str = "", options: Options | None = None) -> None:
    for number in range(first, first + count):
        session = f"{tenant}/{number}" if tenant else f"{number}"
        scene.turns.submit(f"{tenant}{number}", session, "hi", options or Options(), quotas=quotas)


def running(most: int) -> str:
    return Limits(running_turns=most).quotas


def claim_all(scene: Scene, queue: str = "chat") -> list[Claim]:
    """Claim all that is dispatched, and what that brings out, by workers with slots for all."""
    return [scene.claim(id) for id in iter(lambda: scene.pop(queue), None)]


def tenants_of(claims: list[Claim]) -> Counter[str]:
    return Counter(claim.session.rpartition("/")[0] for claim in claims)


def in_slots(scene: Scene, tenant: str) -> set[str]:
    return set(scene.client.smembers(scene.keys.slots(tenant)))
