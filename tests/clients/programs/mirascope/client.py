"""Mirascope, by both APIs."""

from mirascope import llm
from steps import ANSWER, API_KEY, BASE_URL, CALL, QUESTION, REMEMBERED, SECOND, WEATHER, expect, step, streamed

# >>> python
llm.register_provider("openai", base_url=BASE_URL, api_key=API_KEY)
chat = llm.Model("openai/gpt-4o-mini:completions")
responses = llm.Model("openai/gpt-4o-mini:responses")
# <<<


@llm.tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return WEATHER if city == "Paris" else "unknown"


def run(model, way):
    @step("text", way)
    def text():
        expect(model.call(QUESTION).text(), ANSWER)

    @step("stream", way)
    def stream():
        streamed(list(model.stream(QUESTION).text_stream()), ANSWER)

    @step("tools", way)
    def tools():
        response = model.call(CALL, tools=[get_weather])
        while response.tool_calls:
            response = response.resume(response.execute_tools())
        expect(response.text(), WEATHER)

    @step("continues", way)
    def continues():
        expect(model.call(QUESTION).resume(SECOND).text(), REMEMBERED)


run(chat, "Chat Completions")
run(responses, "Responses")
