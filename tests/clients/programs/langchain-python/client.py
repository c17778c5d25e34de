"""LangChain: ChatOpenAI by both APIs, and agents of create_agent on top of it."""

from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from steps import ANSWER, API_KEY, BASE_URL, CALL, QUESTION, REMEMBERED, SECOND, WEATHER, expect, step, streamed

# >>> python
chat = ChatOpenAI(model="gpt-4o-mini", base_url=BASE_URL, api_key=API_KEY)
responses = ChatOpenAI(model="gpt-4o-mini", base_url=BASE_URL, api_key=API_KEY, use_responses_api=True)
# <<<


@tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return WEATHER if city == "Paris" else "unknown"


def run(model, way):
    @step("text", way)
    def text():
        expect(model.invoke(QUESTION).text, ANSWER)

    @step("stream", way)
    def stream():
        streamed([chunk.text for chunk in model.stream(QUESTION)], ANSWER)

    @step("tools", way)
    def tools():
        agent = create_agent(model, tools=[get_weather])
        messages = agent.invoke({"messages": [{"role": "user", "content": CALL}]})["messages"]
        expect([message.type for message in messages], "'tool'")
        expect(messages[-1].text, WEATHER)
        events = agent.stream({"messages": [{"role": "user", "content": CALL}]}, stream_mode="messages")
        expect("".join(message.text for message, _ in events if message.type == "AIMessageChunk"), WEATHER)

    @step("continues", way)
    def continues():
        agent = create_agent(model, tools=[])
        state = agent.invoke({"messages": [{"role": "user", "content": QUESTION}]})
        state["messages"].append({"role": "user", "content": SECOND})
        expect(agent.invoke(state)["messages"][-1].text, REMEMBERED)


run(chat, "Chat Completions")
run(responses, "Responses")


@step("continues", "Responses")
def continues():
    model = ChatOpenAI(
        model="gpt-4o-mini", base_url=BASE_URL, api_key=API_KEY, use_responses_api=True, use_previous_response_id=True
    )
    messages = [("user", QUESTION), model.invoke(QUESTION), ("user", SECOND)]
    expect(model.invoke(messages).text, REMEMBERED)
    agent = create_agent(model, tools=[get_weather])
    expect(agent.invoke({"messages": [{"role": "user", "content": CALL}]})["messages"][-1].text, WEATHER)
