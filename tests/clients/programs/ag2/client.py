"""AG2, by both APIs."""

from ag2 import Agent
from ag2.config import OpenAIConfig, OpenAIResponsesConfig
from ag2.events import ModelMessageChunk
from steps import ANSWER, API_KEY, BASE_URL, CALL, QUESTION, REMEMBERED, SECOND, WEATHER, expect, step, streamed

# >>> python
chat = OpenAIConfig(model="gpt-4o-mini", base_url=BASE_URL, api_key=API_KEY, streaming=True)
responses = OpenAIResponsesConfig(model="gpt-4o-mini", base_url=BASE_URL, api_key=API_KEY, streaming=True)
# <<<


def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return WEATHER if city == "Paris" else "unknown"


def run(config, way):
    agent = Agent("assistant", prompt="You are a helpful assistant.", config=config)
    able = Agent("assistant", prompt="You are a helpful assistant.", config=config, tools=[get_weather])

    @step("text", way)
    async def text():
        expect((await agent.ask(QUESTION)).body, ANSWER)

    @step("stream", way)
    async def stream():
        pieces = []
        async with agent.run(QUESTION) as turn:
            turn.stream.where(ModelMessageChunk).subscribe(lambda event: pieces.append(event.content))
            await turn.result()
        streamed(pieces, ANSWER)

    @step("tools", way)
    async def tools():
        expect((await able.ask(CALL)).body, WEATHER)

    @step("continues", way)
    async def continues():
        reply = await agent.ask(QUESTION)
        expect((await reply.ask(SECOND)).body, REMEMBERED)


run(chat, "Chat Completions")
run(responses, "Responses")
