"""Chains that behave badly, each in its own way."""

import os
import signal
from pathlib import Path
from time import sleep
from typing import Any

from langchain_core.runnables import RunnableLambda

_GATE = "gate "


def _block(inputs: dict[str, Any]) -> str:
    """Blocks its thread until the file named in the question appears."""
    question = inputs["question"]
    if question.startswith(_GATE):
        while not Path(question.removeprefix(_GATE)).exists():
            sleep(0.02)
    return f"heard {question}"


def _die(inputs: dict[str, Any]) -> str:
    """Kills its own process when told to."""
    if inputs["question"] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return f"heard {inputs['question']}"


def _raise(inputs: dict[str, Any]) -> str:
    raise RuntimeError(inputs["question"])


blocking = RunnableLambda(_block)
deadly = RunnableLambda(_die)
raising = RunnableLambda(_raise)
not_a_chain = 42
