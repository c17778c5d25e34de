"""Faults in what follows an outage of a model's server."""

from tests.mutants.mutant import Mutant

_RECOVERY = ("tests/unit/workers/test_recovery.py",)
_SCRIPT = ("tests/scripts/test_end_outage.py",)
_TURNS = ("tests/integration/workers/test_model_outage.py",)


def _recovery(name: str, breaks: str, old: str, new: str) -> Mutant:
    return Mutant(name, breaks, "workers/attempt/recovery.py", old, new, _RECOVERY)


def _script(name: str, breaks: str, old: str, new: str, *, script: str = "upkeep/end_outage") -> Mutant:
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, _SCRIPT)


RECOVERIES = (
    Mutant(
        "nobody notes for which server a turn waits",
        "after an outage turns wait for up to a minute, with idle slots",
        "workers/attempt/attempt.py",
        'away = self._kind if failure.is_outage else ""',
        'away = ""',
        _TURNS,
    ),
    Mutant(
        "who is asked for patience has none",
        "a server that asks for patience is asked by all who wait",
        "turns/model_failures.py",
        'self.away and self.code != "rate_limited" and self.retry_after is None',
        "self.away",
        ("tests/unit/workers/test_failures.py",),
    ),
    _recovery(
        "an old answer shows that a server is back",
        "turns are sent to a server that is away for each answer that was under way",
        "began < found.since or ",
        "",
    ),
    _recovery(
        "each answer of a server that comes and goes sends on all who wait",
        "a server that is overloaded is asked by all each time that it answers one",
        " or now < found.ended + found.rest:",
        ":",
    ),
    _recovery(
        "who is put off anew is sent on by the same answer",
        "turns are sent to a server that has gone away once more",
        "                if outage.is_over:\n                    await",
        "                if True:\n                    await",
    ),
    _recovery(
        "a hundred are sent on",
        "after a long outage all others wait for up to a minute",
        "for _ in range(0, left, _AT_ONCE):",
        "for _ in ():",
    ),
    _recovery(
        "names that one tenant has asked for displace those of others",
        "after an outage others wait for up to a minute",
        "kept = self._kept[tenant]",
        'kept = self._kept[""]',
    ),
    _script(
        "who waits for another reason goes",
        "a turn whose retry is due later asks the model at once",
        " and redis.call('ZSCORE', key.due, session) == ends then",
        " then",
    ),
    _script(
        "the end of an outage forgets nobody",
        "a set of turns that have ended grows",
        "  redis.call('ZREM', put_off, id)\n",
        "",
    ),
    _script(
        "a broken record keeps all others waiting",
        "one strange key lets turns wait that could go",
        "local session = redis.pcall('HGET', key.turn .. id, 'session')",
        "local session = redis.call('HGET', key.turn .. id, 'session')",
    ),
    _script(
        "whose pause is over is not forgotten",
        "a set of turns that have ended grows",
        "'-inf', now, 'LIMIT', 0, 20",
        "'-inf', 0, 'LIMIT', 0, 20",
        script="lib/note_outage",
    ),
)
