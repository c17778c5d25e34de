"""Gradio's ChatInterface, whose function asks through OpenAI's SDK, used as its own client does."""

import gradio
from gradio_client import Client
from steps import ANSWER, API_KEY, BASE_URL, QUESTION, REMEMBERED, SECOND, absent, expect, step, streamed

# >>> python
chat = gradio.load_chat(BASE_URL, model="gpt-4o-mini", token=API_KEY, file_types=None)
# <<<

chat.launch(prevent_thread_lock=True, quiet=True)


@step("text")
@step("stream")
def text():
    job = Client(chat.local_url, verbose=False).submit(QUESTION, api_name="/open_api_stream")
    expect(job.result(timeout=60), ANSWER)
    streamed(map(str, job.outputs()), ANSWER)


@step("continues")
def continues():
    """The page hands its history over in parts; what Gradio's own client keeps, `load_chat` refuses."""
    told = (("user", QUESTION), ("assistant", ANSWER))
    history = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in told]
    expect(list(chat.fn(SECOND, history)), REMEMBERED)


absent("tools", "it has no tools")
