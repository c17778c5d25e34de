"""The frame of all commands: errors as one line with an exit status, and the `--json` flag."""

import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from turnstile.turns.errors import InvalidTurn, QueueUnreachable, SettingError, TurnConflict, TurnstileError

if TYPE_CHECKING:
    from turnstile.producers.cli.terminal import Terminal

Command = TypeVar("Command", bound=Callable[..., Any])

USAGE, UNREACHABLE, INTERRUPTED = 2, 3, 130

_TERMINAL = "turnstile.terminal"

EPILOG = """\b
Exit status:
    0  done
    1  the turn failed, was cancelled or refused, is unknown or has not ended in time; a check found a fault
    2  an argument or a setting is wrong
    3  Redis does not answer
  130  ended by Ctrl-C
Settings come from the environment: REDIS_URL, OPENAI_API_KEY, OPENAI_BASE_URL and TURNSTILE_*, all in docs/settings.md."""


def exit_status(error: Exception) -> int | None:
    """Return the exit status of an error that is shown as one line; None for a defect, which needs its traceback."""
    if isinstance(error, (SettingError, InvalidTurn, TurnConflict)):
        return USAGE
    redis = sys.modules.get("redis")
    if isinstance(error, QueueUnreachable) or (redis and isinstance(error, redis.RedisError)):
        return UNREACHABLE
    return 1 if isinstance(error, TurnstileError) else None


class Commands(click.Group):
    """A group of commands whose errors are one line on stderr."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except Exception as error:
            status = exit_status(error)
            _tell_programs(ctx, error, status)
            if isinstance(error, click.ClickException):
                vars(error).update(message=_shown(error.message))
            if status is None:
                raise
            click.echo(_shown(f"turnstile: {error}"), err=True)
            ctx.exit(status)


def _shown(text: str) -> str:
    """Return a line for stderr; what it quotes may hold escape sequences, which must not reach a terminal."""
    from turnstile.producers.cli.terminal import printable

    return printable(text) if sys.stderr.isatty() else text


def _tell_programs(ctx: click.Context, error: Exception, status: int | None) -> None:
    """With `--json`, write `{"error": …}` to stdout if nothing stands there yet; a defect has its traceback alone."""
    terminal: Terminal | None = ctx.meta.get(_TERMINAL)
    if terminal and terminal.as_json and not terminal.wrote and (status is not None or isinstance(error, click.ClickException)):
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        terminal.result("", {"error": {"type": type(error).__name__, "message": message}})


def with_terminal(command: Command) -> Command:
    """Give a command a `--json` flag, which it receives as a Terminal."""

    def build(context: click.Context, _parameter: click.Parameter, as_json: bool) -> "Terminal":
        from turnstile.producers.cli.terminal import Terminal

        terminal = context.meta[_TERMINAL] = Terminal(as_json)
        return terminal

    # Eager: an error in another option is told in JSON, too.
    flag = click.option(
        "--json", "terminal", is_flag=True, is_eager=True, callback=build, help="Machine-readable: JSON on stdout."
    )
    return flag(command)


def seconds(text: str) -> float:
    """Return a number of seconds above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise click.BadParameter(f"{text!r} is not a number of seconds above 0.")
    return number


def read_question(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    """Return a question; `-` reads it from stdin."""
    return sys.stdin.read() if text == "-" else text
