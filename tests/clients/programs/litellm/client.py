"""LiteLLM as a library, by both APIs."""

import json

import litellm
from steps import ANSWER, API_KEY, BASE_URL, CALL, QUESTION, REMEMBERED, SECOND, WEATHER, expect, step, streamed

# >>> python
server = {"model": "openai/gpt-4o-mini", "base_url": BASE_URL, "api_key": API_KEY}
answer = litellm.completion(messages=[{"role": "user", "content": QUESTION}], **server)
# <<<

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "The weather of a city", "parameters": PARAMETERS}
RESPONSES, CHAT = "Responses", "Chat Completions"


@step("text", CHAT)
def text():
    expect(answer.choices[0].message.content, ANSWER)


@step("stream", CHAT)
def stream():
    chunks = litellm.completion(messages=[{"role": "user", "content": QUESTION}], stream=True, **server)
    streamed([chunk.choices[0].delta.content for chunk in chunks], ANSWER)


@step("tools", CHAT)
def tools():
    messages, how = [{"role": "user", "content": CALL}], {"tools": [{"type": "function", "function": FUNCTION}], **server}
    message = litellm.completion(messages=messages, **how).choices[0].message
    messages.append(message)
    for call in message.tool_calls:
        expect(json.loads(call.function.arguments)["city"], "Paris")
        messages.append({"role": "tool", "tool_call_id": call.id, "name": "get_weather", "content": WEATHER})
    expect(litellm.completion(messages=messages, **how).choices[0].message.content, WEATHER)


@step("continues", CHAT)
def continues():
    messages = [{"role": "user", "content": QUESTION}, answer.choices[0].message, {"role": "user", "content": SECOND}]
    expect(litellm.completion(messages=messages, **server).choices[0].message.content, REMEMBERED)


@step("text", RESPONSES)
def responses_text():
    expect(litellm.responses(input=QUESTION, **server).output[-1].content[0].text, ANSWER)


@step("stream", RESPONSES)
def responses_stream():
    events = litellm.responses(input=QUESTION, stream=True, **server)
    streamed([event.delta for event in events if event.type == "response.output_text.delta"], ANSWER)


@step("tools", RESPONSES)
def responses_tools():
    how = {"tools": [{"type": "function", **FUNCTION}], **server}
    first = litellm.responses(input=CALL, **how)
    outputs = [
        {"type": "function_call_output", "call_id": item.call_id, "output": WEATHER}
        for item in first.output
        if item.type == "function_call"
    ]
    second = litellm.responses(input=outputs, previous_response_id=first.id, **how)
    expect(second.output[-1].content[0].text, WEATHER)


@step("continues", RESPONSES)
def responses_continues():
    first = litellm.responses(input=QUESTION, **server)
    second = litellm.responses(input=SECOND, previous_response_id=first.id, **server)
    expect(second.output[-1].content[0].text, REMEMBERED)
