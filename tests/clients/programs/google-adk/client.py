"""Google's ADK, through LiteLLM."""

from google.adk.agents import LlmAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.models.lite_llm import LiteLlm
from google.adk.runners import InMemoryRunner
from google.genai import types
from steps import ANSWER, API_KEY, BASE_URL, CALL, QUESTION, REMEMBERED, SECOND, WEATHER, expect, step, streamed

# >>> python
model = LiteLlm(model="openai/gpt-4o-mini", api_base=BASE_URL, api_key=API_KEY)
# <<<


def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return WEATHER if city == "Paris" else "unknown"


runner = InMemoryRunner(agent=LlmAgent(name="assistant", model=model, instruction="Be brief.", tools=[get_weather]))
runner.auto_create_session = True


async def ask(session, question, **how):
    message = types.Content(role="user", parts=[types.Part(text=question)])
    events = runner.run_async(user_id="bob", session_id=session, new_message=message, **how)
    return [(part.text, event.partial) async for event in events if event.content for part in event.content.parts if part.text]


@step("text")
@step("continues")
async def text():
    expect((await ask("one", QUESTION))[-1], ANSWER)
    expect((await ask("one", SECOND))[-1], REMEMBERED)


@step("stream")
async def stream():
    how = {"run_config": RunConfig(streaming_mode=StreamingMode.SSE)}
    streamed([text for text, partial in await ask("two", QUESTION, **how) if partial], ANSWER)


@step("tools")
async def tools():
    expect((await ask("three", CALL))[-1], WEATHER)
