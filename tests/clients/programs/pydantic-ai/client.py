"""Pydantic AI, by both APIs."""

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from steps import ANSWER, API_KEY, BASE_URL, CALL, QUESTION, REMEMBERED, SECOND, WEATHER, expect, step, streamed

# >>> python
provider = OpenAIProvider(base_url=BASE_URL, api_key=API_KEY)
chat = OpenAIChatModel("gpt-4o-mini", provider=provider)
responses = OpenAIResponsesModel("gpt-4o-mini", provider=provider)
# <<<


class Name(BaseModel):
    """A name, as a structured answer."""

    name: str


def run(model, way):
    agent = Agent(model, instructions="Be concise, reply with one sentence.")
    able = Agent(model, instructions="Be concise, reply with one sentence.")

    @able.tool_plain
    def get_weather(city: str) -> str:
        """Tell the weather of a city."""
        return WEATHER if city == "Paris" else "unknown"

    @step("text", way)
    async def text():
        expect((await agent.run(QUESTION)).output, ANSWER)

    @step("stream", way)
    async def stream():
        async with agent.run_stream(QUESTION) as result:
            streamed([piece async for piece in result.stream_text(delta=True, debounce_by=None)], ANSWER)

    @step("tools", way)
    async def tools():
        expect((await able.run(CALL)).output, WEATHER)
        assert (await Agent(model, output_type=Name).run("Give a name")).output.name

    @step("continues", way)
    async def continues():
        first = await agent.run(QUESTION)
        expect((await agent.run(SECOND, message_history=first.all_messages())).output, REMEMBERED)


run(chat, "Chat Completions")
run(responses, "Responses")
