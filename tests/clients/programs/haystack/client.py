"""Haystack: the generators of both APIs, and an Agent on top of them."""

from haystack.components.agents import Agent
from haystack.components.generators.chat import OpenAIChatGenerator, OpenAIResponsesChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import tool
from haystack.utils import Secret
from steps import ANSWER, API_KEY, BASE_URL, CALL, QUESTION, REMEMBERED, SECOND, WEATHER, expect, step, streamed

# >>> python
server = {"model": "gpt-4o-mini", "api_base_url": BASE_URL, "api_key": Secret.from_token(API_KEY)}
chat = OpenAIChatGenerator(**server)
responses = OpenAIResponsesChatGenerator(**server)
# <<<


@tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return WEATHER if city == "Paris" else "unknown"


def run(generator, way):
    @step("text", way)
    def text():
        expect(generator.run([ChatMessage.from_user(QUESTION)])["replies"][0].text, ANSWER)

    @step("stream", way)
    def stream():
        pieces = []
        generator.run([ChatMessage.from_user(QUESTION)], streaming_callback=lambda chunk: pieces.append(chunk.content))
        streamed(pieces, ANSWER)

    @step("tools", way)
    def tools():
        agent = Agent(chat_generator=generator, tools=[get_weather])
        expect(agent.run(messages=[ChatMessage.from_user(CALL)])["last_message"].text, WEATHER)

    @step("continues", way)
    def continues():
        messages = [ChatMessage.from_user(QUESTION)]
        messages += [*generator.run(messages)["replies"], ChatMessage.from_user(SECOND)]
        expect(generator.run(messages)["replies"][0].text, REMEMBERED)


run(chat, "Chat Completions")
run(responses, "Responses")
