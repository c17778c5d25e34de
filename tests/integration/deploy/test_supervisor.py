"""The supervisor, with real child processes."""

import asyncio
import io
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.processes import is_gone
from tests.support.wait import PATIENCE_SECONDS, wait_until, wait_until_async
from turnstile.deploy.local.output import Output
from turnstile.deploy.local.supervisor import Process, Supervisor

IGNORES_SIGTERM = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)\n"
SLEEPS = "import time; print('up', flush=True); time.sleep(600)"
NOTES_ITS_END = (
    "import signal, sys, time\n"
    "def end(*_):\n"
    "    open(sys.argv[1], 'a').write(sys.argv[2] + ' '); sys.exit(0)\n"
    "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(600)"
)


def python(name: str, code: str, *arguments: str, stage: int = 0, stop_timeout: float = 20.0) -> Process:
    return Process(
        name=name,
        argv=[sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stage=stage,
        stop_timeout=stop_timeout,
    )


@asynccontextmanager
async def supervised(processes: Sequence[Process], text: io.StringIO) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(processes, Output(text))
    try:
        yield supervisor
    finally:
        supervisor.kill()
        await supervisor.stop()


async def says(text: io.StringIO, what: str) -> None:
    async def said() -> bool:
        return what in text.getvalue()

    await wait_until_async(said, f"the output says {what!r}")


@pytest.fixture
def text() -> io.StringIO:
    return io.StringIO()


async def test_lines_stand_behind_their_process_and_stay_whole(text: io.StringIO) -> None:
    code = "import sys, time; print('x' * 200_000 + '\\nlast', end=''); sys.stderr.write('err\\n'); time.sleep(600)"
    async with supervised([python("one", code), python("two", "print('hello'); " + SLEEPS)], text):
        await says(text, "two        | hello\n")
        await says(text, "err")
    lines = text.getvalue().splitlines()
    assert all(line.partition(" | ")[0].strip() in {"one", "two", "turnstile"} for line in lines)
    assert sum(line.count("x") for line in lines if line.startswith("one")) == 200_000
    assert "\x1b" not in text.getvalue()


async def test_bytes_that_are_no_text_do_not_stop_the_lines(text: io.StringIO) -> None:
    code = "import sys, time; sys.stdout.buffer.write(b'\\xff\\xfe bad\\nnext\\n'); sys.stdout.flush(); time.sleep(600)"
    async with supervised([python("one", code)], text):
        await says(text, "| next")
    assert "one        | \ufffd\ufffd bad" in text.getvalue()


async def test_stages_end_one_after_another(text: io.StringIO, tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    names = [("redis", 3), ("worker.1", 0), ("web", 2), ("flower", 1)]
    processes = [python(name, NOTES_ITS_END, str(ends), name, stage=stage) for name, stage in names]
    async with supervised(processes, text) as supervisor:
        for name, _ in names:
            await says(text, f"{name:<10} | up")
        await supervisor.stop()
    assert ends.read_text().split() == ["worker.1", "flower", "web", "redis"]
    assert "unexpectedly" not in text.getvalue()


async def test_one_that_does_not_end_in_time_is_killed_with_its_children(text: io.StringIO) -> None:
    fork = f"{IGNORES_SIGTERM}import os; os.write(1, b'child %d\\n' % os.fork()); time.sleep(600)"
    async with supervised([python("stuck", fork, stop_timeout=0.3)], text) as supervisor:
        await says(text, "child 0")
        [leader] = [child.pid for child in supervisor.children]
        await supervisor.stop()
    assert "stuck did not end within 0.3 s: killed" in text.getvalue()
    child = next(int(line.split()[-1]) for line in text.getvalue().splitlines() if "| child" in line and line[-2:] != " 0")
    assert is_gone(leader)
    wait_until(lambda: is_gone(child), "the stuck process's own child has ended")


async def test_kill_cuts_a_stop_short(text: io.StringIO) -> None:
    deaf = IGNORES_SIGTERM + "time.sleep(600)"
    async with supervised([python("deaf", deaf, stop_timeout=600)], text) as supervisor:
        await says(text, "| deaf")
        stopping = asyncio.create_task(supervisor.stop())
        await asyncio.sleep(0)
        supervisor.kill()
        await asyncio.wait_for(stopping, PATIENCE_SECONDS)


async def test_a_stop_before_the_start_is_over_ends_it_too(text: io.StringIO) -> None:
    supervisor = Supervisor([python("new", SLEEPS)], Output(text))
    await asyncio.wait_for(supervisor.stop(), PATIENCE_SECONDS)
    assert [child.pid for child in supervisor.children] == [0]


async def test_one_that_dies_is_started_again_and_says_so(text: io.StringIO) -> None:
    async with supervised([python("worker.1", SLEEPS)], text) as supervisor:
        await says(text, "| up")
        [child] = supervisor.children
        first = child.pid
        os.kill(first, signal.SIGKILL)
        await says(text, "worker.1 ended unexpectedly (SIGKILL); starting it again in 0.5 s")

        async def another() -> bool:
            return child.pid not in (0, first) and text.getvalue().count("| up") == 2

        await wait_until_async(another, "the process runs again")
        assert await supervisor.wait_until_ready()


async def test_one_that_never_gets_ready_is_given_up(text: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnstile.deploy.local.supervisor._FIRST_BACK_OFF", 0.01)
    broken = Process("bad", [sys.executable, "-c", "raise SystemExit('no way')"], {}, ready=lambda: False)
    async with supervised([python("good", SLEEPS), broken], text) as supervisor:
        assert not await supervisor.wait_until_ready()
        assert supervisor.broken.result() == "bad"
    assert text.getvalue().count("bad        | no way") == 6
    assert "bad ended before it was ready (exit status 1), start 6: giving up" in text.getvalue()


async def test_wrong_use_is_given_up_at_once(text: io.StringIO) -> None:
    wrong = Process("wrong", [sys.executable, "--no-such-option"], {}, ready=lambda: False)
    async with supervised([wrong], text) as supervisor:
        assert not await supervisor.wait_until_ready()
    assert "wrong ended before it was ready (exit status 2), start 1: giving up" in text.getvalue()


async def test_a_program_that_is_not_there_is_named(text: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnstile.deploy.local.supervisor._FIRST_BACK_OFF", 0.01)
    missing = Process("missing", ["no-such-program"], {"PATH": os.defpath}, ready=lambda: False)
    async with supervised([missing], text) as supervisor:
        assert not await supervisor.wait_until_ready()
    assert "missing    | no-such-program: No such file or directory" in text.getvalue()


async def test_ready_when_the_probe_says_so(text: io.StringIO, tmp_path: Path) -> None:
    sign = tmp_path / "ready"
    process = python("one", SLEEPS)
    probed = Process(process.name, process.argv, process.env, ready=sign.exists)
    async with supervised([probed], text) as supervisor:
        await says(text, "| up")
        waiting = asyncio.create_task(supervisor.wait_until_ready())
        assert not supervisor.children[0].ready.is_set()
        sign.touch()
        assert await waiting
    assert "turnstile  | one is ready" in text.getvalue()


async def test_children_lead_their_own_group_so_the_terminal_does_not_reach_them(text: io.StringIO) -> None:
    async with supervised([python("one", SLEEPS)], text) as supervisor:
        await says(text, "| up")
        pid = supervisor.children[0].pid
        assert os.getpgid(pid) == pid != os.getpgid(0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their starter")
def test_children_do_not_outlive_a_killed_supervisor() -> None:
    code = (
        "import asyncio, os, sys\n"
        "from turnstile.deploy.local.output import Output\n"
        "from turnstile.deploy.local.supervisor import *\n"
        "deaf = 'import os, signal, time; signal.signal(15, signal.SIG_IGN); print(os.getpid(), flush=True); '\n"
        "deaf += 'time.sleep(600)'\n"
        "async def main():\n"
        "    supervisor = Supervisor([Process('one', [sys.executable, '-c', deaf], os.environ)], Output(sys.stdout))\n"
        "    await supervisor.broken\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        line = next(line for line in starter.stdout if line.startswith("one"))
        starter.kill()
    pid = int(line.split()[-1])
    wait_until(lambda: is_gone(pid), "the orphaned child has ended")


def _terminal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> io.StringIO:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm", **environment}.items():
        monkeypatch.setenv(name, value)
    return Terminal()


@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colour_on_a_terminal_unless_refused(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], coloured: bool
) -> None:
    terminal = _terminal(monkeypatch, **environment)
    output = Output(terminal)
    output.line("one", "text")
    output.line("two", "text")
    assert ("\x1b[36mone" in terminal.getvalue()) is coloured
    assert ("\x1b[33mtwo" in terminal.getvalue()) is coloured


def test_a_reader_that_has_gone_does_not_matter() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream:
        output = Output(stream)
        output.line("one", "text")
        assert output.last("one") == ["text"]
        broken: Callable[[], None] = stream.flush
        with pytest.raises(BrokenPipeError):
            broken()
        os.dup2(os.open(os.devnull, os.O_WRONLY), write)
