"""Agno, by both APIs."""

from agno.agent import Agent
from agno.db.in_memory import InMemoryDb
from agno.models.openai import OpenAIChat, OpenAIResponses
from steps import ANSWER, API_KEY, BASE_URL, CALL, QUESTION, REMEMBERED, SECOND, WEATHER, expect, step, streamed

# >>> python
chat = OpenAIChat(id="gpt-4o-mini", base_url=BASE_URL, api_key=API_KEY)
responses = OpenAIResponses(id="gpt-4o-mini", base_url=BASE_URL, api_key=API_KEY)
# <<<


def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return WEATHER if city == "Paris" else "unknown"


def run(model, way):
    agent = Agent(model=model, tools=[get_weather], db=InMemoryDb(), add_history_to_context=True)

    @step("text", way)
    def text():
        expect(agent.run(QUESTION, session_id=way).content, ANSWER)

    @step("stream", way)
    def stream():
        streamed([event.content for event in agent.run(QUESTION, stream=True) if event.event == "RunContent"], ANSWER)

    @step("tools", way)
    def tools():
        expect(agent.run(CALL).content, WEATHER)

    @step("continues", way)
    def continues():
        expect(agent.run(SECOND, session_id=way).content, REMEMBERED)


run(chat, "Chat Completions")
run(responses, "Responses")
