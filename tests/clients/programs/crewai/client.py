"""CrewAI: an agent on its own, and a crew with a task."""

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool
from steps import ANSWER, API_KEY, BASE_URL, CALL, QUESTION, REMEMBERED, SECOND, WEATHER, expect, step, streamed

# >>> python
llm = LLM(model="openai/gpt-4o-mini", base_url=BASE_URL, api_key=API_KEY)
# <<<

HOW = {"role": "Assistant", "goal": "Help", "backstory": "You are helpful.", "llm": llm}


@tool("get_weather")
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return WEATHER if city == "Paris" else "unknown"


@step("text")
def text():
    expect(llm.call(QUESTION), ANSWER)
    agent = Agent(**HOW)
    task = Task(description=QUESTION, expected_output="A greeting", agent=agent)
    expect(Crew(agents=[agent], tasks=[task]).kickoff().raw, ANSWER)


@step("stream")
def stream():
    agent = Agent(**HOW)
    task = Task(description=QUESTION, expected_output="A greeting", agent=agent)
    chunks = Crew(agents=[agent], tasks=[task], stream=True).kickoff()
    streamed([chunk.content for chunk in chunks], ANSWER)


@step("tools")
def tools():
    agent = Agent(**HOW, tools=[get_weather])
    task = Task(description=CALL, expected_output="The weather", agent=agent)
    expect(Crew(agents=[agent], tasks=[task]).kickoff().raw, WEATHER)


@step("continues")
def continues():
    messages = [{"role": "user", "content": QUESTION}]
    messages += [{"role": "assistant", "content": llm.call(messages)}, {"role": "user", "content": SECOND}]
    expect(Agent(**HOW).kickoff(messages).raw, REMEMBERED)
