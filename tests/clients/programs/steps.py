"""Steps of a client's script: each reports in one line of JSON whether it worked."""

import asyncio
import inspect
import json
import os
import traceback
from pathlib import Path

BASE_URL = os.environ["OPENAI_BASE_URL"]
API_KEY = os.environ["OPENAI_API_KEY"]

QUESTION = "Hi! I'm bob"
ANSWER = "Hello Bob!"
SECOND = "Whats my name"
REMEMBERED = "Your name is Bob."
# The offline model calls the tool that a line of the question names.
CALL = 'What is the weather in Paris?\ncall get_weather {"city": "Paris"}\n'
WEATHER = "sunny, 21 degrees"

# One for all steps: clients keep connections that belong to a loop.
_LOOP = asyncio.new_event_loop()


def step(name, way=""):
    """Run the function at once, and report it; `way` tells several ways to use a client apart."""

    def run(function):
        try:
            result = function()
            if inspect.iscoroutine(result):
                _LOOP.run_until_complete(result)
        except BaseException as error:
            traceback.print_exc(limit=-1, chain=False)
            _report(name, way, "no", f"{type(error).__name__}: {error}".strip().splitlines()[0][:120])
        else:
            _report(name, way, "yes")
        return function

    return run


def absent(name, why, way=""):
    """Report a step that the client does not have."""
    _report(name, way, "-", why)


def expect(found, wanted):
    """Raise AssertionError unless the text is in what was found."""
    if wanted not in str(found):
        raise AssertionError(f"expected {wanted!r} in {str(found)[:120]!r}")


def streamed(pieces, wanted):
    """Raise AssertionError unless the pieces are several and make the text."""
    pieces = [piece for piece in pieces if piece]
    expect("".join(pieces), wanted)
    if len(pieces) < 2:
        raise AssertionError("the answer came in one piece")


def _report(name, way, result, why=""):
    with Path(os.environ["STEPS_REPORT"]).open("a") as report:
        report.write(json.dumps({"step": name, "way": way, "result": result, "why": why}) + "\n")
