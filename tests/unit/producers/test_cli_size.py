"""`turnstile size`: needs by Little's law and measured costs, and the page that shows the same figures."""

import json

import pytest
from click.testing import CliRunner

from bench.capacity import report
from tests.support.processes import ROOT
from turnstile.producers.cli.commands import main
from turnstile.producers.cli.size.figures import Figures, read
from turnstile.producers.cli.size.needs import Load, needs
from turnstile.turns.settings import Settings

ROUND = Figures(
    worker_plain_ms=1,
    worker_streamed_ms=2,
    worker_step_ms=1,
    redis_plain_ms=0.5,
    redis_streamed_ms=1,
    redis_step_ms=0.5,
    gateway_plain_ms=1,
    gateway_streamed_ms=7,
    worker_idle_bytes=1_000,
    worker_turn_bytes=10,
    gateway_idle_bytes=1_000,
    record_bytes=3,
    events_bytes=2,
    session_bytes=100,
    message_bytes=10,
    waiting_bytes=1,
)
LOAD = Load(turns_per_minute=6_000, seconds=7, slots=100, steps=0, sessions=50, messages=4)
SETTINGS = Settings(result_ttl=1_000, events_ttl=100)


def test_slots_follow_from_the_turns_in_flight() -> None:
    found = needs(LOAD, ROUND, SETTINGS)
    assert found.in_flight == pytest.approx(700)
    assert (found.workers, found.slots) == (10 + 1, 1_100)
    assert found.worker_bytes == 11 * 1_000 + 700 * 10


def test_many_steps_make_the_cores_the_bound() -> None:
    found = needs(Load(6_000, 7, 100, 138, 50, 4), ROUND, SETTINGS)
    assert found.worker_cpu == pytest.approx(14)
    assert found.workers == 20 + 1
    assert found.redis_cpu == pytest.approx(7)
    assert found.deployments == 10


def test_the_cpu_of_gateways_and_of_redis() -> None:
    found = needs(LOAD, ROUND, SETTINGS)
    assert found.gateway_cpu == pytest.approx(0.7)
    assert found.redis_cpu == pytest.approx(0.1)
    assert (found.gateways, found.deployments) == (1 + 1, 1)


def test_the_memory_of_redis_is_what_its_times_to_live_keep() -> None:
    found = needs(LOAD, ROUND, SETTINGS)
    assert found.redis_turns == 100 * (1_000 * 3 + 100 * 2) + 700
    assert found.redis_sessions == 50 * (100 + 4 * 10)
    assert found.redis_bytes == found.redis_turns + found.redis_sessions


def test_the_command_tells_each_need_with_its_formula() -> None:
    asked = ["size", "--turns-per-minute", "1200", "--seconds", "8", "--steps", "3", "--slots", "50"]
    said = CliRunner().invoke(main, asked)
    assert said.exit_code == 0
    lines = {line[:14].strip(): line[14:].split() for line in said.output.splitlines()}
    assert lines["rate"][:2] == ["20.0", "turns/s"]
    assert lines["in flight"][:2] == ["160", "turns"]
    assert lines["workers"][0] == "6"  # 160 / (50 * 0.7), and one to spare
    assert "3" in lines["worker CPU"]
    told = json.loads(CliRunner().invoke(main, [*asked, "--json"]).output)
    assert (told["workers"], told["slots"], told["figures"]["record_bytes"]) == (6, 300, read().record_bytes)


@pytest.mark.parametrize("load", [["0", "8"], ["-1", "8"], ["10", "0"], ["10", "inf"], ["10", "8", "--slots", "0"]])
def test_a_load_that_is_none_is_refused(load: list[str]) -> None:
    assert CliRunner().invoke(main, ["size", "--turns-per-minute", load[0], "--seconds", *load[1:]]).exit_code == 2


def test_the_page_shows_the_figures_that_are_reckoned_with() -> None:
    page = (ROOT / "docs" / "scaling.md").read_text()
    for table in report.of_figures(read()):
        assert table.markdown() in page
