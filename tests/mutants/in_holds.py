"""Faults in held sessions: open calls, their answers, and their closing."""

from tests.mutants.mutant import Mutant
from tests.mutants.script import CUTS, SMALL_SCOPE

_TESTS = (*(f"tests/scripts/test_{name}.py" for name in ("hold", "answers", "follow_held")), SMALL_SCOPE)


def _in_hold(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, _TESTS)


def _in_cut(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, (CUTS,))


HOLDS = (
    _in_hold(
        "open calls hold nothing",
        "the next turn's model is given a call without its answer",
        "  if calls then\n",
        "  if false then\n",
        script="lib/go_on",
    ),
    _in_hold(
        "closed without closing elements",
        "a history keeps a call without its answer",
        "  if closing and history_length(session) then",
        "  if false then",
        script="lib/close_calls",
    ),
    _in_hold(
        "a failed answer lets go",
        "the calls that it was to answer stay open for ever",
        "elseif held and state ~= 'completed' and state ~= 'incomplete' then",
        "elseif false then",
        script="lib/go_on",
    ),
    _in_hold(
        "a cancelled answer leaves its calls open",
        "the session waits on though nobody wants an answer",
        "elseif held and state == 'cancelled' then",
        "elseif false then",
        script="lib/go_on",
    ),
    _in_hold(
        "the hold is never over",
        "the turns behind a call that nobody answers never run",
        "if phase == 'closing' or ends <= now then",
        "if phase == 'closing' then",
        script="lib/expire_hold",
    ),
    _in_hold(
        "the hold is over at once",
        "a call is closed before anybody can answer it",
        "if phase == 'closing' or ends <= now then",
        "if true then",
        script="lib/expire_hold",
    ),
    _in_hold(
        "a late dispatch lets go",
        "a doubled message ends the hold",
        "if head ~= id or phase == 'held' then return end",
        "if head ~= id then return end",
        script="lib/complete_and_release",
    ),
    _in_hold(
        "the answer waits in the mailbox",
        "an answer runs after the turns that wait for it",
        "if not head or head == id or answers then",
        "if not head or head == id then",
        script="lib/enqueue",
    ),
    _in_hold(
        "some answers are enough",
        "a model is given a call without its answer",
        "    if not given[call[1]] then return 'missing', call[1] end\n",
        "",
        script="lib/mismatch",
    ),
    _in_hold(
        "an answer to nothing is taken",
        "a history has an answer without its call",
        "    if not open[answer[1]] then return 'not_open', answer[1] end\n",
        "",
        script="lib/mismatch",
    ),
    _in_hold(
        "any word decides",
        "an approval is given by a word that says nothing",
        "    if call[2] == 1 and given[call[1]][2] == 0 then return 'undecided', call[1] end\n",
        "",
        script="lib/mismatch",
    ),
    _in_hold(
        "a decision is taken late",
        "a payment is approved after its time",
        "    if late and call[2] == 1 then return 'not_open', call[1] end\n",
        "",
        script="lib/mismatch",
    ),
    _in_hold(
        "the same answers are not known",
        "a repeated answer under another id is refused",
        "  if fault and turn then return { 'same', turn, its_state } end\n",
        "",
        script="lib/ask_turn",
    ),
    _in_hold(
        "answers while another is given",
        "a call is answered twice",
        "if held and (phase == 'held' or phase ~= 'closing' and head == id) then",
        "if held then",
        script="lib/open_calls",
    ),
    _in_hold(
        "a question into a held session is not refused",
        "a caller who does not want to wait waits",
        "  if calls and when_held == 'reject' then return { 'held' } end\n",
        "",
        script="lib/ask_turn",
    ),
    _in_hold(
        "a question closes the calls and keeps the seat",
        "a turn that will not wait waits for the sweep",
        "  redis.call('UNLINK', key.session .. session)\n",
        "",
        script="lib/make_room",
    ),
    _in_hold(
        "an old answer is retried",
        "a call that was closed gets a second answer",
        "  if phase ~= 'held' or held ~= answers then return { 'closed' } end\n",
        "",
        script="turn/retry",
    ),
    _in_hold(
        "a branch keeps calls open",
        "a branch's model is given a call without its answer",
        "    append_history(branch, parts_of(closing), true)\n",
        "",
        script="turn/follow",
    ),
    _in_hold(
        "closing elements count as followers",
        "a conversation goes on in a branch without need",
        "return added == #elements and added > 0",
        "return added < 0",
        script="lib/closed_since",
    ),
    _in_hold(
        "a thread ends with its first turn",
        "an agent that is answered begins anew",
        "hold(session, id, now, calls, closing, thread or id)",
        "hold(session, id, now, calls, closing, id)",
        script="lib/go_on",
    ),
    _in_hold(
        "a held turn can be deleted",
        "nobody can look up what is to be answered",
        "  if held == (merged or id) or thread == id then return { 'held' } end\n",
        "",
        script="turn/delete_turn",
    ),
    _in_hold(
        "an erased session stays held",
        "a session that is gone is listed as held",
        "redis.call('ZREM', key.held, session)\n",
        "",
        script="session/erase",
    ),
    _in_cut(
        "closed in the wrong order",
        "a call is answered and closed",
        "  if phase ~= 'closing' then redis.call('HSET', session_key, 'phase', 'closing') end\n",
        "",
        script="lib/close_calls",
    ),
    _in_cut(
        "closing elements once more",
        "a call has two answers after a cut",
        "parts_of(closing), true)",
        "parts_of(closing))",
        script="lib/close_calls",
    ),
    _in_cut(
        "the calls forgotten by the end",
        "after a cut the session goes on with open calls",
        "if calls ~= '' then fields.calls, fields.closing = calls, closing end",
        "if calls ~= '' then fields.closing = closing end",
        script="turn/finish",
    ),
)
