"""LlamaIndex: OpenAILike, and a FunctionAgent on top of it; OpenAIResponses, too."""

from llama_index.core.agent.workflow import AgentStream, FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.core.memory import Memory
from llama_index.llms.openai import OpenAIResponses
from llama_index.llms.openai_like import OpenAILike
from steps import ANSWER, API_KEY, BASE_URL, CALL, QUESTION, REMEMBERED, SECOND, WEATHER, expect, step, streamed

# >>> python
server = {"model": "gpt-4o-mini", "api_base": BASE_URL, "api_key": API_KEY}
chat = OpenAILike(is_chat_model=True, is_function_calling_model=True, context_window=128_000, **server)
responses = OpenAIResponses(**server)
# <<<


def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return WEATHER if city == "Paris" else "unknown"


def run(llm, way):
    @step("text", way)
    async def text():
        expect((await llm.achat([ChatMessage(role="user", content=QUESTION)])).message.content, ANSWER)

    @step("stream", way)
    async def stream():
        chunks = await llm.astream_chat([ChatMessage(role="user", content=QUESTION)])
        streamed([chunk.delta async for chunk in chunks], ANSWER)

    @step("tools", way)
    async def tools():
        agent = FunctionAgent(tools=[get_weather], llm=llm, system_prompt="You are a helpful assistant.")
        handler = agent.run(CALL)
        pieces = [event.delta async for event in handler.stream_events() if isinstance(event, AgentStream)]
        expect(await handler, WEATHER)
        streamed(pieces, WEATHER)

    @step("continues", way)
    async def continues():
        agent = FunctionAgent(tools=[get_weather], llm=llm)
        memory = Memory.from_defaults(session_id="tea-room")
        await agent.run(QUESTION, memory=memory)
        expect(await agent.run(SECOND, memory=memory), REMEMBERED)


run(chat, "Chat Completions")
run(responses, "Responses")
