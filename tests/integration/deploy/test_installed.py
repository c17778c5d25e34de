"""The wheel in a project that has folders of the same names as ours, and with no more libraries than an extra brings."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.installation import Project, build_wheel, new_project, with_all_libraries, with_libraries_of
from tests.support.processes import launch
from tests.support.wait import wait_until

# Folders that Turnstile has as well, a chain in one of them, and errors where Celery's results say that ours are.
FILES = {
    "workers/__init__.py": "",
    "workers/names.py": "GREETING = 'Greetings'",
    "deploy/__init__.py": "",
    "deploy/mark.py": "MARK = '!'",
    "producers/__init__.py": "",
    "turns/__init__.py": "",
    "turns/errors.py": "class Mine(Exception): ...",
    "memory/__init__.py": "",
    "memory/chain.py": """
from deploy.mark import MARK
from langchain_core.runnables import RunnableLambda
from workers.names import GREETING

chain = RunnableLambda(lambda inputs: f"{GREETING}, {inputs['question']}{MARK}")
""",
}
ASK = ("from turnstile import ChatClient", "print(ChatClient().ask('foo', 'bob').result(timeout=120))")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Project:
    made = new_project(tmp_path_factory.mktemp("project"), wheel, FILES)
    with_all_libraries(made)
    return made


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Project:
    """Return the project of a client: the libraries without any extra."""
    made = new_project(tmp_path_factory.mktemp("asking"), wheel, {})
    with_libraries_of(made)
    return made


@pytest.fixture(params=["turnstile", "turnstile.workers.app"])
def worker(request: pytest.FixtureRequest, project: Project, redis_url: str, tmp_path: Path) -> Iterator[None]:
    """Yield the project's worker, with the project's chain."""
    env = project.environment(REDIS_URL=redis_url, TURNSTILE_CHAIN="memory.chain:chain", PYTHONUNBUFFERED="1")
    command = [str(project.bin / "python"), "-m", "celery", "-A", request.param, "worker", "--loglevel=INFO"]
    log = tmp_path / "worker.log"
    with log.open("wb") as file, launch(command, cwd=project.folder, env=env, stdout=file, stderr=file) as process:
        try:
            wait_until(lambda: b" ready." in log.read_bytes() or process.poll() is not None, "the worker is ready")
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()


@pytest.mark.usefixtures("worker")
def test_a_project_with_folders_of_our_names_gets_its_chains_answer(project: Project, asking: Project, redis_url: str) -> None:
    for one in (project, asking):
        done = one.python(*ASK, REDIS_URL=redis_url)
        assert done.stdout == "Greetings, bob!\n", done.stderr


def test_nothing_but_turnstile_is_installed_at_the_top(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"turnstile"}
    assert {"turnstile/__init__.py", "turnstile/py.typed", "turnstile/turns/lua/turn/submit.lua"} <= set(names)


def test_errors_of_a_project_stay_its_own(project: Project) -> None:
    done = project.python("import turnstile.turns.errors, turns.errors", "print(turns.errors.Mine.__module__)")
    assert done.stdout == "turns.errors\n", done.stderr


def test_celery_finds_our_errors_under_their_name_on_the_wire(asking: Project) -> None:
    done = asking.python("import sys, turnstile", "print(turnstile.TurnFailed is sys.modules['turns.errors'].TurnFailed)")
    assert done.stdout == "True\n", done.stderr


def test_the_installed_procfile_is_found(project: Project) -> None:
    done = project.python("from turnstile.deploy import procfile", "print(procfile.path())")
    assert Path(done.stdout.strip()).resolve() == project.folder / ".venv" / "share" / "turnstile" / "Procfile", done.stderr


@pytest.mark.parametrize(
    ("statement", "extra"),
    [
        ("from turnstile import RedisChatMessageHistory", "history"),
        ("from turnstile import app", "worker"),
        ("import turnstile.producers.gateway.asgi", "gateway"),
        ("import turnstile.producers.cli.commands", "cli"),
    ],
)
def test_a_missing_extra_is_named(asking: Project, statement: str, extra: str) -> None:
    done = asking.python(statement)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("turnstile.turns.errors.MissingExtra: ")
    assert last.endswith(f" not installed: pip install 'turnstile[{extra}]'")


def test_the_command_line_without_its_extra_ends_with_one_line(asking: Project) -> None:
    done = asking.run("turnstile", "stats")
    assert (done.returncode, done.stdout) == (2, "")
    missing = "click, prometheus_client, prompt_toolkit, rich"
    assert done.stderr == f"turnstile: {missing} not installed: pip install 'turnstile[cli]'\n"


@pytest.mark.parametrize("extra", ["worker", "flower"])
def test_the_local_stack_without_an_extra_ends_with_one_line(tmp_path: Path, wheel: Path, extra: str) -> None:
    has = [other for other in ("cli", "gateway", "local", "worker") if other != extra]
    made = new_project(tmp_path, wheel, {})
    with_libraries_of(made, *has)
    done = made.run("turnstile", "up", "--workers=1", TURNSTILE_DATA_DIR=str(tmp_path / "data"))
    assert done.returncode == 2
    assert done.stderr.endswith(f" not installed: pip install 'turnstile[{extra}]'\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("extra", ["cli", "history", "worker", "gateway", "flower", "local", "agents", "mcp"])
def test_an_extra_brings_what_its_part_imports(tmp_path: Path, wheel: Path, extra: str) -> None:
    made = new_project(tmp_path, wheel, {})
    with_libraries_of(made, extra)
    statement = {
        "cli": "import turnstile.producers.cli.commands, turnstile.producers.cli.chat, turnstile.producers.cli.batch.run",
        "history": "from turnstile import RedisChatMessageHistory",
        "worker": "from turnstile import app; app.loader.import_default_modules(); import turnstile.workers.process.runtime",
        "gateway": "import turnstile.producers.gateway.asgi; import uvicorn.protocols.http.httptools_impl, uvloop",
        "flower": "import flower.command, celery",
        "agents": "from langchain.agents import create_agent; import langgraph.checkpoint.base",
        "mcp": "import langchain_mcp_adapters.client",
        "local": "import turnstile.deploy.local.stack; from turnstile.deploy.local.server import binary; binary()",
    }[extra]
    done = made.python(statement, REDIS_URL="redis://localhost:1/0")
    assert done.returncode == 0, done.stderr


def test_a_program_that_only_asks_needs_few_libraries(asking: Project) -> None:
    names = {info.name.partition("-")[0] for info in asking.site.glob("*.dist-info")}
    typing = {"annotated_types", "typing_extensions", "typing_inspection"}
    assert names - {"async_timeout"} == {"turnstile", "cronsim", "hiredis", "pydantic", "pydantic_core", "redis", *typing}
