"""OpenAI's SDK for Python: Responses, with a conversation of its own, and Chat Completions."""

import json

from openai import OpenAI
from steps import ANSWER, API_KEY, BASE_URL, CALL, QUESTION, REMEMBERED, SECOND, WEATHER, expect, step, streamed

# >>> python
client = OpenAI(base_url=BASE_URL, api_key=API_KEY)
response = client.responses.create(model="gpt-4o-mini", input=QUESTION)
# <<<

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
FUNCTION = {"name": "get_weather", "description": "The weather of a city", "parameters": PARAMETERS, "strict": True}
RESPONSES, CHAT = "Responses", "Chat Completions"


@step("text", RESPONSES)
def text():
    expect(response.output_text, ANSWER)


@step("stream", RESPONSES)
def stream():
    with client.responses.stream(model="gpt-4o-mini", input=QUESTION) as events:
        streamed([event.delta for event in events if event.type == "response.output_text.delta"], ANSWER)
        expect(events.get_final_response().output_text, ANSWER)


@step("tools", RESPONSES)
def tools():
    how = {"model": "gpt-4o-mini", "tools": [{"type": "function", **FUNCTION}]}
    items = [{"role": "user", "content": CALL}]
    first = client.responses.create(input=items, **how)
    items += first.output
    for call in first.output:
        if call.type == "function_call":
            expect(json.loads(call.arguments)["city"], "Paris")
            items.append({"type": "function_call_output", "call_id": call.call_id, "output": WEATHER})
    expect(client.responses.create(input=items, **how).output_text, WEATHER)


@step("continues", RESPONSES)
def continues():
    again = client.responses.create(model="gpt-4o-mini", input=SECOND, previous_response_id=response.id)
    expect(again.output_text, REMEMBERED)
    conversation = client.conversations.create()
    for question in (QUESTION, SECOND):
        last = client.responses.create(model="gpt-4o-mini", input=question, conversation=conversation.id)
    expect(last.output_text, REMEMBERED)


@step("text", CHAT)
def chat_text():
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": QUESTION}])
    expect(answer.choices[0].message.content, ANSWER)


@step("stream", CHAT)
def chat_stream():
    with client.chat.completions.stream(model="gpt-4o-mini", messages=[{"role": "user", "content": QUESTION}]) as events:
        streamed([event.delta for event in events if event.type == "content.delta"], ANSWER)


@step("tools", CHAT)
def chat_tools():
    how = {"model": "gpt-4o-mini", "tools": [{"type": "function", "function": FUNCTION}]}
    messages = [{"role": "user", "content": CALL}]
    message = client.chat.completions.create(messages=messages, **how).choices[0].message
    messages.append(message)
    for call in message.tool_calls:
        expect(json.loads(call.function.arguments)["city"], "Paris")
        messages.append({"role": "tool", "tool_call_id": call.id, "content": WEATHER})
    expect(client.chat.completions.create(messages=messages, **how).choices[0].message.content, WEATHER)


@step("continues", CHAT)
def chat_continues():
    messages = [{"role": "user", "content": QUESTION}]
    messages.append(client.chat.completions.create(model="gpt-4o-mini", messages=messages).choices[0].message)
    messages.append({"role": "user", "content": SECOND})
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=messages)
    expect(answer.choices[0].message.content, REMEMBERED)
