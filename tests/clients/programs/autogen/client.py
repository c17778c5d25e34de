"""AutoGen's AssistantAgent."""

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import ModelClientStreamingChunkEvent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from steps import ANSWER, API_KEY, BASE_URL, CALL, QUESTION, REMEMBERED, SECOND, WEATHER, expect, step, streamed

# >>> python
client = OpenAIChatCompletionClient(model="gpt-4o-mini", base_url=BASE_URL, api_key=API_KEY)
# <<<


async def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return WEATHER if city == "Paris" else "unknown"


@step("text")
@step("continues")
async def text():
    agent = AssistantAgent("assistant", model_client=client)
    expect((await agent.run(task=QUESTION)).messages[-1].content, ANSWER)
    expect((await agent.run(task=SECOND)).messages[-1].content, REMEMBERED)


@step("stream")
async def stream():
    agent = AssistantAgent("assistant", model_client=client, model_client_stream=True)
    events = [event async for event in agent.run_stream(task=QUESTION)]
    streamed([event.content for event in events if isinstance(event, ModelClientStreamingChunkEvent)], ANSWER)


@step("tools")
async def tools():
    agent = AssistantAgent("assistant", model_client=client, tools=[get_weather], reflect_on_tool_use=True)
    result = await agent.run(task=CALL)
    expect([message.type for message in result.messages], "ToolCallExecutionEvent")
    expect(result.messages[-1].content, WEATHER)
