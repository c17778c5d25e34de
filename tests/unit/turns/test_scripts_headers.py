"""Every script's header agrees with its body, its parts, and the store that reads its reply."""

import inspect
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from turnstile.turns.errors import InvalidTurn
from turnstile.turns.question import Options
from turnstile.turns.redis.keys import Keys
from turnstile.turns.redis.scripts import FOLDERS, NAMES, PARTS, SOURCES, build, code, header, uses
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.replies import OneOf
from turnstile.turns.store.roster import introduce
from turnstile.turns.store.runner import Call, operation
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.store.webhooks import Notice
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim

_FOLDER = files("turnstile.turns").joinpath("lua")
MOST_LINES = 60
_CLAIM = Claim("a", "foo", "1:n", 1, 4, 0, "hi", Options(), stream=True, created=0, started=0, now=0, window=())
_FITTING: dict[str, Any] = {
    "id": "a", "turn": "a", "previous": "b", "session": "foo", "branch": "bar", "question": "hi", "worker": "w", "nonce": "n",
    "held": [_CLAIM], "claim": _CLAIM, "after": 0, "pieces": ["hi"], "outcome": Outcome(State.COMPLETED), "sessions": ["foo"],
    "ids": ["a"], "error": InvalidTurn("no"), "name": "refused", "metadata": {}, "element": b"{}", "first": 0, "last": 1,
    "notice": Notice("a", "e", "t", 0, "u", "k", 1), "key": "k", "per_minute": 1, "role": "worker",
    "facts": {**introduce(Settings()), "started": 0, "seen": 0},
}  # fmt: skip
"""An argument that fits each required parameter of an operation."""
_STORE = TurnStore(Settings(), "redis://localhost")

# What a script calls a key, and how its header writes it.
_PATTERNS = {name: name for name, value in vars(Keys).items() if isinstance(value, property)} | {
    "conversation": "conversation:<session>",
    "session": "session:<session>", "mailbox": "mailbox:<session>", "turns": "turns:<session>", "turn": "turn:<id>",
    "events": "events:<id>", "owned": "owned:<worker>", "history": "message_store:<session>",
    "celery_result": "celery-task-meta-<id>", "orders": "orders:<worker>", "wake": "wake:<id>",
    "probe": "probe:<name>", "webhook": "webhook:<id>", "rate": "rate:<key>", "queue": "<queue>",
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
    for label in ("KEYS", "ARGV", "RETURN"):
        assert header(SOURCES[name], label)
    labels = re.findall(r"(?m)^-- ([A-Z]{4,})\b", SOURCES[name])
    assert labels == [label for label in ("FLAGS", "KEYS", "ARGV", "RETURN") if label in labels]


@pytest.mark.parametrize("name", NAMES)
def test_the_flags_are_redis_own(name: str) -> None:
    assert set(_words(name, "FLAGS")) <= {"allow-oom", "no-writes"}
    source = build(Settings())[name].source
    assert source.startswith("#!lua")
    assert ("flags=" in source.splitlines()[0]) == bool(_words(name, "FLAGS"))


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


def test_a_part_stands_after_those_that_it_needs() -> None:
    for name in NAMES:
        for place, part in enumerate(parts := uses(name)):
            assert {call for call in PARTS if re.search(rf"(?<!function )\b{call}\(", code(PARTS[part]))} <= set(parts[:place])


def test_the_clock_is_the_only_time() -> None:
    texts = {**SOURCES, **PARTS}
    assert [name for name, text in texts.items() if "'TIME'" in code(text)] == ["clock"]
    assert not [name for name, text in texts.items() if re.search(r"\bos\.", code(text))]


def _below_the_locals(name: str) -> str:
    """The code after the first run of `local` lines."""
    lines = code(SOURCES[name]).strip().splitlines()
    while lines and lines[0].startswith("local ") and not lines[0].startswith("local function"):
        lines.pop(0)
    return "\n".join(lines)


@pytest.mark.parametrize("name", NAMES)
def test_arguments_have_names(name: str) -> None:
    below = _below_the_locals(name)
    assert "KEYS[" not in code(SOURCES[name])
    bare = [line for line in below.splitlines() if "ARGV[" in line]
    # Lists of any length are walked with an index that is no number.
    assert not [line for line in bare if re.search(r"ARGV\[\d", line)]


@pytest.mark.parametrize("name", NAMES)
def test_as_many_arguments_as_are_read(name: str) -> None:
    arguments = re.sub(r"\([^)]*\)…?|\S+…", "", header(SOURCES[name], "ARGV").partition(":")[0]).split()
    text = code(SOURCES[name])
    bound = re.search(r"local ([\w, ]+) = unpack\(ARGV", text)
    if bound:
        assert bound[1].split(", ") == arguments
    else:
        assert {int(index) for index in re.findall(r"ARGV\[(\d+)\]", text)} == set(range(1, len(arguments) + 1))


def _returned(code: str) -> set[str]:
    """The words in quotes that a script answers with."""
    return (
        set(re.findall(r"return \{ '(\w+)'", code))
        | set(re.findall(r"\bword = '(\w+)'", code))
        | set(re.findall(r"local reply = \{ '(\w+)'", code))
    )


def _promised(name: str) -> set[str]:
    return {alternative.split()[0].rstrip(",") for alternative in header(SOURCES[name], "RETURN").split("|")}


def _described(described: operation[..., Any]) -> Call[Any]:
    """A call that an operation describes, made of arguments that fit."""
    required = [p for p in inspect.signature(described.describe).parameters.values() if p.default is p.empty]
    return described.describe(_STORE, *(_FITTING[p.name] for p in required[1:]))


def _readers(script: str) -> list[set[str] | None]:
    """The words that each call of a script can read; None: it is not read by words."""
    declared = [value for role in TurnStore.__mro__ for value in vars(role).values() if isinstance(value, operation)]
    calls = [call for call in map(_described, declared) if call.name == script]
    readers = [getattr(call.read, "func", getattr(call.read, "__self__", call.read)) for call in calls]
    return [{word.decode() for word in reader.readers} if isinstance(reader, OneOf) else None for reader in readers]


@pytest.mark.parametrize("name", NAMES)
def test_every_word_that_a_script_answers_with_is_promised_and_read(name: str) -> None:
    readers = _readers(name)
    assert readers
    words = _returned(code(SOURCES[name]))
    assert words == (_promised(name) if words else set())
    assert readers == [words or None] * len(readers)


@pytest.mark.parametrize("name", NAMES)
def test_the_constants_that_are_used_exist(name: str) -> None:
    prelude = build(Settings())[name].source.split("\n", 3)
    for table, line in (("key", prelude[1]), ("rule", prelude[2])):
        used = set(re.findall(rf"\b{table}\.(\w+)", _whole(name)))
        assert used <= set(re.findall(r"[{,] (\w+) = ", line))


@pytest.mark.parametrize("name", NAMES)
def test_every_constant_is_used(name: str) -> None:
    _, keys, rules, code = build(Settings())[name].source.split("\n", 3)
    for table, line in (("key", keys), ("rule", rules)):
        without_texts = re.sub(r"\[==\[.*?\]==\]|\"[^\"]*\"", "", line)
        assert set(re.findall(r"[{,] (\w+) = ", without_texts)) == set(re.findall(rf"\b{table}\.(\w+)", code))


def test_no_name_leaks_out_of_a_script() -> None:
    for text in (*SOURCES.values(), *PARTS.values()):
        assert not re.search(r"(?m)^\s*function ", code(text))


def test_settings_make_different_scripts() -> None:
    plain, other = build(Settings()), build(Settings(key_prefix="other:"))
    assert all(plain[name].sha != other[name].sha for name in NAMES)
    assert plain == build(Settings())
