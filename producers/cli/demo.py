"""The main job, end to end: `turnstile demo`."""

import asyncio
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from turnstile.deploy.local.stack import Addresses, LocalStack
from turnstile.producers.cli import chat, demo_payment, formatting
from turnstile.producers.cli.doctor.worker_checks import living_workers
from turnstile.producers.cli.terminal import Terminal
from turnstile.producers.client import AsyncChatClient, ChatClient, Turn
from turnstile.turns.errors import TurnEnded, TurnNotFinished
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore

QUESTIONS = ("Hi! I'm bob", "Whats my name")
SESSIONS = 20

_TURN_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The means of a demo. `own_server`: the server is the demo's own, and ends with everything on it."""

    settings: Settings
    own_server: bool
    workers: int
    session: str
    others: tuple[str, ...]
    folder: Path | None = None
    """The demo's own, where its workers' tool writes; None where they have no tool."""


def run(settings: Settings) -> int:
    """Run the demo, and return the exit status: 0 if everything went right."""
    terminal = Terminal()
    with _plan(settings) as plan:
        trouble = _hindrance(plan)
        if trouble:
            terminal.complain(trouble)
            return 1
        for line in _introduction(plan):
            terminal.line(line)
        terminal.notice("Starting: this takes a few seconds.")
        with LocalStack(plan.settings, workers=plan.workers, flower=True, web=True) as stack:
            faults = _show(terminal, plan, stack.addresses)
        terminal.line("Everything that the demo started has ended." if not faults else "")
    for fault in faults:
        terminal.complain(f"wrong: {fault}")
    return int(bool(faults))


@contextmanager
def _plan(settings: Settings) -> Iterator[Plan]:
    tag = uuid.uuid4().hex[:8]
    others = tuple(f"demo-{tag}-{number}" for number in range(1, SESSIONS + 1))
    if settings.redis_url:
        workers = 0 if living_workers(TurnStore(settings)) else 2
        yield Plan(settings, False, workers, f"foo-{tag}", others)
        return
    with tempfile.TemporaryDirectory(prefix="turnstile-demo-") as folder:
        tools = {"tools": demo_payment.TOOL} if demo_payment.can_pay(settings) else {}
        private = settings.model_copy(update={"data_dir": str(Path(folder) / "data"), **tools})
        yield Plan(private, True, 2, "foo", others, Path(folder) if tools else None)


def _hindrance(plan: Plan) -> str:
    """Return the reason not to run the demo: its stand-in would answer real questions."""
    if plan.own_server or not plan.workers or not plan.settings.offline:
        return ""
    waiting = TurnStore(plan.settings).stats().get("open", 0)
    if not waiting:
        return ""
    return (
        f"{waiting:,} turns are open on the server that REDIS_URL names, and no worker is running; the demo's workers "
        "would answer them with the stand-in. Start your workers first, or unset REDIS_URL: the demo has its own server."
    )


def _introduction(plan: Plan) -> Iterator[str]:
    if plan.own_server:
        yield "Server:  an embedded Valkey in a temporary folder, for this demo only."
    else:
        yield "Server:  yours, from REDIS_URL. The demo uses its own sessions, and erases them at the end."
    yield f"Workers: {plan.workers} processes." if plan.workers else "Workers: those already at work there."
    if plan.settings.offline:
        yield "Model:   the offline stand-in, because neither OPENAI_API_KEY nor OPENAI_BASE_URL is set. It is no language"
        yield "         model: it greets, remembers names from the messages that it is sent, and repeats everything else."
    else:
        yield f"Model:   {plan.settings.model}."


def _show(terminal: Terminal, plan: Plan, addresses: Addresses) -> list[str]:
    client = ChatClient(addresses.redis_url, plan.settings)
    terminal.line(f"Flower:  {addresses.flower_url} while the demo runs; `turnstile up` keeps it running.")
    terminal.line(f"Gateway: {addresses.web_url}, likewise; any OpenAI SDK talks to it, under /v1.")
    try:
        return [
            *_two_questions(terminal, client, plan),
            *_by_sdk(terminal, plan, addresses.web_url),
            *asyncio.run(_many_sessions(terminal, plan, addresses.redis_url)),
            *_payment(terminal, client, plan),
        ]
    finally:
        if not plan.own_server:
            for session in (plan.session, *plan.others):
                client.erase(session)


def _two_questions(terminal: Terminal, client: ChatClient, plan: Plan) -> list[str]:
    terminal.line()
    terminal.line(f"Two questions to session {plan.session}, the second asked without waiting for the first:")
    turns = [client.ask(plan.session, question) for question in QUESTIONS]
    answers = [_streamed(terminal, question, turn) for question, turn in zip(QUESTIONS, turns, strict=True)]
    terminal.line()
    terminal.line(f"The history of session {plan.session}, as stored:")
    history = client.history(plan.session)
    for message in history:
        terminal.line(f"  {formatting.history_text(message)}")
    return [
        *_unless("bob" in answers[-1].lower() or not plan.settings.offline, "the second answer does not know the name"),
        *_unless(len(history) == 4, f"the history holds {len(history)} messages, and not 4"),
    ]


def _by_sdk(terminal: Terminal, plan: Plan, url: str) -> list[str]:
    """Use the same session through the gateway with OpenAI's own SDK, unless API keys are set."""
    import openai

    if plan.settings.api_keys.get_secret_value() or plan.settings.api_keys_file:
        return []
    terminal.line()
    terminal.line("The same session by OpenAI's own SDK, through the gateway, in the background:")
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    terminal.line(f'  client.responses.create(conversation="{plan.session}", input="{QUESTIONS[-1]}", background=True)')
    response = client.responses.create(conversation=plan.session, input=QUESTIONS[-1], background=True)
    with client.responses.stream(response_id=response.id) as events:
        answer = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    terminal.line(f"  {response.id}: {answer}")
    return _unless("bob" in answer.lower() or not plan.settings.offline, "the gateway's answer does not know the name")


def _payment(terminal: Terminal, client: ChatClient, plan: Plan) -> list[str]:
    if not plan.folder:
        return []
    return demo_payment.pay(terminal, client, f"{plan.session}-pays", plan.folder, partial(_answered, terminal))


def _streamed(terminal: Terminal, question: str, turn: Turn) -> str:
    terminal.line(f"  user: {question}")
    return _answered(terminal, turn)


def _answered(terminal: Terminal, turn: Turn) -> str:
    terminal.write("  assistant: ")
    try:
        return chat.show(terminal, turn, _TURN_SECONDS)
    except (TurnEnded, TurnNotFinished) as error:
        terminal.complain(str(error))
        return ""


async def _many_sessions(terminal: Terminal, plan: Plan, redis_url: str) -> list[str]:
    terminal.line()
    terminal.line(f"{len(plan.others)} sessions, a question each, all at once:")
    async with AsyncChatClient(redis_url, plan.settings) as client:
        with _progress(len(plan.others)) as advance:
            questions = {session: f"Please say {session}" for session in plan.others}
            answers = await asyncio.gather(
                *(_asked(client, session, text, advance) for session, text in questions.items()), return_exceptions=True
            )
    good = [a for a, session in zip(answers, plan.others, strict=True) if isinstance(a, str) and _fits(plan, a, session)]
    terminal.line(f"  {len(good)} of {len(plan.others)} answers came.")
    return _unless(len(good) == len(plan.others), f"only {len(good)} of {len(plan.others)} sessions got their answer")


def _fits(plan: Plan, answer: str, session: str) -> bool:
    return session in answer if plan.settings.offline else bool(answer)


async def _asked(client: AsyncChatClient, session: str, question: str, advance: Callable[[], None]) -> str:
    turn = await client.ask(session, question)
    answer = await turn.result(_TURN_SECONDS)
    advance()
    return answer


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Show a progress bar, on a terminal only."""
    columns = (TextColumn("  "), BarColumn(), MofNCompleteColumn())
    shown = sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), disable=not shown, transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)


def _unless(holds: bool, fault: str) -> list[str]:
    return [] if holds else [fault]
