"""Keys: no two things share one."""

import inspect

from hypothesis import given
from hypothesis import strategies as st

from turnstile.turns.redis.keys import Keys

_KEYS = Keys()
_NAMED = tuple(
    name
    for name, member in inspect.getmembers(Keys, inspect.isfunction)
    if not name.startswith("_") and name not in ("celery_result", "history", "queue")
)
_SINGLE = tuple(name for name, _ in inspect.getmembers(Keys, lambda member: isinstance(member, property)))

_PART = st.from_regex(r"[A-Za-z0-9._@+~=:-]{1,200}", fullmatch=True)
SESSIONS = st.one_of(_PART, st.tuples(_PART, _PART).map("/".join))


def _key(kind: str, name: str) -> str:
    return str(getattr(_KEYS, kind) if kind in _SINGLE else getattr(_KEYS, kind)(name))


def test_the_seed_s_history_is_where_it_was() -> None:
    assert _KEYS.history("foo") == "message_store:foo"
    assert _KEYS.celery_result("x") == "celery-task-meta-x"


def test_deployments_on_one_server_have_queues_of_their_own() -> None:
    assert _KEYS.queue("chat") == "chat"
    assert Keys("a:").queue("chat") == "a:queue:chat"


def test_the_keys_by_their_names() -> None:
    assert {name: _key(name, "x") for name in _NAMED} == {name: f"turnstile:{name}:x" for name in _NAMED}
    stored = {name: "roll" if name == "heard" else name for name in _SINGLE}
    assert {name: _key(name, "") for name in _SINGLE} == {name: f"turnstile:{stored[name]}" for name in _SINGLE}


@given(st.sampled_from(_NAMED), SESSIONS, st.sampled_from(_NAMED + _SINGLE), SESSIONS)
def test_different_things_have_different_keys(kind: str, name: str, other_kind: str, other: str) -> None:
    same = kind == other_kind and name == other
    assert (_key(kind, name) == _key(other_kind, other)) == same
    assert _KEYS.history(name) not in (_key(other_kind, other), _KEYS.celery_result(other))


@given(SESSIONS)
def test_the_prefix_and_the_name_make_the_key(session: str) -> None:
    keys = Keys(prefix="p:", history_prefix="h:")
    assert keys.history(session) == keys.history() + session
    for kind in _NAMED:
        assert getattr(keys, kind)(session) == getattr(keys, kind)() + session
        assert getattr(keys, kind)(session).startswith("p:")
