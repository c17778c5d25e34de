"""Faults in the kept steps of graphs, and in what keeps a lost attempt from going on."""

from tests.mutants.mutant import Mutant

_SCRIPTS = ("tests/scripts/test_steps.py",)
_SAVER = ("tests/integration/memory/test_checkpoints.py",)
_TURNS = ("tests/integration/workers/graphs/test_turns.py",)
_STEP = "turns/lua/step/"
_GRAPHS = "workers/chains/graphs/"

GRAPHS = (
    Mutant(
        "a checkpoint of anybody",
        "a zombie overwrites the steps of another attempt",
        f"{_STEP}put_checkpoint.lua",
        "if not owns(id, token) then return { 'superseded' } end\n",
        "",
        _SCRIPTS,
    ),
    Mutant(
        "writes of anybody",
        "a zombie's result counts",
        f"{_STEP}put_writes.lua",
        "if not owns(id, token) then return { 'superseded' } end\n",
        "",
        _SCRIPTS,
    ),
    Mutant(
        "a second write wins",
        "a task's result changes after it was told",
        f"{_STEP}put_writes.lua",
        "if fresh or tonumber(place) < 0 then",
        "if true then",
        _SCRIPTS,
    ),
    Mutant(
        "late writes stay",
        "the writes of earlier steps pile up",
        f"{_STEP}put_writes.lua",
        "if replace == '1' and latest and latest > checkpoint then return { 'kept' } end\n",
        "",
        _SCRIPTS,
    ),
    Mutant(
        "old values stay",
        "the values of earlier steps pile up",
        f"{_STEP}put_checkpoint.lua",
        "  if not kept[name] then redis.call('HDEL', steps, 'value\\31' .. namespace .. '\\31' .. name) end\n",
        "",
        _SCRIPTS,
    ),
    Mutant(
        "a value that is kept goes",
        "a step is read without what it refers to",
        f"{_STEP}put_checkpoint.lua",
        "  if not kept[name] then redis.call(",
        "  if true then redis.call(",
        _SCRIPTS,
    ),
    Mutant(
        "damage reads as nothing",
        "a turn whose steps are damaged pays again",
        f"{_STEP}read_checkpoint.lua",
        "if not body and not latest then",
        "if not body then",
        _SCRIPTS,
    ),
    Mutant(
        "steps outlive their turn",
        "Redis fills up",
        "turns/lua/lib/drop_kept_steps.lua",
        "if state ~= 'failed' or code == 'steps_unreadable' then",
        "if code == 'steps_unreadable' then",
        _SCRIPTS,
    ),
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
        f"{_GRAPHS}run.py",
        '            "metadata": {"run_id": saver.run},\n',
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
    Mutant(
        "each turn that answers calls knows anew",
        "what a turn said before it failed is lost to the history",
        "turns/lua/lib/known_field.lua",
        "(answers and '>' .. answers or id)",
        "id",
        _SCRIPTS,
    ),
)
