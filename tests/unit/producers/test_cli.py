"""The command line costs nothing until a command runs, and says in one line what went wrong."""

import subprocess
import sys

import click
import pytest
import redis
from click.testing import CliRunner

from turnstile.deploy.local.errors import ServerNotStarted
from turnstile.producers.cli.commands import main
from turnstile.producers.cli.group import exit_status
from turnstile.producers.cli.terminal import Terminal
from turnstile.turns import errors

COMMANDS = ("up", "demo", "ask", "chat", "history", "status", "cancel", "failed", "retry", "erase", "doctor", "audit", "stats")


def modules_after(statement: str) -> set[str]:
    script = f"import sys; {statement}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True).stdout.split())


def test_the_command_line_imports_next_to_nothing() -> None:
    loaded = modules_after("import turnstile.producers.cli.commands")
    assert not loaded & {"langchain_core", "celery", "kombu", "redis", "pydantic", "rich", "prompt_toolkit", "asyncio"}


@pytest.mark.parametrize("module", ["client", "transcript", "cli.chat", "cli.doctor.report", "gateway"])
def test_who_asks_pays_for_neither_langchain_nor_celery(module: str) -> None:
    loaded = modules_after(f"import turnstile.producers.{module}")
    assert not loaded & {"langchain_core", "celery", "kombu", "openai"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_the_help_tells_the_exit_statuses() -> None:
    output = CliRunner().invoke(main, ["--help"]).output
    assert set(COMMANDS) <= set(output.split())
    assert "3  Redis does not answer" in output


_TWICE = ["answer", "foo", "call-1", "yes", "call-1", "no"]


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["ask", "foo"], ["ask", "foo", "hi", "--queue", "none"], ["status"], _TWICE, _TWICE[:3]]
)
def test_wrong_usage_is_told(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, arguments).exit_code == 2


@pytest.mark.parametrize("seconds", ["nan", "inf", "-inf", "0", "-1", "soon"])
def test_a_time_out_that_is_none_is_told(seconds: str) -> None:
    result = CliRunner().invoke(main, ["ask", "foo", "hi", "--timeout", seconds])
    assert result.exit_code == 2
    assert f"'{seconds}' is not a number of seconds above 0." in result.output


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.SettingError("x"), 2),
        (errors.InvalidTurn("x", "session"), 2),
        (errors.TurnConflict("x"), 2),
        (errors.QueueUnreachable("x"), 3),
        (redis.ResponseError("x"), 3),
        (errors.TurnFailed("worker_lost", "x"), 1),
        (errors.TurnCancelled("x"), 1),
        (errors.TurnNotFinished("x"), 1),
        (errors.UnknownTurn("x"), 1),
        (errors.TooManyWaiting("x"), 1),
        (ServerNotStarted("x"), 1),
        (ZeroDivisionError(), None),
        (KeyError("x"), None),
    ],
)
def test_errors_have_their_exit_status(error: Exception, status: int | None) -> None:
    assert exit_status(error) == status


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("turnstile.producers.cli.commands._client", broken)
    assert isinstance(CliRunner().invoke(main, ["history", "foo"]).exception, ZeroDivisionError)


def test_escape_sequences_never_reach_a_persons_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    terminal.interactive = True
    terminal.line("a\x1b]0;title\x07b\x9bc\rd\te\nf")
    assert capsys.readouterr().out == "a]0;titlebcd\te\nf\n"


@pytest.mark.parametrize("hostile", ["\x1b]0;title\x07", "\x9b31m", "\u202e", "\u2066", "\r"])
def test_nothing_on_stderr_moves_a_persons_terminal(
    hostile: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    Terminal().complain(f"a{hostile}b")
    with pytest.raises(SystemExit):
        main(["ask", "foo", "hi", "--timeout", f"a{hostile}b"])
    with pytest.raises(SystemExit):
        main(["history", f"a{hostile}b" * 600])
    shown = capsys.readouterr().err.replace("\x1b[2m", "").replace("\x1b[0m", "")
    assert not {*shown} & {*"\x1b\x07\x9b\u202e\u2066\r"}


def test_no_line_of_a_message_looks_like_one_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    message = "user: hi\nassistant: forged"
    terminal.line(terminal.hanging(message))
    terminal.interactive = True
    terminal.line(terminal.hanging(message))
    assert capsys.readouterr().out == f"{message}\nuser: hi\n  assistant: forged\n"


def test_programs_get_every_character(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().line("a\x1b[1mb")
    assert capsys.readouterr().out == "a\x1b[1mb\n"


def test_a_broken_character_is_no_reason_to_stop(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().line("a\ud800b")
    assert capsys.readouterr().out == "a?b\n"


def test_a_label_has_colours_for_people_only(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    label = click.style("ok", "green")
    terminal.result(" fine", {}, label)
    terminal.interactive = True
    terminal.result(" fine", {}, label)
    assert capsys.readouterr().out == f"ok fine\n{label} fine\n"


def test_a_line_that_is_begun_is_ended_once(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    terminal.end_line()
    terminal.write("a")
    terminal.end_line()
    terminal.end_line()
    assert capsys.readouterr().out == "a\n"


def test_notices_are_for_people_only(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    terminal.notice("still waiting")
    terminal.complain("it broke")
    assert capsys.readouterr().err == "it broke\n"


def test_the_group_is_what_the_console_script_runs() -> None:
    assert isinstance(main, click.Group)
