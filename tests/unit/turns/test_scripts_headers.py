"""Every script's header agrees with its body, its parts, and the store that reads its reply."""

import re
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from pkgutil import iter_modules

import pytest

from turnstile.turns import store
from turnstile.turns.redis.keys import Keys
from turnstile.turns.redis.script_text import code
from turnstile.turns.redis.scripts import FOLDERS, NAMES, PARTS, SOURCES, answers, build, header, uses
from turnstile.turns.settings import Settings
from turnstile.turns.store.replies import OneOf
from turnstile.turns.store.rights import ROLES, commands

_FOLDER = files("turnstile.turns").joinpath("lua")
MOST_LINES = 60
# What a script calls a key, and how its header writes it.
_PATTERNS = {name: name for name, value in vars(Keys).items() if isinstance(value, property)} | {
    "conversation": "conversation:<session>",
    "session": "session:<session>", "mailbox": "mailbox:<session>", "turns": "turns:<session>", "turn": "turn:<id>",
    "answered": "answered:<session>", "events": "events:<id>", "owned": "owned:<worker>", "history": "message_store:<session>",
    "celery_result": "celery-task-meta-<id>", "orders": "orders:<worker>", "wake": "wake:<id>",
    "steps": "steps:<thread>", "probe": "probe:<name>", "erased": "erased:<number>", "webhook": "webhook:<id>",
    "webhook_line": "webhook_line:<key>", "webhooks_of": "webhooks_of:<key>",
    "rate": "rate:<key>", "file": "file:<file>", "files": "files:<tenant>", "pieces": "pieces:<file>", "batch": "batch:<batch>",
    "batches": "batches:<tenant>", "results": "results:<file>", "stored": "stored:<tenant>",
    "unfinished": "unfinished:<tenant>",
    "queue": "<queue>", "ready": "ready:<line>", "rotation": "rotation:<queue>", "parked": "parked:<queue>",
    "slots": "slots:<tenant>", "open_turns": "open_turns:<tenant>", "open_bytes": "open_bytes:<tenant>",
    "tenant": "tenant:<tenant>", "conversations": "conversations:<tenant>", "streams": "streams:<tenant>",
    "schedule": "schedule:<schedule>", "schedules": "schedules:<tenant>",
    "scheduled_bytes": "scheduled_bytes:<tenant>",
    "counted": "counted:<token>", "budget": "budget:<model>", "calls": "calls:<model>", "promised": "promised:<model>",
    "coming": "coming:<model>", "first_call": "first_call:<kind>", "outage": "outage:<kind>",
}  # fmt: skip


def _words(name: str, label: str) -> list[str]:
    return header(SOURCES[name], label).split()


def _whole(name: str) -> str:
    return "\n".join([*(code(PARTS[part]) for part in uses(name)), code(SOURCES[name])])


def test_no_name_is_used_twice() -> None:
    files = [file.name for folder in (*FOLDERS, "lib") for file in _FOLDER.joinpath(folder).iterdir()]
    assert len(files) == len(set(files)) == len(NAMES) + len(PARTS)
    assert len(files) == len(list(Path(str(_FOLDER)).rglob("*.lua")))


@pytest.mark.parametrize("text", [*SOURCES.values(), *PARTS.values()], ids=[*SOURCES, *PARTS])
def test_no_file_is_long(text: str) -> None:
    assert len(text.splitlines()) <= MOST_LINES


@pytest.mark.parametrize("name", NAMES)
def test_the_header_is_whole(name: str) -> None:
    first = SOURCES[name].splitlines()[0]
    assert re.match(r"-- [A-Z].*", first)
    assert not re.match(r"-- [A-Z]{4}", first)
    for label in ("WORK", "KEYS", "ARGV", "RETURN"):
        assert header(SOURCES[name], label)
    labels = re.findall(r"(?m)^-- ([A-Z]{4,})\b", SOURCES[name])
    assert labels == [label for label in ("FLAGS", "WORK", "KEYS", "ARGV", "RETURN") if label in labels]


@pytest.mark.parametrize("name", NAMES)
def test_the_flags_are_redis_own(name: str) -> None:
    assert set(_words(name, "FLAGS")) <= {"allow-oom", "no-writes"}
    source = build(Settings())[name].source
    assert source.startswith("#!lua")
    assert ("flags=" in source.splitlines()[0]) == bool(_words(name, "FLAGS"))


def test_only_new_work_is_refused_while_memory_is_full() -> None:
    refused = {name for name in NAMES if not _words(name, "FLAGS")}
    assert refused == {
        "submit", "submit_held", "follow", "retry", "emit", "write_conversation", "add_schedule", "ask_scheduled",
        "create_batch", "create_file", "append_piece", "resend_webhook",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_keys_are_those_that_are_used(name: str) -> None:
    listed = set(re.sub(r";? channels?\b", " ", header(SOURCES[name], "KEYS")).replace("…", "").split())
    code = _whole(name)
    used = {_PATTERNS[key] for key in re.findall(r"\bkey\.(\w+)", code)}
    assert listed == used


@pytest.mark.parametrize("name", NAMES)
def test_channels_are_told_from_keys(name: str) -> None:
    text = header(SOURCES[name], "KEYS")
    stored, _, channels = text.partition(";")
    for pattern in ("orders:<worker>", "wake:<id>"):
        assert pattern not in stored
        assert (pattern in channels) == (f"key.{pattern.partition(':')[0]}" in _whole(name))
    assert re.fullmatch(r"( channel [^ ]+| channels( [^ ]+){2,})?", channels)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_says_how_it_is_called(part: str) -> None:
    signature = re.search(rf"local function {part}\((.*?)\)", PARTS[part])
    assert signature
    assert PARTS[part].startswith(f"-- {part}({signature[1]})")


def test_every_part_is_used() -> None:
    assert {part for name in NAMES for part in uses(name)} == set(PARTS)


def test_the_clock_is_the_only_time() -> None:
    texts = {**SOURCES, **PARTS}
    assert [name for name, text in texts.items() if "'TIME'" in code(text)] == ["clock"]
    assert not [name for name, text in texts.items() if re.search(r"\bos\.", code(text))]


def _returned(code: str) -> set[str]:
    """Return the words in quotes that a script answers with, or a part that answers for it."""
    code += "".join(PARTS.get(part, "") for part in re.findall(r"(?m)^return (\w+)\(", code))
    return (
        set(re.findall(r"return \{ '(\w+)'", code))
        | set(re.findall(r"\bword = '(\w+)'", code))
        | set(re.findall(r"local reply = \{ '(\w+)'", code))
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_script_answers_with_the_words_that_its_header_promises(name: str) -> None:
    words = _returned(code(SOURCES[name]))
    assert words == (answers(name) if words else set())


def test_words_are_read_strictly() -> None:
    modules = [import_module(f"turnstile.turns.store.{module.name}") for module in iter_modules(store.__path__)]
    strict = {value.script for module in modules for value in vars(module).values() if isinstance(value, OneOf)}
    assert strict == {name for name in NAMES if _returned(code(SOURCES[name]))}


@pytest.mark.parametrize("text", [*SOURCES.values(), *PARTS.values()], ids=[*SOURCES, *PARTS])
def test_arguments_come_by_name(text: str) -> None:
    assert not re.search(r"\b(ARGV|KEYS)\b", code(text))


def test_a_constant_that_does_not_exist_stops_the_building(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "stats", "-- FLAGS no-writes\n\nreturn rule.patiense")
    with pytest.raises(KeyError, match="patiense"):
        build(Settings())


@pytest.mark.parametrize("role", ROLES)
def test_the_right_to_every_command_can_be_tried(role: str) -> None:
    tried = set(re.findall(r"\b([A-Z]+) = \{", SOURCES["rights"]))
    assert set(commands(role, tuple(build(Settings()).values()))) <= tried


def test_no_name_leaks_out_of_a_script() -> None:
    for text in (*SOURCES.values(), *PARTS.values()):
        assert not re.search(r"(?m)^\s*function ", code(text))


def test_settings_make_different_scripts() -> None:
    plain, other = build(Settings()), build(Settings(key_prefix="other:", history_prefix="another:"))
    assert all(plain[name].sha != other[name].sha for name in NAMES)
    assert plain == build(Settings())
