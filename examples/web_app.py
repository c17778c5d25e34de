"""A web app that streams answers to a browser, and resumes them where a connection broke.

uvicorn --app-dir examples web_app:app --port 8100
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, Header, HTTPException, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import BaseModel, Field

from turnstile import AsyncChatClient, AsyncTurn, TurnEnded, TurnRefused, UnknownTurn

PAGE = """<!doctype html>
<title>Ask</title>
<form id="form"><input id="question" size="60" autofocus> <button>Ask</button></form>
<pre id="answer"></pre>
<script>
  const answer = document.getElementById("answer");
  document.getElementById("form").onsubmit = async (event) => {
    event.preventDefault();
    const body = JSON.stringify({ session: "web", question: document.getElementById("question").value });
    const reply = await fetch("/ask", { method: "POST", headers: { "content-type": "application/json" }, body });
    const { turn } = await reply.json();
    answer.textContent = "";
    const events = new EventSource(`/answers/${turn}`); // reconnects by itself, with Last-Event-ID
    events.onmessage = ({ data }) => {
      const { text, starts_over } = JSON.parse(data);
      answer.textContent = (starts_over ? "" : answer.textContent) + text;
    };
    events.addEventListener("end", () => events.close());
  };
</script>
"""


class Ask(BaseModel):
    """A question to a session; `id` makes a repeat of the request the same question."""

    session: str = Field(max_length=200)
    question: str = Field(max_length=10_000)
    id: str | None = Field(None, max_length=100)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold one client for the whole process: all streams share its connections."""
    async with AsyncChatClient() as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/", response_class=HTMLResponse)
async def page() -> str:
    """Serve the page."""
    return PAGE


@app.post("/ask", status_code=202)
async def ask(wanted: Ask, request: Request) -> dict[str, str]:
    """Enqueue a question and return its turn's id."""
    client: AsyncChatClient = request.app.state.client
    try:
        turn = await client.ask(wanted.session, wanted.question, id=wanted.id)
    except TurnRefused as error:
        raise HTTPException(429 if error.code == "too_many_waiting" else 400, str(error)) from None
    return {"turn": turn.id}


@app.get("/answers/{turn_id}")
async def answers(turn_id: str, request: Request, last_event_id: Annotated[int, Header(ge=0)] = 0) -> StreamingResponse:
    """Stream an answer as server-sent events, from the beginning or from the last event that the browser has."""
    client: AsyncChatClient = request.app.state.client
    turn = client.turn(turn_id)
    try:
        await turn.status()
    except UnknownTurn:
        raise HTTPException(404, "There is no such answer.") from None
    return StreamingResponse(_events(turn, last_event_id), media_type="text/event-stream")


async def _events(turn: AsyncTurn, after: int) -> AsyncIterator[str]:
    try:
        async for piece in turn.stream(after):
            data = json.dumps({"text": piece, "starts_over": piece.starts_over})
            yield f"id: {piece.sequence}\ndata: {data}\n\n"
        yield "event: end\ndata: done\n\n"
    except TurnEnded as error:
        yield f"event: end\ndata: {type(error).__name__}\n\n"
