"""Semantic Kernel: ChatCompletionAgent."""

from openai import AsyncOpenAI
from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from semantic_kernel.functions import kernel_function
from steps import ANSWER, API_KEY, BASE_URL, QUESTION, REMEMBERED, SECOND, WEATHER, expect, step, streamed

# >>> python
client = AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY)
service = OpenAIChatCompletion(ai_model_id="gpt-4o-mini", async_client=client)
# <<<


class Weather:
    """A plugin."""

    @kernel_function(description="Tell the weather of a city.")
    def get_weather(self, city: str) -> str:
        """Tell the weather of a city."""
        return WEATHER if city == "Paris" else "unknown"


agent = ChatCompletionAgent(service=service, name="Assistant", instructions="Be brief.", plugins=[Weather()])


@step("text")
@step("continues")
async def text():
    first = await agent.get_response(messages=QUESTION)
    expect(first, ANSWER)
    expect(await agent.get_response(messages=SECOND, thread=first.thread), REMEMBERED)


@step("stream")
async def stream():
    streamed([str(piece.content) async for piece in agent.invoke_stream(messages=QUESTION)], ANSWER)


@step("tools")
async def tools():
    expect(await agent.get_response(messages='Well?\ncall Weather-get_weather {"city": "Paris"}\n'), WEATHER)
