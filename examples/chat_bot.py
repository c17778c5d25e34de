"""A bot behind a chat service that delivers events at least once, as Slack's Events API does.

The service expects an answer to its event within seconds and sends the event again when none comes, so the event is
acknowledged as soon as the question is stored. The event's id is the turn's id: a repeat asks nothing twice. Two
messages in one channel are answered one after the other, since the channel is the session; "stop" ends what is under way
there. What is yet to be posted stands in a file: a bot that starts anew posts the answers that the one before it could not.

    BOT_REPLY_URL=http://localhost:9000/post uvicorn --app-dir examples chat_bot:app --port 8200
"""

import asyncio
import logging
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request
from pydantic import BaseModel, Field

from turnstile import AsyncChatClient, AsyncTurn, TurnEnded, UnknownTurn

log = logging.getLogger(__name__)


class Event(BaseModel):
    """One message in a channel, as the chat service tells it."""

    event_id: str = Field(max_length=100)
    channel: str = Field(max_length=100)
    user: str = Field(max_length=60)
    text: str = Field(max_length=10_000)


class Outbox:
    """The answers to post, each with its channel, in a file; those that were posted are known for a day."""

    def __init__(self, path: str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("CREATE TABLE IF NOT EXISTS answers (turn TEXT PRIMARY KEY, channel TEXT, posted TEXT)")

    def add(self, turn: str, channel: str) -> bool:
        """Note an answer to post, unless it is noted; return False if it was posted."""
        self._db.execute("DELETE FROM answers WHERE posted < datetime('now', '-1 day')")
        self._db.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, NULL)", (turn, channel))
        return self._db.execute("SELECT posted FROM answers WHERE turn = ?", (turn,)).fetchone() == (None,)

    def posted(self, turn: str) -> None:
        """Note that an answer was posted."""
        self._db.execute("UPDATE answers SET posted = datetime('now') WHERE turn = ?", (turn,))

    def left(self) -> list[tuple[str, str]]:
        """Return the turns whose answers are to be posted, with their channels."""
        return self._db.execute("SELECT turn, channel FROM answers WHERE posted IS NULL ORDER BY rowid").fetchall()


class Bot:
    """Asks for each event, and posts each answer to its channel."""

    def __init__(self, client: AsyncChatClient, reply_url: str, outbox: Outbox) -> None:
        self._client = client
        self._reply_url = reply_url
        self._outbox = outbox
        self._http = httpx.AsyncClient(timeout=10)
        self._posting: dict[str, asyncio.Task[None]] = {}

    async def hear(self, event: Event) -> None:
        """Enqueue the event's question; returns once the question is stored."""
        session = f"channel-{event.channel}"
        if event.text.strip().lower() == "stop":
            for turn in await self._client.unfinished(session):
                await turn.cancel(keep=True)
            return
        turn = await self._client.ask(session, event.text, id=event.event_id, name=event.user)
        if self._outbox.add(turn.id, event.channel):
            self._start(turn, event.channel)

    def resume(self) -> None:
        """Go on with the answers that were not posted before this process began."""
        for id, channel in self._outbox.left():
            self._start(self._client.turn(id), channel)

    def _start(self, turn: AsyncTurn, channel: str) -> None:
        if turn.id not in self._posting:
            task = self._posting[turn.id] = asyncio.create_task(self._post(turn, channel))
            task.add_done_callback(lambda _: self._posting.pop(turn.id, None))

    async def _post(self, turn: AsyncTurn, channel: str) -> None:
        try:
            text = await turn.result()
        except UnknownTurn:
            text = ""
        except TurnEnded as error:
            log.warning("turn %s ended without an answer: %s", turn.id, type(error).__name__)
            text = "Sorry, that did not work. Please ask again."
        if text:
            # The id lets the receiver drop a second copy, should this process die after posting.
            await self._http.post(self._reply_url, json={"id": turn.id, "channel": channel, "text": text})
        self._outbox.posted(turn.id)

    async def close(self) -> None:
        """Stop posting; the next process goes on with what is in the outbox."""
        for task in self._posting.values():
            task.cancel()
        await asyncio.gather(*self._posting.values(), return_exceptions=True)
        await self._http.aclose()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold one bot for the whole process."""
    async with AsyncChatClient() as client:
        app.state.bot = Bot(client, os.environ["BOT_REPLY_URL"], Outbox(os.environ.get("BOT_OUTBOX", "chat_bot.sqlite")))
        app.state.bot.resume()
        try:
            yield
        finally:
            await app.state.bot.close()


app = FastAPI(lifespan=lifespan)


@app.post("/events")
async def events(event: Event, request: Request) -> dict[str, bool]:
    """Acknowledge an event once its question is stored."""
    await request.app.state.bot.hear(event)
    return {"ok": True}
