"""The commands, against a real server and a worker by hand."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from click.testing import Result

from tests.integration.producers.conftest import Run
from tests.support.processes import environment
from tests.support.step_worker import StepWorker, answering
from tests.support.wait import PATIENCE_SECONDS
from turnstile.producers.cli.terminal import Terminal
from turnstile.producers.client import ChatClient
from turnstile.turns.api_keys import Limits
from turnstile.turns.settings import Settings
from turnstile.turns.states import State


@pytest.fixture
def worker(settings: Settings) -> Iterator[None]:
    with answering(settings):
        yield


def lines(result: Result) -> list[Any]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.usefixtures("worker")
def test_ask_shows_the_answer_and_nothing_else(run: Run) -> None:
    result = run("ask", "foo", "How are you?")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "You said: How are you?\n", "")


@pytest.mark.usefixtures("worker")
def test_ask_reads_a_question_from_stdin(run: Run) -> None:
    assert run("ask", "foo", "-", input="from a pipe").stdout == "You said: from a pipe\n"


@pytest.mark.usefixtures("worker")
def test_ask_as_json_is_the_record(run: Run) -> None:
    options = ["--id", "t1", "--model", "m", "--temperature", "0.5", "--max-output-tokens", "9", "--deadline", "60"]
    [record] = lines(run("ask", "foo", "hello", "--json", "--instructions", "Be brief.", *options))
    assert (record["id"], record["state"], record["answer"]) == ("t1", "completed", "You said: hello")
    wanted = {"model": "m", "temperature": 0.5, "max_output_tokens": 9, "deadline_seconds": 60.0, "instructions": "Be brief."}
    assert {name: record["options"][name] for name in wanted} == wanted


def test_ask_without_waiting_prints_the_id(run: Run) -> None:
    id = run("ask", "foo", "hello", "--no-wait").stdout.strip()
    assert json.loads(run("status", id, "--json").stdout)["state"] == "queued"
    assert lines(run("ask", "foo", "again", "--no-wait", "--json", "--id", "t2")) == [
        {"id": "t2", "session": "foo", "state": "queued", "place": 1}
    ]


def test_ask_chooses_a_chain(run: Run) -> None:
    id = run("ask", "foo", "hello", "--no-wait", "--chain", "support").stdout.strip()
    assert json.loads(run("status", id, "--json").stdout)["options"]["chain"] == "support"


def test_ask_that_takes_too_long_says_how_to_go_on(run: Run) -> None:
    result = run("ask", "foo", "hello", "--timeout", "0.1", "--id", "t1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "turnstile status t1" in result.stderr


def test_a_failed_turn_is_told_in_a_line(run: Run, step_worker: StepWorker) -> None:
    with step_worker.later(lambda: step_worker.fail(step_worker.take(), "rate_limited", "The model's server is busy.")):
        result = run("ask", "foo", "hello")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "turnstile: rate_limited: The model's server is busy.\n"


def test_a_failed_turn_as_json_is_its_record(run: Run, step_worker: StepWorker) -> None:
    with step_worker.later(lambda: step_worker.fail(step_worker.take(), "rate_limited")):
        result = run("ask", "foo", "hello", "--json")
    assert result.exit_code == 1
    assert [(record["state"], record["code"]) for record in lines(result)] == [("failed", "rate_limited")]


def test_an_answer_that_starts_over_is_shown_whole_after_a_word_about_it(run: Run, step_worker: StepWorker) -> None:
    def stumble() -> None:
        claim = step_worker.take()
        step_worker.say(claim, "Hel")
        shown.wait()
        step_worker.store.requeue(claim)
        again = step_worker.take()
        step_worker.say(again, "Good day")
        step_worker.answer(again, "Good day")

    shown = Shown()
    with step_worker.later(stumble), shown.watching("Hel"):
        result = run("ask", "foo", "hello")
    assert result.stdout == "Hel\nGood day\n"
    assert "was restarted" in result.stderr


def test_an_answer_that_was_cut_short_is_marked(run: Run, step_worker: StepWorker) -> None:
    with step_worker.later(lambda: step_worker.answer(step_worker.take(), "Hel", State.INCOMPLETE)):
        result = run("ask", "foo", "hello")
    assert (result.exit_code, result.stdout) == (0, "Hel\n")
    assert "stopped before the end" in result.stderr


@pytest.mark.usefixtures("worker")
def test_history_is_shown_oldest_first(run: Run) -> None:
    run("ask", "foo", "one")
    run("ask", "foo", "two")
    assert run("history", "foo").stdout == "user: one\nassistant: You said: one\nuser: two\nassistant: You said: two\n"
    [message] = lines(run("history", "foo", "--limit", "1", "--json"))
    assert (message["role"], message["content"]) == ("assistant", "You said: two")
    unknown = run("history", "nobody")
    assert (unknown.exit_code, unknown.stdout) == (0, "")
    assert unknown.stderr.startswith("Session nobody has no history")


def test_status_shows_what_is_known(run: Run) -> None:
    run("ask", "foo", "hello", "--no-wait", "--id", "t1")
    shown = run("status", "t1").stdout
    assert "state     queued, next in its session" in shown
    assert "question  hello" in shown


def test_an_unknown_turn_is_told_in_a_line(run: Run) -> None:
    for command in ("status", "cancel", "retry"):
        result = run(command, "nobody")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("turnstile: There is no turn nobody:")


def test_cancel_says_what_stands(run: Run, asked: ChatClient, step_worker: StepWorker) -> None:
    asked.ask("foo", "one", id="t1")
    step_worker.answer(step_worker.take(), "one")
    asked.ask("foo", "two", id="t2")
    late = run("cancel", "t1")
    assert (late.exit_code, late.stdout) == (1, "completed\n")
    assert run("cancel", "t2").stdout == "cancelled\n"
    assert lines(run("cancel", "t2", "--json")) == [{"id": "t2", "state": "cancelled"}]


def test_turns_of_a_session_are_listed_and_stopped(run: Run, asked: ChatClient, step_worker: StepWorker) -> None:
    for id in ("t1", "t2"):
        asked.ask("foo", "hello", id=id)
    step_worker.take()
    assert run("unfinished", "foo").stdout == "t1\nt2\n"
    assert lines(run("unfinished", "foo", "--limit", "1", "--json")) == [{"id": "t1"}]
    kept = run("cancel", "t1", "--keep")
    assert (kept.exit_code, kept.stdout) == (0, "running\n")
    assert run("cancel", "t2", "--keep").stdout == "cancelled\n"
    assert run("unfinished", "nobody").stderr == "Session nobody has no unfinished turn.\n"


def test_stats_are_counters_alone(asked: ChatClient) -> None:
    asked.ask("foo", "hello", id="t1")
    found, notes = asked.stats(), asked.store.stats()
    assert (found["accepted"], found["open"]) == (1, 1)
    assert "sent:chat" in notes
    assert not [name for name in found if ":" in name and not name.startswith("ready:")]


def test_failed_turns_are_listed_and_retried(run: Run, asked: ChatClient, step_worker: StepWorker) -> None:
    assert run("failed").stdout == ""
    asked.ask("foo", "one", id="t1")
    step_worker.fail(step_worker.take(), "rate_limited", "Busy.")
    assert "t1" in run("failed").stdout
    assert [(record["id"], record["code"]) for record in lines(run("failed", "--json"))] == [("t1", "rate_limited")]
    assert run("retry", "t1").stdout == "queued\n"
    assert run("failed").stdout == ""
    step_worker.answer(step_worker.take(), "one")
    late = run("retry", "t1")
    assert (late.exit_code, late.stdout) == (1, "completed\n")


@pytest.mark.usefixtures("worker")
def test_erase_forgets(run: Run) -> None:
    run("ask", "foo", "hello")
    assert run("erase", "foo", "--yes").stdout == "turns forgotten: 1, messages forgotten: 2\n"
    assert lines(run("erase", "foo", "--json")) == [{"turns": 0, "messages": 0}]


def test_tenants_are_listed_with_what_they_have_and_may(run: Run, asked: ChatClient) -> None:
    asked.store.submit("t1", "acme/foo", "hi", quotas=Limits(running_turns=3, conversations=5, spend_per_day=0.5).quotas)
    [tenant] = lines(run("tenants", "--json"))
    assert (tenant["name"], tenant["unfinished"], tenant["slots"], tenant["tokens"]) == ("acme", 1, 1, 0)
    assert tenant["quotas"] == {"running_turns": 3, "conversations": 5, "spend_per_day": 0.5}
    told = run("tenants").stdout
    assert "1 unfinished, 1 slots, 1 conversations; 0 turns" in told
    assert "limits: running_turns=3 conversations=5 spend_per_day=0.5" in told


def test_a_key_has_the_limits_and_the_policy_that_are_given(run: Run) -> None:
    limits = ("--limit", "running_turns=3", "--limit", "spend_per_day=0.5", "--limit", "models=gpt-4o,fast")
    [made] = lines(run("key", "shop", "--json", "--when-busy", "steer", *limits))
    [entry] = made["entry"].values()
    assert entry["limits"] == {"running_turns": 3, "spend_per_day": 0.5, "models": ["gpt-4o", "fast"]}
    assert entry["when_busy"] == "steer"
    [plain] = lines(run("key", "shop", "--json"))[0]["entry"].values()
    assert "when_busy" not in plain
    refused = run("key", "shop", "--limit", "turns=3")
    assert refused.exit_code == 2
    assert "limits.turns" in refused.stderr


@pytest.mark.usefixtures("worker")
def test_stats_are_exact(run: Run) -> None:
    run("ask", "foo", "hello")
    assert lines(run("stats", "--json"))[0]["completed"] == 1
    assert "completed" in run("stats").stdout


def test_chat_takes_the_options_of_a_question(run: Run, step_worker: StepWorker) -> None:
    def work() -> None:
        claim = step_worker.take()
        step_worker.answer(claim, f"{claim.options.chain}, {claim.options.model}, {claim.options.instructions}")

    with step_worker.later(work):
        result = run("chat", "foo", "--chain", "c", "--model", "m", "--instructions", "Be brief.", input="hello\n")
    assert result.stdout == "c, m, Be brief.\n"


@pytest.mark.usefixtures("worker")
def test_chat_without_a_terminal_takes_a_question_a_line(run: Run) -> None:
    result = run("chat", "foo", input="Hi! I'm bob\n\nWhats my name\n")
    assert (result.exit_code, result.stdout) == (0, "You said: Hi! I'm bob\nYour name is Bob.\n")


def test_chat_goes_on_after_a_failure(run: Run, step_worker: StepWorker) -> None:
    def work() -> None:
        step_worker.fail(step_worker.take(), "rate_limited", "Busy.")
        step_worker.answer(step_worker.take(), "Fine.")

    with step_worker.later(work):
        result = run("chat", "foo", input="one\ntwo\n")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "Fine.\n", "No answer: rate_limited: Busy.\n")


def test_a_refused_session_is_a_usage_error(run: Run) -> None:
    result = run("ask", "no spaces", "hello")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("turnstile: A session id is")


@pytest.mark.parametrize("url", ["http://localhost", "redis://localhost:port/0", "sentinel:///0"])
def test_a_wrong_address_names_its_variable(run: Run, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    result = run("stats")
    assert result.exit_code == 2
    assert result.stderr.startswith("turnstile: REDIS_URL is not valid")


def test_a_wrong_setting_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNSTILE_LEASE_SECONDS", "soon")
    result = run("stats")
    assert result.exit_code == 2
    assert "TURNSTILE_LEASE_SECONDS" in result.stderr


def test_redis_that_does_not_answer_is_exit_status_3(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:sesame@127.0.0.1:1/0")
    result = run("stats")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("turnstile: Redis at 127.0.0.1:1/0 does not answer.")


@pytest.mark.parametrize(
    ("arguments", "status", "kind"),
    [
        (["status", "nobody"], 1, "UnknownTurn"),
        (["ask", "foo", ""], 2, "InvalidTurn"),
        (["ask", "foo", "hello", "--id", ""], 2, "InvalidTurn"),
        (["ask", "foo", "hello", "--timeout", "nan"], 2, "BadParameter"),
        (["ask", "foo", "hello", "--deadline", "inf"], 2, "BadParameter"),
        (["ask", "foo", "hello", "--deadline", "-1"], 2, "BadParameter"),
        (["history"], 2, "MissingParameter"),
        (["batch", "/nowhere", "out"], 2, "BadParameter"),
    ],
)
def test_an_error_is_json_for_programs_and_a_line_for_people(run: Run, arguments: list[str], status: int, kind: str) -> None:
    result = run(*arguments, "--json")
    [told] = lines(result)
    assert result.exit_code == status
    assert told["error"]["type"] == kind
    assert told["error"]["message"] in " ".join(result.stderr.split())
    assert run(*arguments).stdout == ""


def test_an_outage_is_json_for_programs_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    result = run("stats", "--json")
    assert result.exit_code == 3
    assert lines(result)[0]["error"]["type"] == "QueueUnreachable"


class Shown:
    """Knows when a text has been written to stdout."""

    def __init__(self) -> None:
        self._seen = threading.Event()

    def wait(self) -> None:
        assert self._seen.wait(PATIENCE_SECONDS)

    def watching(self, text: str) -> Any:
        write = Terminal.write

        def spied(terminal: Terminal, written: str) -> None:
            write(terminal, written)
            if text in written:
                self._seen.set()

        return patch.object(Terminal, "write", spied)


def test_a_reader_of_the_pipe_that_leaves_early_is_no_disaster(redis_url: str, settings: Settings) -> None:
    with answering(settings, lambda claim: "word " * 2_000):
        command = f'{sys.executable} -c "from turnstile.producers.cli.commands import main; main()" ask foo hello | head -c 5'
        env = environment({"REDIS_URL": redis_url})
        done = subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.stdout == "word "
    assert "Traceback" not in done.stderr
