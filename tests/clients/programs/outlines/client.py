"""Outlines: text, and answers of a given form."""

import openai
import outlines
from outlines.inputs import Chat
from pydantic import BaseModel
from steps import ANSWER, API_KEY, BASE_URL, QUESTION, REMEMBERED, SECOND, absent, expect, step, streamed

# >>> python
client = openai.OpenAI(base_url=BASE_URL, api_key=API_KEY)
model = outlines.from_openai(client, "gpt-4o-mini")
# <<<


class User(BaseModel):
    """A user, as a structured answer."""

    name: str
    age: int


@step("text")
def text():
    expect(model(QUESTION), ANSWER)
    assert User.model_validate_json(model("Who is it?", User)).name


@step("stream")
def stream():
    streamed(list(model.stream(QUESTION)), ANSWER)


@step("continues")
def continues():
    chat = Chat([{"role": "user", "content": QUESTION}])
    chat.add_assistant_message(model(chat))
    chat.add_user_message(SECOND)
    expect(model(chat), REMEMBERED)


absent("tools", "it has no tools")
