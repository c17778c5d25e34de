"""The app, as `chainlit run` takes it."""

import os

import chainlit as cl
from openai import AsyncOpenAI

BASE_URL, API_KEY = os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]

# >>> python
client = AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY)
cl.instrument_openai()
# <<<


@cl.on_message
async def on_message(message: cl.Message):
    """Answer with the whole chat as the model's context."""
    answer = cl.Message(content="")
    chunks = await client.chat.completions.create(messages=cl.chat_context.to_openai(), model="gpt-4o-mini", stream=True)
    async for chunk in chunks:
        await answer.stream_token(chunk.choices[0].delta.content or "" if chunk.choices else "")
    await answer.send()
