"""The keys in force while their file changes, breaks, and goes away."""

import json
import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from turnstile.turns import keyring
from turnstile.turns.api_keys import NewKey, new_key
from turnstile.turns.errors import SettingError
from turnstile.turns.keyring import Keyring
from turnstile.turns.repeated_errors import RepeatedWarnings
from turnstile.turns.settings import Settings

ONE, TWO, THREE = new_key("one"), new_key("two"), new_key("three")


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every call look at the file, and nothing said before."""
    monkeypatch.setattr(keyring, "_LOOK_SECONDS", -1.0)
    monkeypatch.setattr(keyring, "_warnings", RepeatedWarnings(keyring.__name__))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    _write(path, ONE, TWO)
    return path


@pytest.fixture
def ring(file: Path) -> Keyring:
    return Keyring(Settings(api_keys_file=str(file), api_keys=SecretStr(_entries(THREE))))


def _entries(*keys: NewKey) -> str:
    return json.dumps({key.digest: key.entry for key in keys})


def _write(path: Path, *keys: NewKey) -> None:
    path.write_text(_entries(*keys))


def _known(ring: Keyring) -> list[bool]:
    return [ring.find(key.text) is not None for key in (ONE, TWO, THREE)]


def test_a_removed_key_is_refused_and_told_of(ring: Keyring, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert _known(ring) == [True, True, True]
    _write(file, ONE)
    assert _known(ring) == [True, False, True]
    assert "1 API keys are no longer accepted" in caplog.text
    assert TWO.digest not in caplog.text
    assert ring.problem == ""


def test_another_file_of_the_same_size_and_time_is_read(ring: Keyring, file: Path) -> None:
    _write(file, ONE)
    assert _known(ring) == [True, False, True]
    before = file.stat()
    _write(file, TWO)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert _known(ring) == [False, True, True]


@pytest.mark.parametrize("text", [b"", b"\n", b"{ half a fi", b"[]", b"\xff", b'{"short": {"name": "x"}}'])
def test_a_broken_file_changes_nothing_and_is_told_of(
    ring: Keyring, file: Path, caplog: pytest.LogCaptureFixture, text: bytes
) -> None:
    file.write_bytes(text)
    for _ in range(5):
        assert _known(ring) == [True, True, True]
    assert "still accepted" in ring.problem
    assert caplog.text.count("TURNSTILE_API_KEYS_FILE") == 1
    _write(file, TWO)
    assert _known(ring) == [False, True, True]
    assert ring.problem == ""
    assert "is read again" in caplog.text


def test_a_file_that_is_gone_has_no_keys(ring: Keyring, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.unlink()
    ring.by_id("")
    for _ in range(5):
        assert _known(ring) == [False, False, True]
    assert ring.enforced
    assert "is gone" in ring.problem
    assert caplog.text.count("is gone") == 1
    assert "2 API keys are no longer accepted" in caplog.text
    _write(file, TWO)
    assert _known(ring) == [False, True, True]


def test_a_file_that_is_away_for_a_moment_changes_nothing(ring: Keyring, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    held = file.with_suffix(".old")
    file.rename(held)
    assert ring.find(ONE.text)
    held.rename(file)
    assert _known(ring) == [True, True, True]
    assert "no longer accepted" not in caplog.text


def test_a_file_that_cannot_be_read_at_first_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"TURNSTILE_API_KEYS_FILE.*nothing.json cannot be read"):
        Keyring(Settings(api_keys_file=str(tmp_path / "nothing.json")))


def test_a_file_that_everybody_may_read_is_warned_of_at_the_start(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.chmod(0o604)
    keyring.keyring(Settings(api_keys_file=str(file)))
    assert f"every user of this machine may read {file}" in caplog.text
