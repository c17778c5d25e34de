"""`chat` goes before `batch`, and `batch` has its share."""

from collections import Counter

import pytest
from kombu.utils.scheduling import cycle_by_name

from turnstile.turns.celery_message import QUEUES, WEBHOOK_QUEUE
from turnstile.turns.settings import Settings
from turnstile.workers.celery_config import configuration
from turnstile.workers.celery_patches import queue_order
from turnstile.workers.celery_patches.queue_order import ChatFirst

_ALL = (*QUEUES, WEBHOOK_QUEUE)


def _cycle() -> ChatFirst:
    cycle = ChatFirst()
    cycle.update(_ALL)
    return cycle


def _take(cycle: ChatFirst, *waiting: str) -> str:
    """Take from the first queue in which something waits, as BRPOP does."""
    return cycle.rotate(next(queue for queue in cycle.consume(len(_ALL)) if queue in waiting))


def test_workers_look_into_their_queues_in_this_order() -> None:
    options = configuration(Settings())["broker_transport_options"]
    assert isinstance(cycle_by_name(options["queue_order_strategy"])(), ChatFirst)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.25, 0.5])
def test_batch_has_its_share_while_both_wait(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_order, "settings", lambda: Settings(batch_share=share))
    cycle = _cycle()
    taken = Counter(_take(cycle, "chat", "batch") for _ in range(1_000))
    assert abs(taken["batch"] - 1_000 * share) <= 1


def test_chat_is_first_unless_it_is_batch_that_is_due() -> None:
    cycle = _cycle()
    assert [_take(cycle, "chat", "batch") for _ in range(10)] == [*["chat"] * 4, "batch", *["chat"] * 4, "batch"]


def test_batch_takes_all_that_chat_leaves() -> None:
    cycle = _cycle()
    assert {_take(cycle, "batch") for _ in range(50)} == {"batch"}
    assert [_take(cycle, "chat", "batch") for _ in range(5)] == [*["chat"] * 4, "batch"]


def test_what_batch_did_not_ask_for_is_not_owed() -> None:
    cycle = _cycle()
    for _ in range(100):
        _take(cycle, "chat")
    assert [_take(cycle, "chat", "batch") for _ in range(6)] == ["batch", *["chat"] * 4, "batch"]


def test_webhooks_take_turns_with_chat() -> None:
    cycle = _cycle()
    taken = [_take(cycle, "chat", WEBHOOK_QUEUE) for _ in range(6)]
    assert taken == ["chat", WEBHOOK_QUEUE] * 3


def test_a_worker_of_one_queue_looks_there() -> None:
    cycle = ChatFirst()
    cycle.update(["batch"])
    assert (cycle.consume(1), cycle.rotate("batch"), cycle.consume(1)) == (["batch"], "batch", ["batch"])
