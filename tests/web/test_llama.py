"""Workers against a model server that nobody here wrote."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.gateways import Gateway
from tests.support.processes import ROOT, Worker, environment


@pytest.fixture
def llama(tmp_path: Path) -> Iterator[str]:
    """llama.cpp's server, with a tiny model; its base URL."""
    command = [sys.executable, "-m", "tests.web.llama", str(tmp_path / "tiny.gguf")]
    with (tmp_path / "llama.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment({}), stdout=subprocess.PIPE, stderr=log, text=True)
    with process:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert url, (tmp_path / "llama.log").read_text(errors="replace")[-3000:]
        try:
            yield url
        finally:
            process.terminate()


@pytest.fixture
def sdk(redis_url: str, tmp_path: Path, llama: str) -> Iterator[openai.OpenAI]:
    """OpenAI's SDK, a gateway and a worker in front of it."""
    worker = Worker(redis_url, tmp_path, 20, OPENAI_BASE_URL=llama, OPENAI_API_KEY="none", TURNSTILE_MAX_OUTPUT_TOKENS="24")
    with worker, Gateway(redis_url, tmp_path) as gateway:
        yield gateway.sdk()


def test_llama_cpp_answers(sdk: openai.OpenAI) -> None:
    conversation = sdk.conversations.create()
    first = sdk.responses.create(input="Who waits?", conversation=conversation.id, temperature=0)
    assert first.status in ("completed", "incomplete"), first.error
    assert first.output_text
    assert first.usage
    assert first.usage.output_tokens > 0
    with sdk.responses.stream(model="tiny", input="And then?", conversation=conversation.id, temperature=0) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
    assert deltas
    items = [item.to_dict() for item in sdk.conversations.items.list(conversation.id, order="asc")]
    texts: list[Any] = [item["content"][0]["text"] for item in items]  # type: ignore[index]  # plain JSON
    assert texts == ["Who waits?", first.output_text, "And then?", "".join(deltas)]


def test_a_second_turn_has_the_first_in_its_prompt(sdk: openai.OpenAI) -> None:
    alone = sdk.responses.create(input="And then?", temperature=0)
    sdk.responses.create(input="Who waits?", conversation="conv_long", temperature=0)
    second = sdk.responses.create(input="And then?", conversation="conv_long", temperature=0)
    assert alone.usage
    assert second.usage
    assert second.usage.input_tokens > alone.usage.input_tokens
