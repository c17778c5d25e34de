"""`llm`, for the command line, by both APIs: with -o, -c and --functions, its tools."""

import os
import subprocess
from pathlib import Path

from steps import ANSWER, API_KEY, BASE_URL, CALL, QUESTION, REMEMBERED, SECOND, WEATHER, expect, step

HOME = Path(os.environ["HOME"], "llm")
HOME.mkdir()
MODELS = Path(__file__).with_name("models.yaml").read_text().replace("BASE_URL", BASE_URL)
(HOME / "extra-openai-models.yaml").write_text(MODELS)
FUNCTION = f"""
def get_weather(city: str) -> str:
    "Tell the weather of a city."
    return {WEATHER!r} if city == "Paris" else "unknown"
"""


def llm(*words, text=None):
    env = {**os.environ, "LLM_USER_PATH": str(HOME)}
    done = subprocess.run(
        ["llm", *words], env=env, input=text or "", stdout=subprocess.PIPE, text=True, timeout=200, check=True
    )
    return done.stdout


llm("keys", "set", "turnstile", text=f"{API_KEY}\n")


def run(model, way):
    @step("text", way)
    def text():
        expect(llm("-m", model, "--no-stream", "-o", "temperature", "0.5", "-o", "max_tokens", "100", QUESTION), ANSWER)

    @step("stream", way)
    def stream():
        expect(llm("-m", model, QUESTION), ANSWER)

    @step("continues", way)
    def continues():
        expect(llm("-c", SECOND), REMEMBERED)

    @step("tools", way)
    def tools():
        expect(llm("-m", model, "--functions", FUNCTION, CALL), WEATHER)
        expect(llm("-m", model, "-T", "llm_version", "Which?\ncall llm_version {}\n"), "llm_version returned")


run("turnstile", "Chat Completions")
run("turnstile-responses", "Responses")
