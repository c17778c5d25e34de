"""A bot behind a chat service that delivers events at least once, as Slack's Events API does.

The service expects an answer to its event within seconds and sends the event again when none comes, so the event is
acknowledged as soon as the question is stored. The event's id is the turn's id: a repeat asks nothing twice. Two
messages in one channel are answered one after the other, since the channel is the session.

    BOT_REPLY_URL=http://localhost:9000/post uvicorn --app-dir examples chat_bot:app --port 8200
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request
from pydantic import BaseModel, Field

from turnstile import AsyncChatClient, AsyncTurn, TurnEnded

log = logging.getLogger(__name__)


class Event(BaseModel):
    """One message in a channel, as the chat service tells it."""

    event_id: str = Field(max_length=100)
    channel: str = Field(max_length=100)
    user: str = Field(max_length=60)
    text: str = Field(max_length=10_000)


class Bot:
    """Asks for each event, and posts each answer to its channel."""

    def __init__(self, client: AsyncChatClient, reply_url: str) -> None:
        self._client = client
        self._reply_url = reply_url
        self._http = httpx.AsyncClient(timeout=10)
        self._posting: dict[str, asyncio.Task[None]] = {}

    async def hear(self, event: Event) -> None:
        """Enqueue the event's question; returns once the question is stored."""
        turn = await self._client.ask(f"channel-{event.channel}", event.text, id=event.event_id, name=event.user)
        if turn.id not in self._posting:
            task = self._posting[turn.id] = asyncio.create_task(self._post(turn, event.channel))
            task.add_done_callback(lambda _: self._posting.pop(turn.id, None))

    async def _post(self, turn: AsyncTurn, channel: str) -> None:
        try:
            text = await turn.result()
        except TurnEnded as error:
            log.warning("turn %s ended without an answer: %s", turn.id, type(error).__name__)
            text = "Sorry, that did not work. Please ask again."
        # The id lets the receiver drop a second copy, should this process die after posting.
        await self._http.post(self._reply_url, json={"id": turn.id, "channel": channel, "text": text})

    async def close(self) -> None:
        """Stop posting. The chat service repeats what it heard no acknowledgement for."""
        for task in self._posting.values():
            task.cancel()
        await asyncio.gather(*self._posting.values(), return_exceptions=True)
        await self._http.aclose()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold one bot for the whole process."""
    async with AsyncChatClient() as client:
        app.state.bot = Bot(client, os.environ["BOT_REPLY_URL"])
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
