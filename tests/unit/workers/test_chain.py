"""Loading a user's chain, and calling chains of every kind."""

import asyncio
import itertools
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable, RunnableConfig, RunnableGenerator, RunnableLambda
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from tests.support.wait import PATIENCE_SECONDS
from turnstile.turns.errors import SettingError
from turnstile.turns.settings import Settings
from turnstile.workers.chains.default import QuestionPrompt
from turnstile.workers.chains.load import load_chain, load_chains
from turnstile.workers.chains.run import ChainEvent, ChainOutput, ChainOutputError, TextDelta, run_chain

numbers = itertools.count()
Writer = Callable[[str], Settings]


@pytest.fixture
def chain_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Writer]:
    """Writes a user's module into the working directory, and gives settings that name `chain` in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    before = set(sys.modules)

    def write(code: str) -> Settings:
        name = f"users_chain_{next(numbers)}"
        (tmp_path / f"{name}.py").write_text(code)
        return Settings(chain=f"{name}:chain")

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("users_chain_"):
            del sys.modules[name]


IMPORTS = "from langchain_core.runnables import RunnableLambda\n"
UPPER = "RunnableLambda(lambda asked: asked['question'].upper())\n"


async def run(
    chain: Runnable[Any, Any],
    question: Any = "q",
    options: dict[str, Any] | None = None,
    *,
    history: Any = (),
    stream: bool = False,
) -> tuple[list[str], ChainOutput]:
    """Return the pieces of text that a chain gives, and its output."""
    events: list[ChainEvent] = []
    output = await run_chain(chain, question, history, "foo", options, events.append if stream else None)
    return [event.text for event in events], output


@pytest.mark.parametrize(
    "code", [f"{IMPORTS}chain = {UPPER}", f"{IMPORTS}def chain(mood='good'):\n    return {UPPER}"], ids=["runnable", "factory"]
)
async def test_a_users_chain_answers(chain_file: Writer, code: str) -> None:
    chain = load_chain(chain_file(code))
    assert (await run(chain, "hello"))[1].text == "HELLO"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("", "has no chain"),
        ("import nowhere_to_be_found\n", "cannot be imported: ModuleNotFoundError"),
        ("raise RuntimeError('two\\nlines')\n", "cannot be imported: RuntimeError: two lines"),
        ("raise SystemExit(3)\n", "cannot be imported: SystemExit: 3"),
        ("chain = 1 +\n", "cannot be imported: SyntaxError"),
        ("chain = 42\n", "neither a Runnable nor"),
        ("def chain(asked):\n    return 1\n", "neither a Runnable nor"),
        ("def chain():\n    return 1\n", "neither a Runnable nor"),
        ("def chain():\n    return 1 / 0\n", "cannot be called: ZeroDivisionError"),
    ],
)
def test_a_bad_chain_is_told_in_one_line(chain_file: Writer, code: str, said: str) -> None:
    with pytest.raises(SettingError, match=said) as caught:
        load_chain(chain_file(code))
    assert str(caught.value).startswith("TURNSTILE_CHAIN: ")
    assert "\n" not in str(caught.value)


def test_a_chain_that_cannot_be_imported_or_called_is_told_with_its_line(chain_file: Writer) -> None:
    for code, line in ((f"{IMPORTS}\n{{}}['missing']\n", 3), ("def chain():\n    return 1 / 0\n", 2)):
        settings = chain_file(code)
        with pytest.raises(SettingError, match=rf" \({settings.chain.partition(':')[0]}, line {line}\)$"):
            load_chain(settings)


def test_a_history_that_stores_everything_twice_is_told(
    chain_file: Writer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An earlier test of the same process may have imported it.
    monkeypatch.delitem(sys.modules, "langchain_community.chat_message_histories.redis", raising=False)
    load_chain(chain_file(f"{IMPORTS}chain = {UPPER}"))
    assert "RedisChatMessageHistory" not in caplog.text
    wrong = (
        "import warnings\nwarnings.simplefilter('ignore')\n"
        "from langchain_community.chat_message_histories import RedisChatMessageHistory\n"
    )
    try:
        load_chain(chain_file(f"{wrong}{IMPORTS}chain = {UPPER}"))
    finally:
        sys.modules.pop("langchain_community.chat_message_histories.redis", None)
    assert "imports RedisChatMessageHistory from langchain_community" in caplog.text
    assert "import it from turnstile" in caplog.text


def test_a_missing_module_is_told_in_one_line() -> None:
    with pytest.raises(SettingError, match="TURNSTILE_CHAIN: nowhere_at_all cannot be imported"):
        load_chain(Settings(chain="nowhere_at_all:chain"))


GRAPH = """
from langgraph.graph import MessagesState, StateGraph, START
chain = StateGraph(MessagesState).add_node("n", lambda state: state).add_edge(START, "n").compile()
def made():
    return chain
async def made_async():
    return chain
"""


@pytest.mark.parametrize("name", ["chain", "made", "made_async"])
async def test_a_graph_is_told_by_its_type(chain_file: Writer, name: str) -> None:
    module = chain_file(GRAPH).chain.partition(":")[0]
    chains, _ = await load_chains(Settings(chain=f"{module}:{name}", chains=f'{{"again": "{module}:{name}"}}'))
    assert {name: type(chain).__name__ for name, chain in chains.items()} == {"": "GraphChain", "again": "GraphChain"}


async def test_a_named_chain_may_be_any_runnable(chain_file: Writer) -> None:
    setting = chain_file("from langchain_core.runnables import RunnableLambda\nchain = RunnableLambda(str)").chain
    chains, _ = await load_chains(Settings(chains=f'{{"plain": "{setting}"}}'), "http://localhost:1/v1")
    assert list(chains) == ["", "plain"]
    with pytest.raises(SettingError, match="TURNSTILE_CHAINS: gone: nowhere_at_all cannot be imported"):
        await load_chains(Settings(chains='{"gone": "nowhere_at_all:chain"}'), "http://localhost:1/v1")


def test_who_has_no_graph_does_not_pay_for_one(chain_file: Writer) -> None:
    code = (
        "import sys; from turnstile import app; app.loader.import_default_modules(); import turnstile.workers.process.runtime"
    )
    code += "; print([name for name in sys.modules if name.partition('.')[0] in ('langgraph', 'langchain', 'mcp')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_a_chain_gets_question_history_and_session() -> None:
    seen: list[Any] = []

    def look(asked: dict[str, Any], config: RunnableConfig) -> str:
        seen.append((asked, config["configurable"]))
        return "ok"

    history = [HumanMessage("a"), AIMessage("b")]
    await run(RunnableLambda(look), options={"instructions": "Be brief", "temperature": 0.5}, history=history)
    asked, configurable = seen[0]
    assert asked == {"question": "q", "history": history, "instructions": "Be brief"}
    assert configurable["session_id"] == "foo"
    assert configurable["temperature"] == 0.5


async def test_the_session_cannot_be_changed_by_an_option() -> None:
    def named(asked: Any, config: RunnableConfig) -> Any:
        return config["configurable"]["session_id"]

    assert (await run(RunnableLambda(named), options={"session_id": "bar"}))[1].text == "foo"


async def test_a_chain_without_async_does_not_hold_up_the_loop() -> None:
    entered, go_on = threading.Event(), threading.Event()

    class Blocking(Runnable[Any, str]):
        def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> str:  # noqa: A002  # langchain's name
            entered.set()
            assert go_on.wait(PATIENCE_SECONDS)
            return "done"

    for stream in (False, True):
        call = asyncio.create_task(run(Blocking(), stream=stream))
        assert await asyncio.to_thread(entered.wait, PATIENCE_SECONDS)
        go_on.set()
        assert (await call)[1].text == "done"
        entered.clear()
        go_on.clear()


def streaming(*pieces: Any) -> Runnable[Any, Any]:
    async def stream(_: AsyncIterator[Any]) -> AsyncIterator[Any]:
        for piece in pieces:
            yield piece

    return RunnableGenerator(stream)


CHUNKS = (
    AIMessageChunk(content="a", id="1"),
    AIMessageChunk(content="b", id="1", response_metadata={"finish_reason": "stop", "model_name": "m"}),
    AIMessageChunk(content="", id="1", usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
)


@pytest.mark.parametrize("pieces", [("a", "b"), CHUNKS, (AIMessage("ab"),), ("ab",), ("a", AIMessageChunk(content="b"))])
async def test_streamed_pieces_become_one_message(pieces: tuple[Any, ...]) -> None:
    heard, output = await run(streaming(*pieces), stream=True)
    assert type(output.message) is AIMessage
    assert (output.text, "".join(heard)) == ("ab", "ab")
    assert "" not in heard


async def test_a_piece_is_told_before_the_next_is_asked_for() -> None:
    seen: list[Any] = []

    async def stream(_: AsyncIterator[Any]) -> AsyncIterator[str]:
        for piece in "ab":
            seen.append(f"asked for {piece}")
            yield piece

    await run_chain(RunnableGenerator(stream), "q", [], "foo", on_event=seen.append)
    assert seen == ["asked for a", TextDelta("a"), "asked for b", TextDelta("b")]


async def test_what_a_message_says_about_itself_is_told() -> None:
    _, output = await run(streaming(*CHUNKS), stream=True)
    assert (output.model, output.finish_reason) == ("m", "stop")
    assert output.usage == {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}


@pytest.mark.parametrize("output", [{"a": "secret"}, None, 7, HumanMessage("secret"), ["secret"]])
async def test_another_output_is_an_error_that_names_its_type(output: Any) -> None:
    for stream in (False, True):
        with pytest.raises(ChainOutputError) as caught:
            await run(RunnableLambda(lambda _: output), stream=stream)
        assert type(output).__name__ in str(caught.value)
        assert "secret" not in str(caught.value)


async def test_a_stream_without_a_piece_is_an_error() -> None:
    with pytest.raises(ChainOutputError, match="nothing"):
        await run(streaming(), stream=True)


async def test_an_error_of_the_chain_comes_through() -> None:
    def fail(_: Any) -> str:
        raise LookupError("x")

    with pytest.raises(LookupError):
        await run(RunnableLambda(fail))


class Listening(ChatOpenAI):
    """Answers with the arguments it was called with."""

    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **kwargs: Any) -> Any:
        kwargs.pop("run_manager", None)
        raise LookupError(kwargs)


@pytest.mark.parametrize("shape", ["alone", "after a prompt", "already bound"])
async def test_options_reach_the_openai_model_at_the_end_of_any_chain(shape: str) -> None:
    model = Listening(model="m", api_key=SecretStr("none"))
    prompt = RunnableLambda(lambda asked: asked["question"])
    chains: dict[str, Runnable[Any, Any]] = {
        "alone": prompt | model,
        "after a prompt": RunnableLambda(lambda asked: asked) | prompt | model,
        "already bound": prompt | model.bind(top_p=0.1),
    }
    with pytest.raises(LookupError) as caught:
        await run(chains[shape], options={"model": "n", "max_output_tokens": 3})
    assert caught.value.args[0].items() >= {"model": "n", "max_completion_tokens": 3}.items()
    assert ("top_p" in caught.value.args[0]) == (shape == "already bound")


async def test_options_do_not_reach_what_is_no_openai_model() -> None:
    chain: Runnable[Any, str] = RunnableLambda(lambda asked: AIMessage(asked["question"])) | StrOutputParser()
    assert (await run(chain, options={"model": "n"}))[1].text == "q"


def test_the_question_may_be_text_or_parts() -> None:
    parts = [{"type": "text", "text": "{x}"}]
    for question in ("{x}", parts):
        assert QuestionPrompt().format_messages(question=question) == [HumanMessage(question)]  # type: ignore[arg-type]  # list is invariant


async def test_a_named_chain_has_models_of_its_own(chain_file: Writer) -> None:
    code = chain_file("def made(model):\n    return model.with_retry()\nfixed = 1").chain.partition(":")[0]
    named = {"fast": {"model": "c"}, "own": {"chain": f"{code}:made", "model": "d,e"}}
    chains, models = await load_chains(Settings(model="a,b", chains=json.dumps(named)), "http://localhost:1/v1")
    assert [type(chain).__name__ for chain in chains.values()] == ["DefaultChain", "DefaultChain", "RunnableRetry"]
    assert [model.async_client.models for model in models] == [("a", "b"), ("c",), ("d", "e")]
    assert [model.model_name for model in models] == ["a", "c", "d"]
    with pytest.raises(SettingError, match=f"TURNSTILE_CHAINS: own: {code}:fixed is no function that takes model alone"):
        await load_chains(Settings(chains=json.dumps({"own": {"chain": f"{code}:fixed", "model": "d"}})))
