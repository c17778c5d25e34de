"""Chains that behave badly, each in its own way."""

import asyncio
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


def _exit(inputs: dict[str, Any]) -> str:
    """Would end any program that called it."""
    if inputs["question"] == "exit":
        raise SystemExit(3)
    return f"heard {inputs['question']}"


async def _exit_in_a_task(inputs: dict[str, Any]) -> str:
    async def task() -> str:
        return _exit(inputs)

    return await asyncio.create_task(task())


blocking = RunnableLambda(_block)
exiting = RunnableLambda(_exit)
exiting_in_a_task = RunnableLambda(_exit_in_a_task)
deadly = RunnableLambda(_die)
raising = RunnableLambda(_raise)
not_a_chain = 42
