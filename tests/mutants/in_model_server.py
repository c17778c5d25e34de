"""Faults in the bounds on what a worker reads of a model's server."""

from tests.mutants.mutant import Mutant

_BOUNDS = ("tests/unit/workers/test_model_bounds.py",)
# Of those that end with the fault in place, too.
_LINE = (f"{_BOUNDS[0]}::test_a_line_without_end_is_broken",)
_STREAM = (f"{_BOUNDS[0]}::test_a_stream_without_end_ends_as_a_broken_connection",)
_FLOODS = ("tests/unit/turns/test_http_connector.py",)
_FORMS = ("tests/unit/workers/test_model_forms.py",)
_OUTAGES = ("tests/unit/workers/test_fallback.py",)

MODEL_SERVER = (
    Mutant(
        "a stream's line has no end",
        "one answer fills a worker's memory",
        "workers/chains/openai/bodies.py",
        "if len(self._begun) > MOST_LINE_BYTES:",
        "if False:",
        _LINE,
    ),
    Mutant(
        "an answer has no end",
        "one answer keeps a worker reading, or fills its memory",
        "workers/chains/openai/bodies.py",
        "if size > most:",
        "if False:",
        _STREAM,
    ),
    Mutant(
        "what comes beside a body has no end",
        "one receiver of webhooks stops a worker's turns",
        "turns/http_connector.py",
        "if self._received > MOST_HEAD_BYTES and self._received > self._most():",
        "if False:",
        _FLOODS,
    ),
    Mutant(
        "interim responses have the room of a body",
        "each costs a worker as much as 40 chunks",
        "turns/http_connector.py",
        "body is None or body is aiohttp.EMPTY_PAYLOAD",
        "body is None",
        _FLOODS,
    ),
    Mutant(
        "what came beside earlier answers counts on",
        "a connection that is used for long breaks",
        "turns/http_connector.py",
        "        self._received = 0\n        super()",
        "        super()",
        _FLOODS,
    ),
    Mutant(
        "a server that says nothing is read without a rest",
        "one answer of comments stops all turns of a worker",
        "workers/chains/openai/deltas.py",
        "            await asyncio.sleep(FLUSH_SECONDS if heard or quiet > QUIET_READS else 0)\n",
        "            if heard:\n                await asyncio.sleep(FLUSH_SECONDS)\n",
        _BOUNDS,
    ),
    Mutant(
        "chunks that tell nothing are kept",
        "a stream of them fills a worker's memory",
        "workers/chains/openai/deltas.py",
        'if says or ends or chunk.get("error") or not self._yielded:',
        "if True:",
        _FORMS,
    ),
    Mutant(
        "an answer may have any number of calls",
        "putting them together stops all turns of a worker",
        "workers/chains/openai/deltas.py",
        " or len(self._calls) > MOST_CALLS",
        "",
        _FORMS,
    ),
    Mutant(
        "a usage is believed whatever it tells",
        "an answer is lost for a wrong count",
        "workers/chains/openai/usage.py",
        "if not isinstance(usage, dict) or not all(map(_is_count, map(usage.get, _COUNTS))):",
        "if not isinstance(usage, dict):",
        _FORMS,
    ),
    Mutant(
        "a failed call is everybody's outage",
        "one tenant's questions move all to another model",
        "workers/chains/openai/outages.py",
        "(unconnected or self._is_everybodys(model, call))",
        "True",
        _OUTAGES,
    ),
    Mutant(
        "no failed call is everybody's outage",
        "every tenant finds out by itself that a model is away",
        "workers/chains/openai/outages.py",
        "(unconnected or self._is_everybodys(model, call))",
        "unconnected",
        _OUTAGES,
    ),
    Mutant(
        "outages of any name are noted",
        "one tenant's names of models displace the outages that others know, and fill the memory",
        "workers/chains/openai/fallback.py",
        "(_UNREACHABLE, _OUT_OF_QUOTA) and tried in self._models:",
        "(_UNREACHABLE, _OUT_OF_QUOTA):",
        _OUTAGES,
    ),
    Mutant(
        "the reason of a switch is looked for after the answer",
        "a turn's record tells no reason where the outage has ended meanwhile",
        "workers/chains/openai/fallback.py",
        "tries.reasons.get(model, passed)",
        "tries.reasons.get(model) or self._outages.reason(model, asker)",
        _OUTAGES,
    ),
    Mutant(
        "answers do not speak against a slow failure",
        "slow questions of two tenants move all to another model",
        "workers/chains/openai/outages.py",
        "if self._answered.get(model, call.began) > call.began:",
        "if False:",
        _OUTAGES,
    ),
    Mutant(
        "an old call's answer ends an outage",
        "all ask a model that is away",
        "workers/chains/openai/outages.py",
        "if (outage := self._found.get(model)) and outage.asked <= call.began:",
        "if outage := self._found.get(model):",
        _OUTAGES,
    ),
)
