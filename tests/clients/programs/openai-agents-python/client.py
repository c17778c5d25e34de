"""OpenAI's Agents SDK for Python, by both APIs."""

from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIConversationsSession,
    Runner,
    SQLiteSession,
    function_tool,
    set_default_openai_client,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from steps import ANSWER, API_KEY, BASE_URL, CALL, QUESTION, REMEMBERED, SECOND, WEATHER, expect, step, streamed

# >>> python
client = AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY)
set_default_openai_client(client)
set_tracing_disabled(True)  # traces would go to OpenAI
# <<<


@function_tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return WEATHER if city == "Paris" else "unknown"


async def said(events):
    return [
        event.data.delta
        async for event in events.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]


def run(model, way):
    how = {"name": "Assistant", "instructions": "You are a helpful assistant", "model": model}
    agent, able = Agent(**how), Agent(**how, tools=[get_weather])

    @step("text", way)
    async def text():
        expect((await Runner.run(agent, QUESTION)).final_output, ANSWER)

    @step("stream", way)
    async def stream():
        streamed(await said(Runner.run_streamed(agent, QUESTION)), ANSWER)

    @step("tools", way)
    async def tools():
        expect((await Runner.run(able, CALL)).final_output, WEATHER)
        streamed(await said(Runner.run_streamed(able, CALL)), WEATHER)

    @step("continues", way)
    async def continues():
        first = await Runner.run(agent, QUESTION)
        question = [*first.to_input_list(), {"role": "user", "content": SECOND}]
        expect((await Runner.run(agent, question)).final_output, REMEMBERED)
        session = SQLiteSession("tea-room")
        await Runner.run(agent, QUESTION, session=session)
        expect((await Runner.run(agent, SECOND, session=session)).final_output, REMEMBERED)


run("gpt-4o-mini", "Responses")
run(OpenAIChatCompletionsModel("gpt-4o-mini", client), "Chat Completions")


@step("continues", "Responses")
async def conversation():
    agent = Agent(name="Assistant", tools=[get_weather])
    session = OpenAIConversationsSession(openai_client=client)
    await Runner.run(agent, QUESTION, session=session)
    expect((await Runner.run(agent, SECOND, session=session)).final_output, REMEMBERED)
    expect((await Runner.run(agent, CALL, session=session)).final_output, WEATHER)
