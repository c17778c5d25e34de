"""Chainlit's app of its quick-start with OpenAI, spoken to as its page does."""

import asyncio
import socket
import subprocess
import uuid
from datetime import UTC, datetime
from pathlib import Path

import socketio
from steps import ANSWER, QUESTION, REMEMBERED, SECOND, absent, expect, step, streamed


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


async def connected(url, page):
    session = str(uuid.uuid4())
    auth = {"clientType": "webapp", "sessionId": session, "threadId": "", "userEnv": "{}", "chatProfile": ""}
    for _ in range(120):
        try:
            await page.connect(url, socketio_path="/ws/socket.io", auth=auth, transports=["websocket"])
        except socketio.exceptions.ConnectionError:
            await asyncio.sleep(0.5)
        else:
            return await page.emit("connection_successful")
    raise TimeoutError("the app did not start")


async def ask(page, text, wanted, answers, heard):
    message = {"id": str(uuid.uuid4()), "name": "user", "type": "user_message", "output": text}
    await page.emit(
        "client_message", {"message": {**message, "createdAt": datetime.now(UTC).isoformat()}, "fileReferences": []}
    )
    async with asyncio.timeout(60):
        while wanted not in str(answers):
            heard.clear()
            await heard.wait()


async def talk(url):
    page, pieces, answers, heard = socketio.AsyncClient(), [], [], asyncio.Event()

    def hear(message):
        answers.append(message["output"])
        heard.set()

    page.on("stream_start", lambda message: pieces.append(message["output"]))
    page.on("stream_token", lambda token: pieces.append(token["token"]))
    page.on("new_message", hear)
    page.on("update_message", hear)
    try:
        await connected(url, page)
        await ask(page, QUESTION, ANSWER, answers, heard)
        await ask(page, SECOND, REMEMBERED, answers, heard)
    finally:
        await page.disconnect()
    return pieces, answers


port = free_port()
app = Path(__file__).with_name("app.py")
with subprocess.Popen(["chainlit", "run", str(app), "--headless", "--port", str(port)]) as process:
    try:
        pieces, answers = asyncio.run(talk(f"http://127.0.0.1:{port}"))
    finally:
        process.terminate()


@step("text")
def text():
    expect(answers, ANSWER)


@step("stream")
def stream():
    streamed(pieces, ANSWER)


@step("continues")
def continues():
    expect(answers, REMEMBERED)


absent("tools", "it has no tools of its own")
