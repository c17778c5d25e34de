"""Strands Agents, by both APIs."""

from steps import ANSWER, API_KEY, BASE_URL, CALL, QUESTION, REMEMBERED, SECOND, WEATHER, expect, step, streamed
from strands import Agent, tool
from strands.models.openai import OpenAIModel
from strands.models.openai_responses import OpenAIResponsesModel

# >>> python
server = {"client_args": {"base_url": BASE_URL, "api_key": API_KEY}, "model_id": "gpt-4o-mini"}
chat = OpenAIModel(**server)
responses = OpenAIResponsesModel(**server)
# <<<


@tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return WEATHER if city == "Paris" else "unknown"


def run(model, way):
    agent = Agent(model=model, tools=[get_weather], callback_handler=None)

    @step("text", way)
    def text():
        expect(agent(QUESTION), ANSWER)

    @step("stream", way)
    async def stream():
        other = Agent(model=model, callback_handler=None)
        streamed([event["data"] async for event in other.stream_async(QUESTION) if "data" in event], ANSWER)

    @step("tools", way)
    def tools():
        expect(agent(CALL), WEATHER)

    @step("continues", way)
    def continues():
        expect(agent(SECOND), REMEMBERED)


run(chat, "Chat Completions")
run(responses, "Responses")
