"""The code in the documentation does what it says."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Stack
from tests.support.processes import ROOT, Worker, offline_model
from turnstile.producers.client import ChatClient
from turnstile.turns.settings import Settings, settings

_PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


def _blocks(page: Path) -> list[str]:
    return _PYTHON.findall(page.read_text())


@pytest.fixture
def _settings(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("REDIS_URL", stack.redis_url)
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.usefixtures("_settings")
def test_the_page_of_the_python_client() -> None:
    names: dict[str, object] = {}
    for block in _blocks(ROOT / "docs" / "client.md"):
        exec(compile(block, "client.md", "exec"), names)
    assert names["shown"] == "Your name is Bob."


@pytest.mark.usefixtures("_settings")
def test_the_example_on_the_first_screen(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(_blocks(ROOT / "README.md")[0], "README.md", "exec"), {})
    assert capsys.readouterr().out == "Hello Bob! How can I help you today?\nYour name is Bob.\n"


@pytest.mark.usefixtures("_settings")
def test_the_page_about_testing(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(_blocks(ROOT / "docs" / "testing.md")[0], "testing.md", "exec"), {})
    assert capsys.readouterr().out == "invalid_request\n"


def test_the_page_about_agents(redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    agent, approval, asking = _blocks(ROOT / "docs" / "agents.md")
    (tmp_path / "chat_of_the_page.py").write_text(agent + approval)
    with offline_model() as base_url:
        env = {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "none", "PYTHONPATH": str(tmp_path)}
        with Worker(redis_url, tmp_path, 4, TURNSTILE_CHAIN="chat_of_the_page:agent", **env):
            chat = ChatClient(settings=Settings(redis_url=redis_url))
            exec(compile(asking, "agents.md", "exec"), {"chat": chat})
    asked, answered = capsys.readouterr().out.splitlines()
    assert asked.endswith(' pay {"amount":3}')
    assert answered.startswith("pay returned paid 3 under ")


def test_links_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *(ROOT / "docs").glob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
        if not (page.parent / link).exists()
    ]
    assert not broken
