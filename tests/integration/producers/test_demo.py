"""`turnstile demo`, whole: it shows the main job, finds its own faults, and leaves nothing behind."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from tests.support.processes import environment
from tests.support.step_worker import answering
from tests.support.wait import PATIENCE_SECONDS
from turnstile.producers.cli import demo
from turnstile.producers.cli.terminal import Terminal
from turnstile.producers.client import ChatClient
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore


def run_demo(tmp_path: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", "from turnstile.producers.cli.commands import main; main()", "demo"]
    where = environment({"TMPDIR": str(tmp_path), **env})
    return subprocess.run(
        command, env=where, capture_output=True, text=True, timeout=PATIENCE_SECONDS, stdin=subprocess.DEVNULL
    )


def test_the_demo_on_a_server_of_its_own(tmp_path: Path) -> None:
    done = run_demo(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "an embedded Valkey" in done.stdout
    assert "the offline stand-in" in done.stdout
    assert re.search(r"Flower: +http://127\.0\.0\.1:\d+", done.stdout)
    assert "user: Hi! I'm bob\n  assistant: Hello Bob!" in done.stdout
    assert "user: Whats my name\n  assistant: Your name is Bob.\n" in done.stdout
    assert "20 of 20 answers came." in done.stdout
    assert re.search(r"signal 9 to process \d+, in which the tool runs\n  assistant: pay returned paid 100", done.stdout)
    assert "The tool began 2 times, with one idempotency key; its ledger has 1 entry." in done.stdout
    assert "\x1b" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_demo_on_a_server_of_the_users(tmp_path: Path, redis_url: str, client: redis.Redis) -> None:
    client.lpush("message_store:foo", "what the user has in session foo")
    done = run_demo(tmp_path, REDIS_URL=redis_url)
    assert done.returncode == 0, done.stderr
    assert "yours, from REDIS_URL" in done.stdout
    assert client.keys("message_store:*") == ["message_store:foo"]
    assert client.lrange("message_store:foo", 0, -1) == ["what the user has in session foo"]


def test_the_stand_in_never_answers_real_questions(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    TurnStore(settings).submit("t1", "foo", "a real question")
    assert demo.run(settings) == 1
    assert "1 turns are open" in capsys.readouterr().err
    assert TurnStore(settings).status("t1").attempts == 0


@pytest.mark.parametrize(("answer", "faults"), [("Your name is Bob.", 0), ("I do not know.", 1)])
def test_a_wrong_answer_is_a_fault(answer: str, faults: int, settings: Settings) -> None:
    plan = demo.Plan(settings, own_server=True, workers=2, session="foo", others=())
    with answering(settings, lambda _: answer):
        assert len(demo._two_questions(Terminal(), ChatClient(settings=settings), plan)) == faults


async def test_answers_that_do_not_come_are_a_fault(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_TURN_SECONDS", 0.1)
    plan = demo.Plan(settings, own_server=True, workers=2, session="foo", others=("one", "two"))
    assert await demo._many_sessions(Terminal(), plan, settings.redis_url) == ["only 0 of 2 sessions got their answer"]
