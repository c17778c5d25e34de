"""check_schema: the newest schema is noted, and an older version is refused."""

import pytest
import redis

from tests.scripts.conftest import Memory
from tests.scripts.scene import Scene
from turnstile.turns.store import schema
from turnstile.turns.store.registry import package_version


def newer(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> str:
    """Start a process of the next schema."""
    with monkeypatch.context() as patch:
        patch.setattr(schema, "SCHEMA", schema.SCHEMA + 1)
        patch.setattr(schema, "package_version", lambda: "9.8.7")
        return str(scene.turns.check_schema())


def test_the_first_process_notes_its_schema(scene: Scene) -> None:
    assert scene.turns.schema() == (0, "")
    assert scene.turns.check_schema() == ""
    assert scene.turns.schema() == (schema.SCHEMA, package_version())


def test_a_newer_process_raises_it_and_an_older_one_is_refused_by_name(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.turns.check_schema()
    assert newer(scene, monkeypatch) == ""
    refusal = scene.turns.check_schema()
    assert f"version 9.8.7 (schema {schema.SCHEMA + 1})" in refusal
    assert f"{package_version()} (schema {schema.SCHEMA})" in refusal
    assert "\n" not in refusal
    assert scene.turns.schema() == (schema.SCHEMA + 1, "9.8.7")
    assert newer(scene, monkeypatch) == ""


def test_versions_of_one_schema_go_together(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.turns.check_schema()
    monkeypatch.setattr(schema, "package_version", lambda: "0.0.1")
    assert scene.turns.check_schema() == ""
    assert scene.turns.schema() == (schema.SCHEMA, package_version())


def test_all_versions_find_the_note_in_one_place(scene: Scene) -> None:
    scene.turns.check_schema()
    noted = {"number": str(schema.SCHEMA), "version": package_version()}
    assert scene.client.hgetall(f"{scene.keys.prefix}schema") == noted
    assert scene.client.ttl(f"{scene.keys.prefix}schema") == -1


def test_schemas_are_numbers(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.client.hset(scene.keys.schema, mapping={"number": 9, "version": "1.9"})
    monkeypatch.setattr(schema, "SCHEMA", 10)
    assert scene.turns.check_schema() == ""
    assert scene.turns.schema() == (10, package_version())
    monkeypatch.setattr(schema, "SCHEMA", 9)
    assert "(schema 10)" in scene.turns.check_schema()


def test_a_newer_schema_without_a_version_refuses_too(scene: Scene) -> None:
    scene.client.hset(scene.keys.schema, "number", schema.SCHEMA + 1)
    assert scene.turns.check_schema().startswith(f"version  (schema {schema.SCHEMA + 1})")


@pytest.mark.parametrize("fields", [{"number": "x", "version": "y"}, {"version": "y"}, {"other": "1"}])
def test_a_note_that_is_none_refuses_nobody(scene: Scene, fields: dict[str, str]) -> None:
    scene.client.hset(scene.keys.schema, mapping=fields)
    assert scene.turns.check_schema() == ""
    assert scene.turns.schema() == (schema.SCHEMA, package_version())


def test_a_full_server_takes_the_note(cramped: tuple[Scene, Memory]) -> None:
    scene, memory = cramped
    memory.fill()
    assert scene.turns.check_schema() == ""


def test_nothing_is_written_where_nothing_changes(scene: Scene, client: redis.Redis) -> None:
    scene.turns.check_schema()
    with client.pipeline() as transaction:
        transaction.watch(scene.keys.schema)  # type: ignore[no-untyped-call]  # as redis-py has it
        scene.turns.check_schema()
        transaction.multi()
        transaction.ping()
        # A write to the key would have made it fail.
        assert transaction.execute() == [True]
