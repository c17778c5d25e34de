"""Plain Celery with `acks_late` under kill -9: what is lost, doubled and out of order, by the checker's own rules."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import redis
from celery import Celery

from tests.chaos.checker import check_history, history_turns
from tests.chaos.findings import Findings
from tests.chaos.plain_app import VISIBILITY_SECONDS
from tests.chaos.record import Entry
from tests.support.processes import ROOT, environment, offline_model
from tests.support.wait import wait_until
from turnstile.deploy.local.server import EmbeddedServer

SESSIONS = 20
_PAUSE_SECONDS = 0.1
_UP_SECONDS = 1.0
_READY_SECONDS = 180.0
_WORKERS = 2


def measure(kills: int, folder: Path) -> dict[str, int]:
    """Kill one of two workers, wait for its successor, kill the other, and so on, while turns come all the time."""
    with EmbeddedServer(folder / "server") as server, offline_model("--latency", "0.3") as model_url:
        env = environment({"REDIS_URL": server.url, "OPENAI_BASE_URL": model_url})
        with _asking(server.url) as entries, _workers(env, folder) as crew:
            for number in range(kills):
                crew.replace(number % _WORKERS)
            found = _outcome(server.url, entries)
        return {
            "kills": kills,
            "turns": len(entries),
            "lost": len(found.lost),
            "doubled": len(found.doubled),
            "misordered": len(found.misordered),
        }


class _Crew:
    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self._env, self._folder = env, folder
        self.processes = [self._start(number) for number in range(_WORKERS)]

    def replace(self, place: int) -> None:
        time.sleep(_UP_SECONDS)
        self.processes[place].kill()
        self.processes[place].wait()
        self.processes[place] = self._start(place)

    def _start(self, place: int) -> subprocess.Popen[bytes]:
        log = self._folder / f"plain-{place}-{time.time_ns()}.log"
        words = ["-A", "tests.chaos.plain_app", "worker", "-P", "threads", "-c", "10", "-l", "INFO", "-n", f"plain{place}@%h"]
        with log.open("wb") as out:
            command = [sys.executable, "-m", "celery", *words, "--without-mingle", "--without-gossip"]
            process = subprocess.Popen(command, env=dict(self._env), cwd=ROOT, stdout=out, stderr=out)
        wait_until(lambda: b" ready." in log.read_bytes(), "a plain worker is ready", _READY_SECONDS)
        return process


@contextmanager
def _workers(env: Mapping[str, str], folder: Path) -> Iterator[_Crew]:
    crew = _Crew(env, folder)
    try:
        yield crew
    finally:
        for process in crew.processes:
            process.kill()
            process.wait()


@contextmanager
def _asking(url: str) -> Iterator[dict[str, Entry]]:
    """Asks one question after the other, the sessions in turn, until the end of the block."""
    entries: dict[str, Entry] = {}
    done = threading.Event()
    app = Celery("asker", broker=url)

    def ask() -> None:
        number = 0
        while not done.wait(_PAUSE_SECONDS):
            turn, session, sent = f"t{number}", f"s{number % SESSIONS}", time.time()
            app.send_task("plain.answer", args=[session, f"What of {turn}?", turn])
            entries[turn] = Entry(turn, session, sent, time.time())
            number += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield entries
    finally:
        done.set()
        thread.join()


def _outcome(url: str, entries: dict[str, Entry]) -> Findings:
    """Judge the turns asked so far, once nothing has come for three visibility time-outs since the last of them."""
    asked = dict(entries)
    with redis.Redis.from_url(url) as client:
        sessions = {entry.session for entry in asked.values()}
        time.sleep(3 * VISIBILITY_SECONDS)
        histories = {s: history_turns(list(client.lrange(f"message_store:{s}", 0, -1))) for s in sessions}
    found = Findings()
    for session, turns in histories.items():
        check_history(session, [turn.strip("?") for turn in turns if turn.strip("?") in asked], asked, found)
    found.lost += [turn for turn, entry in asked.items() if turn not in [t.strip("?") for t in histories[entry.session]]]
    return found
