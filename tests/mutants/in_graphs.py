"""Faults in the running of graphs, and in what keeps a lost attempt from going on."""

from tests.mutants.mutant import Mutant

_SAVER = ("tests/integration/memory/test_checkpoints.py",)
_TURNS = ("tests/integration/workers/graphs/test_turns.py",)
_GRAPHS = "workers/chains/graphs/"

GRAPHS = (
    Mutant(
        "a closed lane writes",
        "a cancelled task's error reads as its end",
        "memory/step_lane.py",
        "        if self.closed:\n            raise _closed()\n",
        "",
        _SAVER,
    ),
    Mutant(
        "any type is kept",
        "steps cannot be read back",
        "memory/step_codec.py",
        'if kind == "msgpack" and (foreign := self._foreign(data)):',
        'if kind == "none" and (foreign := self._foreign(data)):',
        _SAVER,
    ),
    Mutant(
        "a tool is called without a question",
        "a zombie pays",
        f"{_GRAPHS}guard.py",
        "        await self.lane.ask(self._owns)\n",
        "        return\n",
        _TURNS,
    ),
    Mutant(
        "a lost turn is an error like any other",
        "a retry calls the tool of a lost turn",
        f"{_GRAPHS}guard.py",
        "            raise asyncio.CancelledError from None\n",
        "            return\n",
        _TURNS,
    ),
    Mutant(
        "each attempt begins anew",
        "finished tools run again",
        f"{_GRAPHS}kept_run.py",
        '            "metadata": {"run_id": run},\n',
        "",
        _TURNS,
    ),
    Mutant(
        "known messages are forgotten",
        "the history holds its window twice",
        f"{_GRAPHS}transcript.py",
        "message.id not in given and not is_summary",
        "not is_summary",
        _TURNS,
    ),
    Mutant(
        "a call of another attempt has another key",
        "a service takes the repeat for a new payment",
        f"{_GRAPHS}idempotency.py",
        'key = f"{thread}:{call}"',
        'key = f"{id(given)}:{call}"',
        _TURNS,
    ),
)
