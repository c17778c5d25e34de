"""Every interleaving of two workers within small scopes; `make explore` goes further."""

from collections.abc import Iterator

import pytest

from tests.exploration.explorer import Explorer, Violation
from tests.exploration.moves import Moves
from tests.exploration.scope import Scope
from tests.exploration.scopes import SMALL
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.redis.scripts import Script


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedServer(tmp_path_factory.mktemp("exploration"), append_only=False) as server:
        yield server.url


@pytest.mark.parametrize("scope", SMALL, ids=lambda scope: scope.name)
def test_no_interleaving_breaks_a_rule(scope: Scope, url: str) -> None:
    with Explorer(scope, url) as explorer:
        found = explorer.explore()
    assert found.states > 300
    assert found.transitions > 2 * found.states


def _spoil(explorer: Explorer, script: str, old: str, new: str) -> None:
    moves: Moves = explorer._moves
    good = moves.store.scripts[script]
    assert old in good.source
    source = good.source.replace(old, new)
    moves.store.scripts[script] = Script(script, source, str(explorer._client.script_load(source)))


def test_a_fault_is_told_with_the_way_there(url: str) -> None:
    with Explorer(Scope("spoiled", {"A": 1}), url) as explorer:
        _spoil(explorer, "finish", "or head ~= id or owner ~= token then", "or head ~= id then")
        with pytest.raises(Violation) as caught:
            explorer.explore()
    assert [line[5:] for line in str(caught.value).splitlines()[1:]] == [
        "submit A1",
        "w1 claims A1",
        "time passes for A",
        "sweep",
        "w1 claims A1",
        "finish A1 by 1:A1",
    ]


def test_a_session_that_can_never_go_on_is_found(url: str) -> None:
    with Explorer(Scope("spoiled", {"A": 1}, cancels=True), url) as explorer:
        _spoil(explorer, "sweep", "if before == 0 or empty then", "if false then")
        with pytest.raises(Violation, match="never fall idle"):
            explorer.explore()


def test_a_late_worker_that_moves_a_schedule_on_is_found(url: str) -> None:
    with Explorer(Scope("spoiled", {"A": 0}, attempts=1, copies=1, crashes=False, ticks=3), url) as explorer:
        _spoil(explorer, "ask_scheduled", " or its[2] ~= tick then", " then")
        with pytest.raises(Violation, match="waits for"):
            explorer.explore()


@pytest.mark.parametrize(
    ("name", "script", "old", "new", "what"),
    [
        ("a model that pauses for one tenant", "settle_call", "shared and '' or 'own_'", "''", "the model pauses for"),
        (
            "a model that pauses for one tenant",
            "settle_call",
            "other and budget.own_paused > now",
            "false",
            "the model pauses for",
        ),
        ("a model that pauses for one tenant", "sweep", "pause_of(own, tenant) <= own.paused", "true", "nothing was sent"),
        ("a clock that is set back", "sweep", "'paused', 'own_paused')\n    redis", "'own_paused')\n    redis", "pauses still"),
    ],
)
def test_a_pause_that_holds_up_whom_it_does_not_mean_is_found(
    url: str, name: str, script: str, old: str, new: str, what: str
) -> None:
    with Explorer(next(scope for scope in SMALL if scope.name == name), url) as explorer:
        _spoil(explorer, script, old, new)
        with pytest.raises(Violation, match=what):
            explorer.explore()
