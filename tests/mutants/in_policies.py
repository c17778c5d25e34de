"""Faults in what becomes of questions in sessions that are busy."""

from tests.mutants.mutant import Mutant
from tests.mutants.script import SMALL_SCOPE

_TESTS = ("tests/scripts/test_when_busy.py", "tests/scripts/test_machine.py", SMALL_SCOPE)


def _in_policy(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, _TESTS)


def _in_worker(name: str, breaks: str, old: str, new: str, *, module: str) -> Mutant:
    return Mutant(name, breaks, f"workers/{module}.py", old, new, ("tests/integration/workers/test_interrupted.py",))


POLICIES = (
    _in_policy(
        "a question that will not wait waits",
        "a caller who wants to be refused is queued",
        "  if not calls and when_busy == 'reject' and is_busy(session, id) then return { 'busy' } end\n",
        "",
        script="turn/submit_held",
    ),
    _in_policy(
        "a question that follows and will not wait waits",
        "a caller who wants to be refused is queued",
        "  if not calls and when_busy == 'reject' and is_busy(session, id) then return { 'busy' } end\n",
        "",
        script="turn/follow",
    ),
    _in_policy(
        "a repeat is refused by itself",
        "a caller whose call was cut short is told that its own turn keeps the session busy",
        "return head and head ~= id\n",
        "return head\n",
        script="lib/is_busy",
    ),
    _in_policy(
        "a repeat stops another turn",
        "a caller whose call was cut short rolls back a turn that nobody wanted to stop",
        "head == other and way == 'rollback' then\n    cancel_head(other,",
        "head ~= id and way == 'rollback' then\n    cancel_head(head,",
        script="lib/stop_head",
    ),
    _in_policy(
        "a stop that was cut is never made up for",
        "the turn that was to be stopped goes on, and the question waits",
        "  if left then stop_head(id, session, now, left) end\n",
        "",
        script="turn/submit_held",
    ),
    _in_policy(
        "the note of a stop stays",
        "each repeat looks for the turn anew, and stops its retry",
        "  redis.call('HDEL', key.turn .. id, 'stops')\n",
        "",
        script="lib/stop_head",
    ),
    _in_policy(
        "an interrupted turn waits for its retry",
        "the question waits for a minute behind a turn that says nothing more",
        "    if phase == 'delayed' or waits then make_ready(session, other, now, queue, true, slot) end\n",
        "",
        script="lib/stop_head",
    ),
    _in_policy(
        "nobody hears of an interrupt",
        "the model goes on until the lease is renewed",
        "    if worker then redis.call('PUBLISH', key.orders .. worker, 'interrupt ' .. other) end\n",
        "",
        script="lib/stop_head",
    ),
    _in_policy(
        "an interrupt is heard once or never",
        "a worker that was not listening asks the model to the end",
        "    if turn[2] == 'interrupt' then word = 'interrupted' end\n",
        "",
        script="turn/renew",
    ),
    _in_policy(
        "a retry is interrupted, too",
        "a turn that an operator revives ends without an answer",
        "'spent', 'busy')",
        "'spent')",
        script="turn/retry",
    ),
    _in_policy(
        "a held session is stopped",
        "a turn that has ended, and whose calls are open, is cancelled",
        "  if not head or head == id or phase == 'held' or phase == 'closing' then return false end\n",
        "  if not head or head == id then return false end\n",
        script="lib/head_to_stop",
    ),
    _in_worker(
        "an interrupted turn is dropped",
        "what it has said is lost, and the session waits for the lease to run out",
        '"interrupted" if order == ["interrupt"] else "cancelled"',
        '"cancelled"',
        module="process/leases",
    ),
    _in_worker(
        "the words of a worker that died are lost",
        "readers have seen the beginning of an answer that no history holds",
        "                heard.append(_KINDS[event.type](event.data))\n",
        "                pass\n",
        module="attempt/said",
    ),
    _in_worker(
        "an interrupted turn asks its model",
        "the question waits for an answer that nobody wants",
        "        if claim.interrupted:\n",
        "        if False:\n",
        module="attempt/attempt",
    ),
)
