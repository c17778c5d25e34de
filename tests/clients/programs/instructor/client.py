"""Instructor in its default mode, which calls a tool for the answer's form."""

import instructor
from pydantic import BaseModel
from steps import API_KEY, BASE_URL, absent, expect, step

# >>> python
client = instructor.from_provider("openai/gpt-4o-mini", base_url=BASE_URL, api_key=API_KEY)
# <<<


class User(BaseModel):
    """A user, as a structured answer."""

    name: str
    age: int


def asked(function):
    """Return the question for which the offline model calls the function."""
    return [{"role": "user", "content": f'Who is it?\ncall {function} {{"name": "Bob", "age": 25}}\n'}]


@step("text")
def text():
    user = client.chat.completions.create(response_model=User, messages=asked("User"))
    expect((user.name, user.age), "('Bob', 25)")


@step("stream")
def stream():
    parts = list(client.chat.completions.create_partial(response_model=User, messages=asked("PartialUser")))
    expect((parts[-1].name, parts[-1].age), "('Bob', 25)")


@step("tools")
def tools():
    user, completion = client.chat.completions.create_with_completion(response_model=User, messages=asked("User"))
    expect(completion.choices[0].message.tool_calls[0].function.name, "User")
    expect(user.name, "Bob")


absent("continues", "each answer stands alone")
