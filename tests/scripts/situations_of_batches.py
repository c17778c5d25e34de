"""Situations of files and batches."""

from collections.abc import Callable
from typing import Any

from tests.scripts.scene import Scene
from tests.scripts.situation import hooks, situation
from turnstile.turns.store.batches import Place


def _uploaded(scene: Scene) -> None:
    hooks(scene).create_file("", "file", "x.jsonl")
    hooks(scene).append_piece("", "file", 0, 0, b"a line", last=True)


def _begin(scene: Scene, batch: str = "batch") -> None:
    hooks(scene).create_batch("", batch, "file", "{}", "fingerprint", 60)


def _owned(scene: Scene) -> None:
    _uploaded(scene)
    _begin(scene)
    hooks(scene).claim_batch("token")
    hooks(scene).start_batch("batch", "token", 1)


@situation("create_file")
def _of_a_tenant(scene: Scene) -> Callable[[], Any]:
    return lambda: hooks(scene).create_file("", "file", "x.jsonl")


@situation("create_file")
def _beside_one_that_has_expired(scene: Scene) -> Callable[[], Any]:
    _uploaded(scene)
    scene.client.zadd(scene.keys.files(), {"file": 1})
    return lambda: hooks(scene).create_file("", "another", "x.jsonl")


@situation("append_piece")
def _second(scene: Scene) -> Callable[[], Any]:
    _uploaded(scene)
    return lambda: hooks(scene).append_piece("", "file", 1, 6, b"another")


@situation("delete_file")
def _with_a_piece(scene: Scene) -> Callable[[], Any]:
    _uploaded(scene)
    return lambda: hooks(scene).delete_file("", "file") if hooks(scene).client.exists(scene.keys.file("file")) else None


@situation("erase_tenant")
def _with_a_batch(scene: Scene) -> Callable[[], Any]:
    store = hooks(scene)
    store.create_file("acme", "own", "x.jsonl")
    store.append_piece("acme", "own", 0, 0, b"a line", last=True)
    store.create_batch("acme", "batch", "own", "{}", "fingerprint", 60)
    return lambda: store.erase_tenant("acme")


@situation("create_batch")
def _over_a_file(scene: Scene) -> Callable[[], Any]:
    _uploaded(scene)
    return lambda: _begin(scene)


@situation("read_results")
def _of_a_batch(scene: Scene) -> Callable[[], Any]:
    _owned(scene)
    hooks(scene).record_result("batch", "token", 1, "completed", "{}", Place(1, 1, 0))
    return lambda: hooks(scene).read_results("file-completed_batch", 1, 1)


@situation("recorded_lines")
def _of_one(scene: Scene) -> Callable[[], Any]:
    _owned(scene)
    return lambda: hooks(scene).recorded_lines("file-completed_batch", 1, 1)


@situation("claim_batch")
def _that_is_new(scene: Scene) -> Callable[[], Any]:
    _uploaded(scene)
    _begin(scene)
    return lambda: hooks(scene).claim_batch("token")


@situation("claim_batch")
def _that_has_ended(scene: Scene) -> Callable[[], Any]:
    _owned(scene)
    hooks(scene).end_batch("batch", "token", "completed", "")
    scene.client.zadd(scene.keys.batches_due, {"/batch": 1})
    scene.client.zadd(scene.keys.unfinished(), {"batch": 1})
    return lambda: hooks(scene).claim_batch("token")


@situation("renew_batch")
def _of_its_owner(scene: Scene) -> Callable[[], Any]:
    _owned(scene)
    return lambda: hooks(scene).renew_batch("batch", "token")


@situation("start_batch")
def _that_was_taken(scene: Scene) -> Callable[[], Any]:
    _uploaded(scene)
    _begin(scene)
    hooks(scene).claim_batch("token")
    return lambda: hooks(scene).start_batch("batch", "token", 1)


@situation("record_result")
def _of_a_line(scene: Scene) -> Callable[[], Any]:
    _owned(scene)
    return lambda: hooks(scene).record_result("batch", "token", 1, "completed", "{}", Place(1, 1, 0))


@situation("record_result")
def _that_was_not_asked(scene: Scene) -> Callable[[], Any]:
    _owned(scene)
    return lambda: hooks(scene).record_result("batch", "token", 1, "failed", "{}", Place(1, 1, 0), asked=False)


@situation("cancel_batch")
def _under_way(scene: Scene) -> Callable[[], Any]:
    _owned(scene)
    return lambda: hooks(scene).cancel_batch("", "batch")


@situation("cancel_batch")
def _that_waits(scene: Scene) -> Callable[[], Any]:
    _uploaded(scene)
    _begin(scene)
    return lambda: hooks(scene).cancel_batch("", "batch")


@situation("end_batch")
def _with_results(scene: Scene) -> Callable[[], Any]:
    _owned(scene)
    hooks(scene).record_result("batch", "token", 1, "completed", "{}", Place(1, 1, 0))
    return lambda: hooks(scene).end_batch("batch", "token", "completed", "")
