"""DSPy: programs, whose answers are forms, and ReAct."""

import dspy
from steps import ANSWER, API_KEY, BASE_URL, CALL, QUESTION, REMEMBERED, SECOND, WEATHER, absent, expect, step

# >>> python
chat = dspy.LM("openai/gpt-4o-mini", api_base=BASE_URL, api_key=API_KEY, cache=False)
responses = dspy.LM("openai/gpt-4o-mini", api_base=BASE_URL, api_key=API_KEY, cache=False, model_type="responses")
# <<<


class Chat(dspy.Signature):
    """Answer the question."""

    question: str = dspy.InputField()
    history: dspy.History = dspy.InputField()
    answer: str = dspy.OutputField()


def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return WEATHER if city == "Paris" else "unknown"


def run(lm, way):
    @step("text", way)
    def text():
        with dspy.context(lm=lm):
            expect(dspy.ChainOfThought("question -> answer")(question=QUESTION).answer, ANSWER)

    @step("tools", way)
    def tools():
        with dspy.context(lm=lm, adapter=dspy.ChatAdapter(use_native_function_calling=True)):
            done = dspy.ReActV2("question -> answer", tools=[get_weather])(question=CALL)
            expect(done.history, WEATHER)

    @step("continues", way)
    def continues():
        history = dspy.History(messages=[{"question": QUESTION, "answer": ANSWER}])
        with dspy.context(lm=lm):
            expect(dspy.Predict(Chat)(question=SECOND, history=history).answer, REMEMBERED)


run(chat, "Chat Completions")
run(responses, "Responses")


@step("stream", "Chat Completions")
async def stream():
    listener = dspy.streaming.StreamListener(signature_field_name="answer")
    with dspy.context(lm=chat, adapter=dspy.JSONAdapter()):
        program = dspy.streamify(dspy.Predict("question -> answer"), stream_listeners=[listener])
        pieces = [piece.chunk async for piece in program(question=QUESTION) if isinstance(piece, dspy.streaming.StreamResponse)]
    expect("".join(pieces), ANSWER)


absent("stream", "it streams by chat completions alone", "Responses")
