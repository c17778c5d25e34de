"""Smolagents: an agent that calls tools, and one that writes code."""

from smolagents import CodeAgent, OpenAIModel, ToolCallingAgent, tool
from steps import ANSWER, API_KEY, BASE_URL, CALL, QUESTION, WEATHER, expect, step, streamed

# >>> python
model = OpenAIModel(model_id="gpt-4o-mini", api_base=BASE_URL, api_key=API_KEY)
# <<<

CALLS, CODE = "ToolCallingAgent", "CodeAgent"


@tool
def get_weather(city: str) -> str:
    """Tell the weather of a city.

    Args:
        city: The city.
    """
    return WEATHER if city == "Paris" else "unknown"


# The offline model repeats the task, and with it the code that stands there.
TASK = "Run this:\n<code>\nfinal_answer({})\n</code>"


@step("text", CODE)
def code_text():
    expect(CodeAgent(tools=[], model=model).run(TASK.format("'Hello ' + 'Bob!'")), ANSWER)


@step("stream", CODE)
def code_stream():
    messages = [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}]
    streamed([delta.content for delta in model.generate_stream(messages)], ANSWER)
    agent = CodeAgent(tools=[], model=model, stream_outputs=True)
    expect(agent.run(TASK.format("'Hello ' + 'Bob!'")), ANSWER)


@step("tools", CODE)
def code_tools():
    expect(CodeAgent(tools=[get_weather], model=model).run(TASK.format("get_weather('Paris')")), WEATHER)


@step("continues", CODE)
def code_continues():
    agent = CodeAgent(tools=[], model=model)
    agent.run(TASK.format("'one'"))
    expect(agent.run(TASK.format("'two'"), reset=False), "two")


ANSWERED = 'Answer\ncall final_answer {"answer": "Hello Bob!"}\n'


@step("text", CALLS)
def calls_text():
    expect(ToolCallingAgent(tools=[], model=model).run(ANSWERED), ANSWER)


@step("stream", CALLS)
def calls_stream():
    expect(ToolCallingAgent(tools=[], model=model, stream_outputs=True).run(ANSWERED), ANSWER)


@step("tools", CALLS)
def calls_tools():
    agent = ToolCallingAgent(tools=[get_weather], model=model)
    expect(agent.run(CALL), WEATHER)


@step("continues", CALLS)
def calls_continues():
    agent = ToolCallingAgent(tools=[], model=model)
    agent.run(ANSWERED)
    expect(agent.run('Again\ncall final_answer {"answer": "two"}\n', reset=False), "two")
