"""The command line: `turnstile`.

A command imports its code when it runs, so that `--help` and completion stay fast.
"""
# ruff: noqa: E402 - a missing extra is named before anything of it is imported

from turnstile.turns.extras import need

need("cli")

import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from turnstile.producers.cli import operating, scheduling
from turnstile.producers.cli.group import EPILOG, Commands, read_question, seconds, with_terminal
from turnstile.turns.policies import WHEN_BUSY

if TYPE_CHECKING:
    from turnstile.producers.cli.terminal import Terminal
    from turnstile.producers.client import ChatClient


def _client() -> "ChatClient":
    from turnstile.producers.client import ChatClient

    return ChatClient()


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="turnstile", prog_name="turnstile")
def main() -> None:
    """Chat turns in the background: in order within a session, exactly once into its history."""


@main.command()
@click.argument("session")
@click.argument("question", callback=read_question)
@click.option("--id", help="The turn's id; repeating the question with the same id is the same turn.")
@click.option("--chain", help="One of TURNSTILE_CHAINS.")
@click.option("--model", help="Overrides TURNSTILE_MODEL.")
@click.option("--instructions", help="Overrides the system prompt.")
@click.option("--temperature", type=float)
@click.option("--max-output-tokens", type=int)
@click.option("--deadline", "deadline_seconds", type=seconds, help="Overrides TURNSTILE_TURN_SECONDS.")
@click.option("--queue", type=click.Choice(["chat", "batch"]), default="chat", show_default=True)
@click.option("--when-busy", type=click.Choice(WHEN_BUSY), help="In a session that is busy. Default: TURNSTILE_WHEN_BUSY.")
@click.option("--timeout", type=seconds, help="Stop waiting after this long; the turn continues.")
@click.option("--wait/--no-wait", default=True, help="Wait for the answer, or print the turn's id at once.")
@with_terminal
def ask(terminal: "Terminal", session: str, question: str, wait: bool, timeout: float | None, **options: Any) -> None:
    """Ask a question, and show the answer as it comes.

    QUESTION `-` reads it from stdin. With --json: the record of the ended turn.
    """
    from turnstile.producers.cli import chat

    if wait:
        chat.ask(terminal, _client(), session, question, timeout=timeout, **options)
    else:
        chat.enqueue(terminal, _client(), session, question, **options)


@main.command()
@click.argument("session")
@click.option("--chain", help="One of TURNSTILE_CHAINS.")
@click.option("--model", help="Overrides TURNSTILE_MODEL.")
@click.option("--instructions", help="Overrides the system prompt.")
def chat(session: str, **options: Any) -> None:
    """Talk. Ctrl-C cancels an answer, Ctrl-D leaves; if stdin is not a terminal, each line is a question."""
    from turnstile.producers.cli import chat
    from turnstile.producers.cli.terminal import Terminal

    chat.chat(Terminal(), _client(), session, **options)


@main.command()
@click.argument("session")
@click.option("--limit", type=click.IntRange(min=1), help="Number of messages to show, the newest.")
@with_terminal
def history(terminal: "Terminal", session: str, limit: int | None) -> None:
    """Show a session's messages, oldest first."""
    from turnstile.producers.cli import lookups

    lookups.show_history(terminal, _client(), session, limit)


@main.command()
@click.argument("turn")
@with_terminal
def status(terminal: "Terminal", turn: str) -> None:
    """Show a turn's record."""
    from turnstile.producers.cli import lookups

    lookups.show_status(terminal, _client(), turn)


@main.command()
@click.argument("session")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Number of turns to show.")
@with_terminal
def unfinished(terminal: "Terminal", session: str, limit: int) -> None:
    """List the turns of SESSION that have not ended, in the order in which they run."""
    from turnstile.producers.cli import lookups

    lookups.show_unfinished(terminal, _client(), session, limit)


@main.command()
@click.argument("turn")
@click.option("--keep", is_flag=True, help="Keep what it has said, in the history, too: it ends as `incomplete`.")
@with_terminal
def cancel(terminal: "Terminal", turn: str, keep: bool) -> None:
    """Cancel a waiting or running turn. Exit status 1 if it had ended before."""
    from turnstile.producers.cli import actions

    raise SystemExit(actions.cancel(terminal, _client(), turn, keep=keep))


@main.command()
@click.argument("turn")
@with_terminal
def retry(terminal: "Terminal", turn: str) -> None:
    """Requeue a failed turn. Exit status 1 if it has not failed."""
    from turnstile.producers.cli import actions

    raise SystemExit(actions.retry(terminal, _client(), turn))


@main.command()
@click.argument("session", required=False)
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Number of sessions to show.")
@with_terminal
def calls(terminal: "Terminal", session: str | None, limit: int) -> None:
    """List the open calls of SESSION, or of all held sessions, the longest held first."""
    from turnstile.producers.cli import lookups

    lookups.show_calls(terminal, _client(), session, limit)


@main.command()
@click.argument("session")
@click.argument("words", metavar="[CALL VALUE]...", nargs=-1)
@click.option("--approve", "decision", flag_value="approve", help="Approve the calls named, or all that ask for it.")
@click.option("--reject", "decision", flag_value="reject", help="Reject the calls named, or all that ask for an approval.")
@click.option("--question", default="", callback=read_question, help="Go on with a question.")
@click.option("--id", help="The turn's id; repeating the answers with the same id is the same turn.")
@click.option("--timeout", type=seconds, help="Stop waiting after this long; the turn continues.")
@click.option("--wait/--no-wait", default=True, help="Wait for the answer, or print the turn's id at once.")
@with_terminal
def answer(
    terminal: "Terminal",
    session: str,
    words: tuple[str, ...],
    decision: str | None,
    wait: bool,
    timeout: float | None,
    **options: Any,
) -> None:
    """Answer all open calls of SESSION at once, and show the answer that comes of it.

    A VALUE is a text, or JSON; that of an approval is `approve`, `reject`, or a decision as LangChain has it:
    `{"type": "edit", "edited_action": {"name": …, "args": …}}`.
    """
    from turnstile.producers.cli import actions, chat

    client = _client()
    given = actions.answers(client, session, words, decision or "")
    if wait:
        chat.answer(terminal, client, session, given, timeout, **options)
    else:
        chat.show_place(terminal, client.answer(session, given, **options))


@main.command()
@click.argument("session")
@with_terminal
def release(terminal: "Terminal", session: str) -> None:
    """Close the open calls of a session without answers, and let its next turn go. Exit status 1 if it has none."""
    from turnstile.producers.cli import actions

    raise SystemExit(actions.release(terminal, _client(), session))


@main.command()
@click.option("--session", help="Only of this session, or of those that a pattern matches: `acme/*`.")
@click.option("--code", help="Only with this code: `chain_error`, `rate_limited`, …")
@click.option("--queue", type=click.Choice(["chat", "batch"]))
@click.option("--chain", help="Only of one of TURNSTILE_CHAINS.")
@click.option("--within", type=seconds, help="Only those that failed in the last so many seconds.")
@click.option("--retry", "action", flag_value="retry", help="Requeue them, the oldest first.")
@click.option("--discard", "action", flag_value="discard", help="Forget them and their questions, the oldest first.")
@click.option("--limit", type=click.IntRange(min=1), help="Number of turns.  [default: 100 to list, 1000 to change]")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@with_terminal
def failed(terminal: "Terminal", action: str | None, limit: int | None, within: float | None, yes: bool, **wanted: Any) -> None:
    """List the turns that failed permanently, newest first; or requeue or discard them.

    With --retry or --discard the exit status is 1 if some of the turns stay: their session has no room for them, the calls that
    they answer are no longer open, or somebody else was faster.
    """
    from turnstile.producers.cli import actions, lookups

    chosen: Any = {name: value for name, value in wanted.items() if value is not None}
    if within:
        chosen["since"] = time.time() - within
    if action:
        raise SystemExit(actions.handle_failed(terminal, _client(), action, limit or 1000, chosen, confirmed=yes))
    lookups.show_failed(terminal, _client(), limit or 100, chosen)


@main.command()
@click.argument("session", required=False)
@click.option("--tenant", help="Forget all of this tenant instead: sessions, files, batches and what is counted.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@with_terminal
def erase(terminal: "Terminal", session: str | None, tenant: str | None, yes: bool) -> None:
    """Forget a session: its history and its turns, in any state."""
    from turnstile.producers.cli import actions, archives

    if (session is None) == (tenant is None):
        raise click.UsageError("Name a session, or a tenant by --tenant.")
    if session is not None:
        actions.erase(terminal, _client(), session, confirmed=yes)
    elif tenant is not None:
        archives.erase_tenant(terminal, _client(), tenant, confirmed=yes)


@main.command()
@click.argument("sessions", nargs=-1)
@click.option("--tenant", help="All sessions of this tenant.")
@click.option("--all", "everything", is_flag=True, help="All sessions.")
@with_terminal
def export(terminal: "Terminal", sessions: tuple[str, ...], tenant: str | None, everything: bool) -> None:
    """Write sessions to stdout as JSON lines: each with its metadata, then its messages, oldest first.

    Turns that wait, run or have failed are not written, nor files and batches.
    """
    from turnstile.producers.cli import archives

    if bool(sessions) + bool(tenant) + everything != 1:
        raise click.UsageError("Name sessions, or a tenant by --tenant, or give --all.")
    archives.export(terminal, _client(), sessions, tenant)


@main.command("import")
@click.argument("source", metavar="IN.jsonl", type=click.File("rb"))
@click.option("--tenant", help="Sessions of this tenant alone: stop at the first line of another's.")
@click.option("--with-rights", is_flag=True, help="Believe the file's weights and quotas of schedules. Default: the API keys'.")
@with_terminal
def load(terminal: "Terminal", source: IO[bytes], tenant: str | None, with_rights: bool) -> None:
    """Import sessions from the lines of `turnstile export`; `-` reads stdin.

    A session that is there in another form is left as it is. Run it again to go on after an interruption. Exit status 1 if a
    session was refused, and 2 at a line that cannot be imported; the lines before it are.
    """
    from turnstile.producers.cli import archives

    with source:
        raise SystemExit(archives.load(terminal, _client(), source, tenant, with_rights=with_rights))


@main.command()
@click.argument("source", metavar="IN", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.argument("target", metavar="OUT.jsonl", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--at-once", type=click.IntRange(min=1), default=1000, show_default=True, help="Maximum unfinished turns.")
@click.option("--csv/--jsonl", "as_csv", default=None, help="Form of IN. Default: by its name, else JSON lines.")
@click.option("--retry-failed", is_flag=True, help="Ask lines that failed or were refused again.")
@with_terminal
def batch(terminal: "Terminal", source: Path, target: Path, at_once: int, as_csv: bool | None, retry_failed: bool) -> None:
    """Ask every line of a file, and write each answer as soon as it is there.

    IN has a JSON object a line, or is CSV with a header: `session` and `question`, and if wanted `id` and options (`model`,
    `instructions`, …), or `custom_id`, `url` and `body`, as for OpenAI's Batch API. OUT.jsonl gets a JSON object for each line.
    `-` is stdin or stdout.

    Run it again to go on after an interruption: lines whose `id` is in OUT.jsonl are not asked again. A line without an `id`
    has one made from its text, so leave such lines as they are. Exit status 1 while a line has no answer; OUT.jsonl says why.
    """
    from turnstile.producers.cli.batch.run import run_and_report
    from turnstile.turns.settings import settings

    by_name = source.suffix.lower() == ".csv" if as_csv is None else as_csv
    status = run_and_report(terminal, settings(), source, target, at_once, as_csv=by_name, retry_failed=retry_failed)
    raise SystemExit(status)


@main.command()
@click.option("--workers", type=click.IntRange(min=0), default=2, show_default=True, help="Worker processes.")
@click.option("--flower/--no-flower", default=True, help="The web page that shows the work.")
@click.option("--web/--no-web", default=True, help="The HTTP gateway, OpenAI's Responses API.")
@click.option("--flower-port", type=click.IntRange(1, 65535), help="Default: 5555, or a free one if that is taken.")
@click.option("--web-port", type=click.IntRange(1, 65535), help="Default: 8000, or a free one if that is taken.")
def up(**options: Any) -> None:
    """Run workers, Flower and the gateway until Ctrl-C, and a server if REDIS_URL is not set."""
    from turnstile.deploy.local.up import up
    from turnstile.turns.settings import settings

    raise SystemExit(up(settings(), **options))


@main.command()
def demo() -> None:
    """Show the main job, end to end, and stop everything that it started."""
    from turnstile.producers.cli import demo
    from turnstile.turns.settings import settings

    raise SystemExit(demo.run(settings()))


@main.command()
@click.argument("name")
@click.option("--tenant", default="default", show_default=True, help="The tenant whose sessions the key can use.")
@click.option(
    "--weight",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Turns for each of another tenant, while both wait.",
)
@click.option("--requests-per-minute", "per_minute", type=click.IntRange(min=1), help="Rate limit. Unset: none.")
@click.option("--limit", "limits", multiple=True, metavar="NAME=VALUE", help="A quota of docs/policies.md. May be repeated.")
@click.option("--max-body-bytes", type=click.IntRange(min=1), help="Largest request. Unset: TURNSTILE_MAX_BODY_BYTES.")
@click.option(
    "--role",
    type=click.Choice(["tenant", "operator"]),
    default="tenant",
    show_default=True,
    help="An operator's key opens /metrics and /admin, and asks nothing.",
)
@click.option("--when-busy", type=click.Choice(WHEN_BUSY), help="In a session that is busy. Default: TURNSTILE_WHEN_BUSY.")
@click.option("--webhook-url", default="", help="URL that is called when a background response of this key ends.")
@with_terminal
def key(terminal: "Terminal", **options: Any) -> None:
    """Make an API key for the gateway. The entry shown with it holds only its hash."""
    from turnstile.producers.cli import new_key

    new_key.make(terminal, **options)


@main.command()
@click.option("--under-way", is_flag=True, help="List those that are still tried instead.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@with_terminal
def webhooks(terminal: "Terminal", under_way: bool, limit: int) -> None:
    """List the webhooks that were given up, newest first."""
    from turnstile.producers.cli import undelivered
    from turnstile.turns.settings import settings

    undelivered.show(terminal, settings(), limit, given_up=not under_way)


@main.command()
@click.argument("turns", nargs=-1, required=True)
@with_terminal
def resend(terminal: "Terminal", turns: tuple[str, ...]) -> None:
    """Send the webhooks of turns now, once more."""
    from turnstile.producers.cli import undelivered
    from turnstile.turns.settings import settings

    undelivered.resend(terminal, settings(), turns)


for _command in (*operating.COMMANDS, scheduling.schedule):
    main.add_command(_command)
