"""Questions from a terminal: a single one, or a conversation."""

import sys
from collections.abc import Iterator, Mapping
from functools import partial
from threading import Timer
from typing import Any

from turnstile.producers.cli import formatting
from turnstile.producers.cli.terminal import Terminal, printable
from turnstile.producers.client import ChatClient, Turn
from turnstile.producers.reading.readers import Piece
from turnstile.turns.errors import TurnEnded, TurnNotFinished, TurnstileError
from turnstile.turns.policies import INTERRUPTED
from turnstile.turns.states import State

EARLIER_MESSAGES = 10
_HINT_SECONDS = 6.0
_UNFINISHED = {
    "": "The model stopped before the end of its answer.",
    INTERRUPTED: "Another question ended the turn before the end of its answer.",
}
_HINT = "Still waiting. Is a worker running? Check with `turnstile doctor`."


def ask(
    terminal: Terminal, client: ChatClient, session: str, question: str, id: str | None, timeout: float | None, **options: Any
) -> None:
    """Ask, and show the answer as it comes (with `--json`: the record of the ended turn).

    Raises:
        TurnEnded, TurnNotFinished, TurnRefused.
    """
    show_turn(terminal, client.ask(session, question, id=id, **options), timeout)


def answer(
    terminal: Terminal, client: ChatClient, session: str, answers: Mapping[str, str], timeout: float | None, **options: Any
) -> None:
    """Answer the open calls of a session, and show what comes of it, as `ask`."""
    show_turn(terminal, client.answer(session, answers, **options), timeout)


def show_turn(terminal: Terminal, turn: Turn, timeout: float | None) -> None:
    """Show a turn's answer as it comes, and the calls that it leaves open.

    Raises:
        TurnEnded, TurnNotFinished.
    """
    terminal.notice(f"turn {turn.id}{_place(turn)}")
    try:
        _show_record(terminal, turn, timeout) if terminal.as_json else show(terminal, turn, timeout)
    except (KeyboardInterrupt, TurnNotFinished):
        terminal.complain(f"The turn continues: `turnstile status {turn.id}`, or `turnstile cancel {turn.id}`.")
        raise


def enqueue(terminal: Terminal, client: ChatClient, session: str, question: str, id: str | None, **options: Any) -> None:
    """Ask without waiting, and show the turn's id."""
    show_place(terminal, client.ask(session, question, id=id, **options))


def show_place(terminal: Terminal, turn: Turn) -> None:
    """Show a submitted turn's id."""
    submitted = turn.submitted
    assert submitted is not None
    value = {"id": submitted.id, "session": turn.session, "state": submitted.state, "place": submitted.place}
    terminal.result(submitted.id, value)


def show(terminal: Terminal, turn: Turn, timeout: float | None = None) -> str:
    """Show an answer as it comes, and return it.

    Raises:
        TurnEnded, TurnNotFinished.
    """
    answer = ""
    try:
        for piece in _pieces(terminal, turn, timeout):
            if piece.starts_over:
                terminal.end_line()
                terminal.complain("The turn was restarted; this is its new answer:")
                answer = ""
            terminal.write(piece)
            answer += piece
    finally:
        terminal.end_line()
    record = turn.status()
    if record.state is State.INCOMPLETE:
        terminal.complain(_UNFINISHED.get(record.code or "", _UNFINISHED[""]))
    for call in record.calls:
        terminal.complain(f"Open call: {formatting.call_text(call)}")
    if record.calls:
        terminal.complain(f"The session waits for the answers: `turnstile answer {record.session} CALL VALUE …`.")
    return answer


def _pieces(terminal: Terminal, turn: Turn, timeout: float | None) -> Iterator[Piece]:
    with terminal.hint(_HINT, _HINT_SECONDS) as hint:
        for piece in turn.stream(timeout=timeout, on_step=partial(_show_step, terminal, hint)):
            hint.cancel()
            yield piece


def _show_step(terminal: Terminal, hint: Timer, name: str, done: bool) -> None:
    hint.cancel()
    if not done:
        terminal.notice(f"{name} …")


def _show_record(terminal: Terminal, turn: Turn, timeout: float | None) -> None:
    trouble: TurnstileError | None = None
    try:
        turn.result(timeout)
    except (TurnEnded, TurnNotFinished) as error:
        trouble = error
    terminal.result("", formatting.record_json(turn.status()))
    if trouble:
        raise trouble


def _place(turn: Turn) -> str:
    place = turn.submitted.place if turn.submitted else 0
    return f", {place} before it in its session" if place else ""


def chat(terminal: Terminal, client: ChatClient, session: str, **options: Any) -> None:
    """Talk until the input ends; `options` are those of `ask`. Ctrl-C cancels the running turn."""
    for question in _typed(terminal, client, session) if sys.stdin.isatty() else sys.stdin:
        if question.strip():
            _answer(terminal, client, session, question.strip(), options)


def _answer(terminal: Terminal, client: ChatClient, session: str, question: str, options: Mapping[str, Any]) -> None:
    try:
        turn = client.ask(session, question, **options)
        try:
            show(terminal, turn)
        except KeyboardInterrupt:
            turn.cancel()
            terminal.complain("Cancelled.")
    except TurnEnded as error:
        terminal.complain(f"No answer: {error}")
    except TurnstileError as error:
        if not sys.stdin.isatty():
            raise
        terminal.complain(str(error))


def _typed(terminal: Terminal, client: ChatClient, session: str) -> Iterator[str]:
    """Yield typed questions; the arrow keys recall earlier ones."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import InMemoryHistory

    earlier = client.history(session, EARLIER_MESSAGES)
    for message in earlier:
        terminal.line(terminal.hanging(formatting.history_text(message)))
    asked = InMemoryHistory([message.text for message in earlier if message.role == "user"])
    prompt: PromptSession[str] = PromptSession(f"{printable(session)}> ", history=asked)
    terminal.notice("Ctrl-C cancels an answer, Ctrl-D leaves.")
    while True:
        try:
            yield prompt.prompt()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
