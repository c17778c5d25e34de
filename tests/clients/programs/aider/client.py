"""Aider, a coding agent, run without its terminal."""

import os
import subprocess
import sys
from pathlib import Path

from steps import ANSWER, API_KEY, BASE_URL, QUESTION, REMEMBERED, SECOND, expect, step

SHOWN = (
    Path(__file__)
    .with_name("aider.sh")
    .read_text()
    .replace("BASE_URL", BASE_URL)
    .replace("API_KEY=API_KEY", f"API_KEY={API_KEY}")
)
QUIET = ("--no-git", "--no-pretty", "--yes-always", "--no-check-update", "--no-show-model-warnings", "--no-analytics")


def aider(*words):
    command = SHOWN.strip().replace("gpt-4o-mini\n", 'gpt-4o-mini "$@"\n')
    env = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    done = subprocess.run(
        ["sh", "-c", command, "sh", *QUIET, *words],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
    )
    sys.stdout.write(done.stdout)
    return done.stdout


@step("text")
def text():
    expect(aider("--no-stream", "--message", QUESTION), ANSWER)


@step("stream")
def stream():
    expect(aider("--stream", "--message", QUESTION), ANSWER)


@step("tools")
def tools():
    """It edits files by what the model writes: here, the whole file that the question holds."""
    answer = "hello.txt\n```\nsunny, 21 degrees\n```\n"
    aider("--edit-format", "whole", "--message", f"Write this:\n\n{answer}", "hello.txt")
    expect(Path("hello.txt").read_text(), "sunny, 21 degrees")


@step("continues")
def continues():
    expect(aider("--restore-chat-history", "--message", SECOND), REMEMBERED)
