"""The command line: `turnstile`.

What a command needs is imported when it runs, so that `--help` and completion cost nothing.
"""
# ruff: noqa: E402 - a missing extra is named before anything of it is imported

from turnstile.turns.extras import need

need("cli")

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from turnstile.turns.errors import InvalidTurn, QueueUnreachable, SettingError, TurnConflict, TurnstileError

if TYPE_CHECKING:
    from turnstile.producers.cli.terminal import Terminal
    from turnstile.producers.client import ChatClient

Command = TypeVar("Command", bound=Callable[..., Any])

USAGE, UNREACHABLE, INTERRUPTED = 2, 3, 130

EPILOG = """\b
Exit status:
    0  done
    1  the turn failed, was cancelled or refused, is unknown or has not ended in time; a check found a fault
    2  an argument or a setting is wrong
    3  Redis does not answer
  130  ended by Ctrl-C
Settings come from the environment: REDIS_URL, OPENAI_API_KEY, OPENAI_BASE_URL and TURNSTILE_*, all in docs/settings.md."""


def exit_status(error: Exception) -> int | None:
    """The exit status of an error that is worth one line; None for a defect, which deserves its traceback."""
    if isinstance(error, (SettingError, InvalidTurn, TurnConflict)):
        return USAGE
    redis = sys.modules.get("redis")
    if isinstance(error, QueueUnreachable) or (redis and isinstance(error, redis.RedisError)):
        return UNREACHABLE
    return 1 if isinstance(error, TurnstileError) else None


class Commands(click.Group):
    """Commands whose errors are one line on stderr."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except Exception as error:
            status = exit_status(error)
            if status is None:
                raise
            click.echo(f"turnstile: {error}", err=True)
            ctx.exit(status)


def _client() -> "ChatClient":
    from turnstile.producers.client import ChatClient

    return ChatClient()


def _with_terminal(command: Command) -> Command:
    """Give the command a `--json` flag, and a Terminal in its place."""

    def build(_context: click.Context, _parameter: click.Parameter, as_json: bool) -> "Terminal":
        from turnstile.producers.cli.terminal import Terminal

        return Terminal(as_json)

    flag = click.option("--json", "terminal", is_flag=True, callback=build, help="Machine-readable: JSON on stdout.")
    return flag(command)


def _question(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    return sys.stdin.read() if text == "-" else text


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="turnstile", prog_name="turnstile")
def main() -> None:
    """Chat turns in the background: in order within a session, exactly once into its history."""


@main.command()
@click.argument("session")
@click.argument("question", callback=_question)
@click.option("--id", help="The turn's id; the same id and question again is the same turn.")
@click.option("--model", help="In place of TURNSTILE_MODEL.")
@click.option("--instructions", help="In place of the system prompt.")
@click.option("--temperature", type=float)
@click.option("--max-output-tokens", type=int)
@click.option("--deadline", "deadline_seconds", type=float, metavar="SECONDS", help="In place of TURNSTILE_TURN_SECONDS.")
@click.option("--queue", type=click.Choice(["chat", "batch"]), default="chat", show_default=True)
@click.option("--timeout", type=float, metavar="SECONDS", help="Stop waiting after this long; the turn goes on.")
@click.option("--wait/--no-wait", default=True, help="Wait for the answer, or print the turn's id at once.")
@_with_terminal
def ask(terminal: "Terminal", session: str, question: str, wait: bool, timeout: float | None, **wishes: Any) -> None:
    """Ask a question, and show the answer as it comes.

    QUESTION `-` reads it from stdin. With --json: the record of the ended turn.
    """
    from turnstile.producers.cli import chat

    if wait:
        chat.ask(terminal, _client(), session, question, timeout=timeout, **wishes)
    else:
        chat.enqueue(terminal, _client(), session, question, **wishes)


@main.command()
@click.argument("session")
def chat(session: str) -> None:
    """Talk. Ctrl-C cancels an answer, Ctrl-D leaves; when stdin is no terminal, each of its lines is a question."""
    from turnstile.producers.cli import chat
    from turnstile.producers.cli.terminal import Terminal

    chat.chat(Terminal(), _client(), session)


@main.command()
@click.argument("session")
@click.option("--limit", type=click.IntRange(min=1), help="The newest so many messages.")
@_with_terminal
def history(terminal: "Terminal", session: str, limit: int | None) -> None:
    """Show a session's messages, oldest first."""
    from dataclasses import asdict

    from turnstile.producers.cli import formatting

    for message in _client().history(session, limit):
        terminal.result(formatting.history_text(message), asdict(message))


@main.command()
@click.argument("turn")
@_with_terminal
def status(terminal: "Terminal", turn: str) -> None:
    """Show a turn's record."""
    from turnstile.producers.cli import formatting

    record = _client().turn(turn).status()
    terminal.result(formatting.record_text(record), formatting.record_json(record))


@main.command()
@click.argument("turn")
@_with_terminal
def cancel(terminal: "Terminal", turn: str) -> None:
    """Cancel a turn that waits or runs. Exit status 1 when it had ended before."""
    _report_state(terminal, turn, _client().turn(turn).cancel(), "cancelled")


@main.command()
@click.argument("turn")
@_with_terminal
def retry(terminal: "Terminal", turn: str) -> None:
    """Queue a failed turn again. Exit status 1 when it has not failed."""
    _report_state(terminal, turn, _client().retry(turn), "queued")


def _report_state(terminal: "Terminal", turn: str, state: str, wanted: str) -> None:
    terminal.result(state, {"id": turn, "state": state})
    if state != wanted:
        raise SystemExit(1)


@main.command()
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@_with_terminal
def failed(terminal: "Terminal", limit: int) -> None:
    """List the turns that gave up, newest first."""
    from turnstile.producers.cli import formatting

    for record in _client().failed(limit):
        terminal.result(formatting.failed_text(record), formatting.record_json(record))


@main.command()
@click.argument("session")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_with_terminal
def erase(terminal: "Terminal", session: str, yes: bool) -> None:
    """Forget a session: its history, and its turns whatever they are doing."""
    if not yes and sys.stdin.isatty():
        click.confirm(f"Forget everything about session {session}?", abort=True, err=True)
    turns, messages = _client().erase(session)
    terminal.result(f"turns forgotten: {turns}, messages forgotten: {messages}", {"turns": turns, "messages": messages})


@main.command()
@click.argument("source", metavar="IN.jsonl", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target", metavar="OUT.jsonl", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--at-once", type=click.IntRange(min=1), default=1000, show_default=True, help="Most unfinished turns.")
@_with_terminal
def batch(terminal: "Terminal", source: Path, target: Path, at_once: int) -> None:
    """Ask every line of a file.

    A line is a JSON object with `session` and `question`, and may have an `id` and options (`model`, `instructions`, …).
    Answers come in the order in which they are ready. Run it again to go on after an interruption: nothing is asked twice.
    Exit status 1 when a line was refused, failed or was cancelled: OUT.jsonl says which.
    The same line at the same place in any file is the same question; give lines an `id` of their own to ask anew.
    """
    from turnstile.producers.cli import batch
    from turnstile.turns.settings import settings

    counts = batch.run_with_progress(settings(), source, target, at_once)
    terminal.result(", ".join(f"{count} {state}" for state, count in counts.items()) or "nothing to do", counts)
    if counts.keys() - {"completed", "incomplete"}:
        raise SystemExit(1)


@main.command()
@_with_terminal
def stats(terminal: "Terminal") -> None:
    """Show the exact counters."""
    from turnstile.producers.cli import formatting

    counts = {name: count for name, count in _client().stats().items() if name not in formatting.MOMENTS}
    terminal.result(formatting.stats_text(counts), counts)


@main.command()
@_with_terminal
def doctor(terminal: "Terminal") -> None:
    """Check the server, the workers and the model, and say what to do."""
    from turnstile.producers.cli import doctor

    raise SystemExit(doctor.report(terminal))


@main.command()
@click.option("--workers", type=click.IntRange(min=0), default=2, show_default=True, help="Worker processes.")
@click.option("--flower/--no-flower", default=True, help="The web page that shows the work.")
@click.option("--web/--no-web", default=True, help="The HTTP gateway, OpenAI's Responses API.")
@click.option("--flower-port", type=click.IntRange(1, 65535), default=5555, show_default=True)
@click.option("--web-port", type=click.IntRange(1, 65535), default=8000, show_default=True)
def up(**options: Any) -> None:
    """Run workers, Flower and the gateway, and a server when REDIS_URL is not set, until Ctrl-C."""
    from turnstile.deploy.local.up import up
    from turnstile.turns.settings import settings

    raise SystemExit(up(settings(), **options))


@main.command()
def demo() -> None:
    """Show the main job, end to end, and end everything that it started."""
    from turnstile.producers.cli import demo
    from turnstile.turns.settings import settings

    raise SystemExit(demo.run(settings()))


@main.command()
@click.argument("name")
@click.option("--tenant", default="default", show_default=True, help="Whose sessions the key sees.")
@click.option("--requests-per-minute", "per_minute", type=click.IntRange(min=1), help="More are refused. Unset: no limit.")
@click.option("--max-body-bytes", type=click.IntRange(min=1), help="Largest request. Unset: TURNSTILE_MAX_BODY_BYTES.")
@click.option("--webhook-url", default="", help="Where the ends of its background responses are told.")
@_with_terminal
def key(terminal: "Terminal", **wishes: Any) -> None:
    """Make an API key for the gateway. Only its hash is kept, in the entry that is shown with it."""
    from turnstile.producers.cli import api_keys

    api_keys.make(terminal, **wishes)


@main.command()
@click.option("--under-way", is_flag=True, help="Those that are still tried, in place of those that were given up.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@_with_terminal
def webhooks(terminal: "Terminal", under_way: bool, limit: int) -> None:
    """List the webhooks that were given up, newest first."""
    from turnstile.producers.cli import webhooks
    from turnstile.turns.settings import settings

    webhooks.show(terminal, settings(), limit, given_up=not under_way)


@main.command()
@click.argument("turn")
@_with_terminal
def resend(terminal: "Terminal", turn: str) -> None:
    """Send a turn's webhook off again now."""
    from turnstile.producers.cli import webhooks
    from turnstile.turns.settings import settings

    webhooks.resend(terminal, settings(), turn)
