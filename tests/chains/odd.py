"""Chains that behave badly, each in its own way."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from time import sleep
from typing import Any

from langchain_core.runnables import RunnableGenerator, RunnableLambda

_GATE = "gate "


def _block(inputs: dict[str, Any]) -> str:
    """Blocks its thread until the file named in the question appears."""
    question = inputs["question"]
    if question.startswith(_GATE):
        while not Path(question.removeprefix(_GATE)).exists():
            sleep(0.02)
    return f"heard {question}"


def _remember(inputs: dict[str, Any]) -> str:
    """Blocks as above, and tells how long the messages of its history are."""
    return f"{_block(inputs)} after {[len(message.content) for message in inputs['history']]}"


def _die(inputs: dict[str, Any]) -> str:
    """Kills its own process on request."""
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


class Own(BaseException):
    """An error that no `except Exception` catches."""


_RAISED = {kind.__name__: kind for kind in (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit, Own)}


def _raise_by_name(inputs: dict[str, Any]) -> str:
    """Raises what the question's first word names."""
    name = inputs["question"].partition(" ")[0]
    if name in _RAISED:
        raise _RAISED[name](inputs["question"])
    return f"heard {inputs['question']}"


async def _raise_on_the_loop(inputs: dict[str, Any]) -> str:
    return _raise_by_name(inputs)


async def _raise_in_a_stream(inputs: AsyncIterator[dict[str, Any]]) -> AsyncIterator[str]:
    async for each in inputs:
        yield "heard "
        yield _raise_by_name(each).removeprefix("heard ")


async def _leave_behind(inputs: dict[str, Any]) -> str:
    """Answers, and leaves a task behind that fails when nobody looks any more."""

    async def fail() -> None:
        raise RuntimeError(inputs["question"])

    lost = asyncio.create_task(fail())
    await asyncio.wait([lost])
    return "heard"


blocking = RunnableLambda(_block)
remembering = RunnableLambda(_remember)
exiting = RunnableLambda(_exit)
exiting_in_a_task = RunnableLambda(_exit_in_a_task)
deadly = RunnableLambda(_die)
raising = RunnableLambda(_raise)
raising_in_a_thread = RunnableLambda(_raise_by_name)
raising_on_the_loop = RunnableLambda(_raise_on_the_loop)
raising_in_a_stream: Any = RunnableGenerator(_raise_in_a_stream)
leaving_behind = RunnableLambda(_leave_behind)
not_a_chain = 42
