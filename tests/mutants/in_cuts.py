"""Faults that show only when a script is cut short."""

from tests.mutants.script import in_cut

CUTS = (
    in_cut(
        "history before the record",
        "an end that is cut short is in the history twice",
        "  redis.call('HSET', turn, unpack(written))\n",
        "  append_history(key.history .. session, elements)\n  redis.call('HSET', turn, unpack(written))\n  elements = {}\n",
        script="lib/end_turn",
    ),
    in_cut(
        "nothing is owed",
        "an answer whose commit is cut short never reaches the history",
        "  if redis.call('HEXISTS', turn, 'owed') == 0 then",
        "  if true then",
        script="lib/complete_end",
    ),
    in_cut(
        "what was owed stays",
        "each look at an ended turn tells its end again",
        "  redis.call('HDEL', turn, 'owed', 'rest')\n",
        "",
        script="lib/carry_out_end",
    ),
    in_cut(
        "what is owed is added without a look",
        "an end that is cut short is in the history twice",
        "append_history(key.history .. session, ended.elements, again)",
        "append_history(key.history .. session, ended.elements)",
        script="lib/carry_out_end",
    ),
    in_cut(
        "the end sent again",
        "a reader sees the last text and the end twice",
        "    if left[2][2] == kind and left[2][4] == tostring(attempt) and left[2][6] == data then",
        "    if false then",
        script="lib/append_event",
    ),
    in_cut(
        "an event that nobody counted",
        "after a cut every later event of the turn is refused",
        "  if type(added) ~= 'table' then return place end",
        "  if type(added) == 'table' then error(added) else return place end",
        script="lib/append_event",
    ),
    in_cut(
        "an ended turn is dispatched",
        "a turn whose end was cut short runs again",
        "  elseif state ~= 'queued' and state ~= 'running' then",
        "  elseif not state then",
        script="upkeep/sweep",
    ),
    in_cut(
        "an ended turn is claimed",
        "a turn whose end was cut short runs again",
        "if state ~= 'queued' and state ~= 'running' then",
        "if false then",
        script="turn/claim",
    ),
    in_cut(
        "out of the mailbox before it is dispatched",
        "a turn stands nowhere after a cut, and never runs",
        "      dispatch(session, id, now, queue)\n      redis.call('LPOP', mailbox)\n",
        "      redis.call('LPOP', mailbox)\n      dispatch(session, id, now, queue)\n",
        script="lib/release",
    ),
    in_cut(
        "the record before the place",
        "a turn is accepted, stands nowhere after a cut, and never runs",
        "  local place, sent = enqueue(session, id, now, queue, held)\n",
        "  redis.call('HSET', key.turn .. id, 'session', session, 'state', 'queued', 'reply', '', 'attempts', 0)\n"
        "  local place, sent = enqueue(session, id, now, queue, held)\n",
        script="lib/create_turn",
    ),
    in_cut(
        "a head without a due entry",
        "a dispatch that a cut has left out is never made up for",
        "  redis.call('ZADD', key.due, now + rule.grace + dispatches_ahead(queue, sent) * rule.pace, session)\n"
        "  redis.call('HSET', key.session .. session, 'head', id, 'phase', 'dispatched', 'sent', sent, 'since', now)\n",
        "  redis.call('HSET', key.session .. session, 'head', id, 'phase', 'dispatched', 'sent', sent, 'since', now)\n"
        "  redis.call('ZADD', key.due, now + rule.grace + dispatches_ahead(queue, sent) * rule.pace, session)\n",
        script="lib/take_head",
    ),
    in_cut(
        "a replay completes nothing",
        "an owner's replay leaves its end to others",
        "  complete_and_release(id, session, now)\n  return { 'replay', stands }",
        "  return { 'replay', stands }",
        script="turn/finish",
    ),
    in_cut(
        "a session begun by half",
        "the messages that a cut has left out are never added",
        "if seen == fingerprint and not owed then",
        "if seen == fingerprint then",
        script="session/write_conversation",
    ),
    in_cut(
        "a retried turn stays among the failed",
        "a turn that has completed is listed as failed after a retry that was cut short",
        "    redis.call('ZREM', key.failed, id)\n",
        "",
        script="lib/carry_out_end",
    ),
    in_cut(
        "what no list names stays so",
        "a tool that has finished is called again after a cut",
        " or not ('\\30' .. list):find('\\30' .. name .. '\\30', 1, true)",
        "",
        script="step/put_writes",
    ),
    in_cut(
        "the list of writes comes first",
        "a task's result is read in part after a cut",
        "  if fresh then list = list .. name .. '\\30' end\n",
        "  if fresh then list = list .. name .. '\\30' end\n  redis.call('HSET', steps, 'writes\\31' .. address, list)\n",
        script="step/put_writes",
    ),
    in_cut(
        "the latest step is dropped last",
        "steps that were dropped in part read as damaged",
        "and 1 or #dropped + 1",
        "and #dropped + 1 or #dropped + 1",
        script="step/drop_steps",
    ),
    in_cut(
        "a checkpoint is the latest before it is there",
        "a turn fails for damaged steps after a cut",
        "for i, name in ipairs(names) do redis.call(",
        "redis.call('HSET', steps, 'latest\\31' .. namespace, checkpoint)\nfor i, name in ipairs(names) do redis.call(",
        script="step/put_checkpoint",
    ),
    in_cut(
        "erase removes turns before their list is safe",
        "an erase that was cut short leaves turns that nobody removes",
        "local count = sound(",
        "remove_turns(standing)\nlocal count = sound(",
        script="session/erase",
    ),
)
