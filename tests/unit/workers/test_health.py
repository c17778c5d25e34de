"""The judgement of a worker's parts, and the file that only a healthy worker touches."""

import logging
import os
import socket
from pathlib import Path

import pytest

from tests.support.wait import wait_until
from turnstile.turns.service_manager import tell
from turnstile.workers.process.health import Health


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "health"


def touched(file: Path) -> bool:
    """Return whether the file is touched once more."""
    os.utime(file, (0, 0))
    try:
        wait_until(lambda: file.stat().st_mtime > 0, "the file is touched", seconds=0.5)
    except AssertionError:
        return False
    return True


def test_a_part_is_stale_after_its_patience_and_fresh_again_with_a_beat() -> None:
    health = Health()
    quick, slow = health.part("quick", 0.05), health.part("slow", 60)
    slow.beat()
    assert health.stale() == []
    wait_until(lambda: quick.stale, "the patience is over")
    assert health.stale() == ["quick"]
    quick.beat()
    assert health.stale() == []


def test_a_part_of_one_name_is_one_part() -> None:
    health = Health()
    assert health.part("one", 1) is health.part("one", 2)


def test_the_file_is_there_once_the_worker_is_ready_and_not_before(file: Path) -> None:
    health = Health(str(file), pace=0.02)
    looked = health.part("looked", 0.0)
    health.start()
    wait_until(lambda: health._reported, "the watcher has looked")
    health.retire("looked")
    assert looked.stale
    assert not file.exists()
    health.ready()
    assert file.exists()
    health.stop()


def test_one_stale_part_keeps_the_file_from_being_touched(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    health = Health(str(file), pace=0.02)
    health.part("well", 60)
    hung = health.part("hung", 60)
    health.ready()
    health.start()
    assert touched(file)
    hung._last -= 100
    wait_until(lambda: "no progress: hung" in caplog.messages, "the hang is logged")
    assert not touched(file)
    hung.beat()
    wait_until(lambda: "progress again: hung" in caplog.messages, "the recovery is logged")
    assert touched(file)
    assert sum("hung" in message for message in caplog.messages) == 2
    health.stop()


def test_a_retired_part_is_judged_no_longer(file: Path) -> None:
    health = Health(str(file), pace=0.02)
    health.part("over", 0.0)
    health.retire("over", "never there")
    health.ready()
    assert file.exists()


def test_a_file_that_cannot_be_touched_does_not_end_the_watch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    folder = tmp_path / "later"
    health = Health(str(folder / "health"), pace=0.02)
    health.start()
    health.ready()
    wait_until(lambda: any("TURNSTILE_HEALTH_FILE" in line for line in caplog.messages), "it is logged")
    folder.mkdir()
    wait_until((folder / "health").exists, "the file is there")
    assert len(caplog.messages) == 1
    health.stop()


def test_the_service_manager_hears_of_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        health = Health(pace=0.02)
        hung = health.part("hung", 0.0)
        health.start()
        health.ready()
        assert manager.recv(100) == b"READY=1"
        wait_until(lambda: health._reported, "the watcher has looked")
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.recv(100)
        health.retire(hung.name)
        manager.settimeout(60)
        assert manager.recv(100) == b"WATCHDOG=1"
        health.stop()


def test_nothing_is_told_where_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    tell("READY=1")
    monkeypatch.delenv("NOTIFY_SOCKET")
    tell("READY=1")
