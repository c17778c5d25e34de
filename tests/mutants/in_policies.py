"""Faults in what becomes of questions in sessions that are busy."""

from tests.mutants.mutant import Mutant
from tests.mutants.script import SMALL_SCOPE

_TESTS = ("tests/scripts/test_when_busy.py", "tests/scripts/test_machine.py", SMALL_SCOPE)


def _in_policy(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, _TESTS)


def _in_stop(name: str, breaks: str, old: str, new: str) -> Mutant:
    tests = ("tests/scripts/test_cancel.py", "tests/scripts/test_machine.py", SMALL_SCOPE)
    return Mutant(name, breaks, "turns/lua/turn/cancel.lua", old, new, tests)


def _in_merger(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, ("tests/scripts/test_merge.py", *_TESTS))


def _in_follower(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, ("tests/scripts/test_follow_held.py",))


def _in_steer(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, ("tests/scripts/test_steer.py", *_TESTS))


def _in_worker(name: str, breaks: str, old: str, new: str, *, module: str) -> Mutant:
    return Mutant(name, breaks, f"workers/{module}.py", old, new, ("tests/integration/workers/test_interrupted.py",))


def _in_graph(name: str, breaks: str, old: str, new: str, *, module: str) -> Mutant:
    tests = ("tests/integration/workers/graphs/test_steering.py",)
    return Mutant(name, breaks, f"workers/chains/graphs/{module}.py", old, new, tests)


POLICIES = (
    _in_policy(
        "a question that will not wait waits",
        "a caller who wants to be refused is queued",
        "  if not calls and when_busy == 'reject' and is_busy(session, id) then return { 'busy' } end\n",
        "",
        script="lib/ask_turn",
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
        script="lib/ask_turn",
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
        "  if phase == 'delayed' or waits then make_ready(session, id, now, queue, true, slot) end\n",
        "",
        script="lib/interrupt_head",
    ),
    _in_policy(
        "nobody hears of an interrupt",
        "the model goes on until the lease is renewed",
        "  if worker then redis.call('PUBLISH', key.orders .. worker, 'interrupt ' .. id) end\n",
        "",
        script="lib/interrupt_head",
    ),
    _in_stop(
        "a caller's stop loses what was said",
        "half an answer that a person has read is not in the history",
        "if keep == '1' and",
        "if keep == '2' and",
    ),
    _in_stop(
        "a turn that has not begun is kept",
        "a question that was taken back is in the history",
        " and tonumber(attempts) > 0 then",
        " then",
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
        "'spent', 'busy', 'merged'",
        "'spent', 'merged'",
        script="turn/retry",
    ),
    _in_merger(
        "questions of another kind are merged",
        "a question is answered by another model than it asks for",
        "its ~= busy or grown",
        "grown",
        script="lib/waiting_alike",
    ),
    _in_merger(
        "cancelled questions are merged",
        "a question that was withdrawn is answered",
        "if state ~= 'queued' or its",
        "if its",
        script="lib/waiting_alike",
    ),
    _in_merger(
        "as much is merged as waits",
        "a turn is asked with more than its prompt may have",
        " or grown > rule.branch_bytes",
        "",
        script="lib/waiting_alike",
    ),
    _in_merger(
        "each attempt merges anew",
        "a graph goes on from steps that belong to other questions",
        "if not members then members",
        "if true then members",
        script="turn/merge",
    ),
    _in_merger(
        "anybody merges",
        "a worker that lost the turn takes questions that nobody answers",
        "if not owns(id, token) then return { 'superseded' } end\n",
        "",
        script="turn/merge",
    ),
    _in_merger(
        "what is merged stays in the mailbox",
        "a question is answered twice",
        " then redis.call('LPOP', key.mailbox .. session) end",
        " then end",
        script="turn/merge",
    ),
    _in_merger(
        "readers are not sent on",
        "whoever reads a merged turn as it comes reads nothing until its end",
        "    append_event(member, 'merged', 0, id, 0)\n",
        "",
        script="turn/merge",
    ),
    _in_merger(
        "members do not end",
        "a merged question waits for ever",
        "      if theirs then carry_out_end(member, session, now, theirs, true) end\n",
        "",
        script="lib/carry_out_ends",
    ),
    _in_follower(
        "a member is followed by itself",
        "the calls of a merged answer cannot be answered after most of its responses",
        "merged and state ~= 'failed' and merged or id",
        "id",
        script="lib/read_previous",
    ),
    _in_follower(
        "a member is followed as another turn's retry",
        "answers are given to calls of a turn that the question is no part of",
        "merged and state ~= 'failed' and merged or id",
        "merged or id",
        script="lib/read_previous",
    ),
    _in_follower(
        "a member has no calls",
        "a branch at a merged answer begins with a call without its output",
        ", 'calls', 'closing' }",
        " }",
        script="lib/end_member",
    ),
    _in_follower(
        "a member is gone before its calls are",
        "a client cannot answer a call that waits for its answer",
        "ttl + (ended.calls and rule.hold or 0)",
        "ttl",
        script="lib/carry_out_end",
    ),
    _in_merger(
        "a member is cancelled alone",
        "the answer to all goes on when one is stopped",
        "if merged and state == 'running' then id, state = merged, redis.call('HGET', key.turn .. merged, 'state') end\n",
        "",
        script="turn/cancel",
    ),
    _in_merger(
        "an erase leaves the members",
        "merged questions of an erased session run for ever",
        "for member in each_name(members) do standing[#standing + 1] = member end\n",
        "",
        script="session/erase",
    ),
    _in_merger(
        "a retry keeps its members",
        "a question is answered by its own retry and by another's",
        ", 'merged', 'members')",
        ", 'merged')",
        script="turn/retry",
    ),
    _in_merger(
        "quiet never comes",
        "a session to which somebody writes all the time is never answered",
        "math.min(now + rule.quiet, created + 10 * rule.quiet)",
        "now + rule.quiet",
        script="lib/wait_for_quiet",
    ),
    _in_merger(
        "a retry waits for quiet",
        "each further question puts a retry off",
        "  if attempts ~= '0' or not",
        "  if not",
        script="lib/wait_for_quiet",
    ),
    _in_steer(
        "a turn that has ended is steered",
        "a question that waits for answers becomes part of the turn that brings them",
        "  if not head or head == id or phase == 'held' or phase == 'closing' then return false end\n",
        "  if not head or head == id then return false end\n",
        script="lib/head_to_stop",
    ),
    _in_steer(
        "a question that steers waits its turn",
        "it is answered behind all that were asked before",
        "    go_next(session, id)\n",
        "",
        script="lib/stop_head",
    ),
    _in_steer(
        "questions that steer overtake each other",
        "the model reads them in another order than they were asked",
        "    before = other\n",
        "",
        script="lib/go_next",
    ),
    _in_steer(
        "a steered turn is not marked",
        "whoever claims it leaves the question behind",
        "    redis.call('HSETNX', key.turn .. other, 'busy', 'steer')\n",
        "",
        script="lib/stop_head",
    ),
    _in_steer(
        "a question steers a turn whatever either keeps",
        "a stored question is in no history, or one that is not to be stored is in it",
        "  if when_busy == 'steer' and is_kept(head) ~= keeps(options) then return false end\n",
        "",
        script="lib/head_to_stop",
    ),
    _in_steer(
        "a turn takes what an older version has marked, whatever either keeps",
        "during an upgrade, a stored question is in no history",
        "\n        or steers and is_kept(other) ~= kept then",
        " then",
        script="lib/waiting_alike",
    ),
    _in_steer(
        "an empty outline counts for the options",
        "a long question that is not stored becomes part of a stored turn",
        "(outline or '') ~= '' and outline or options",
        "outline or options",
        script="lib/is_kept",
    ),
    _in_steer(
        "a head without a record breaks whoever steers it",
        "after a cut, each further question that steers is an error",
        " or options or '')",
        " or options)",
        script="lib/is_kept",
    ),
    _in_steer(
        "a question without room steers all the same",
        "an answer is begun anew for each further question, without end",
        " and not has_room(other, id, session)",
        " and false",
        script="lib/stop_head",
    ),
    _in_steer(
        "what a turn has taken has no bytes",
        "a turn is asked with more than its prompt may have",
        "true, count + 1, size + asked_bytes(member)",
        "true, count + 1, size",
        script="lib/waiting_alike",
    ),
    _in_steer(
        "a question without room stays marked",
        "it becomes part of a turn that it was not asked for",
        "'busy', 'stops')",
        "'stops')",
        script="lib/stop_head",
    ),
    _in_steer(
        "a graph that may have begun takes questions before its first step",
        "a question comes between a call and its result",
        "if steers == '1' then\n",
        "if true then\n",
        script="turn/merge",
    ),
    _in_steer(
        "a taking that was cut takes the same questions twice",
        "a question is in the history twice",
        "if not known[other] then",
        "if true then",
        script="lib/waiting_alike",
    ),
    _in_steer(
        "each taking forgets the earlier",
        "a question that was taken up is never answered",
        "if more ~= '' then members = members .. '\\30' .. more end",
        "if more ~= '' then members = more end",
        script="turn/merge",
    ),
    _in_graph(
        "a graph takes no questions",
        "each question that steers an agent waits for its end",
        "        if self._steering.wanted:\n            self._control",
        "        if False:\n            self._control",
        module="run",
    ),
    _in_graph(
        "any step is a place for a question",
        "a question comes between a call and its result",
        "return not open_calls(state.values.get(MESSAGES, ())) and not any(",
        "return True or not any(",
        module="steering",
    ),
    _in_graph(
        "the questions of a worker that died are left out",
        "a question is part of a turn whose model never reads it",
        "return self.wanted or bool(self.messages)",
        "return self.wanted",
        module="steering",
    ),
    _in_graph(
        "the next worker waits for a further step",
        "a question that was asked in time is not part of the turn's last step",
        "        return await self.take(saver, state)\n",
        "        return self._update(saver, state)\n",
        module="steering",
    ),
    _in_graph(
        "an interrupt forgets the questions that were just taken",
        "a question has ended with its turn and is in no history",
        "        new += self._steering.missing({str(message.id) for message in new})\n",
        "",
        module="run",
    ),
    _in_graph(
        "a retry keeps the questions that steered it",
        "a question is in the history twice",
        "return [*self._saved.known, *self._steering.others(self._added.state)]",
        "return [*self._saved.known]",
        module="run",
    ),
    _in_worker(
        "a steered turn goes on",
        "the answer knows nothing of the question that is part of it",
        "        while report.status == STEERED:\n            report = await self._start_over()\n",
        "",
        module="attempt/attempt",
    ),
    _in_worker(
        "an interrupted turn is dropped",
        "what it has said is lost, and the session waits for the lease to run out",
        '_DROPS.get("".join(order), "cancelled")',
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
