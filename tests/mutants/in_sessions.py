"""Faults in the scripts of sessions, and in the parts that scripts share."""

from tests.mutants.script import in_script

SESSIONS = (
    in_script(
        "another's time to live stays",
        "a history vanishes as one process was told, while others add to it",
        "    if busy or rule.history_ttl == 0 then\n      redis.call('PERSIST', name)\n    else\n",
        "    if rule.history_ttl > 0 then\n",
        script="lib/keep_history",
    ),
    in_script(
        "a history expires under a turn",
        "an answer that takes longer than the time to live finds its session gone",
        "if busy or rule.history_ttl == 0 then",
        "if rule.history_ttl == 0 then",
        script="lib/keep_history",
    ),
    in_script(
        "an id begins anew beside its old events",
        "a turn whose record had expired is in the history twice, or never ends",
        "  redis.call('DEL', key.events .. id)\n",
        "",
        script="lib/create_turn",
    ),
    in_script(
        "erase leaves the seat",
        "a session comes back after its erasure",
        "redis.call('DEL', history, session_key, mailbox",
        "redis.call('DEL', history, mailbox",
        script="session/erase",
    ),
    in_script(
        "no due entry at dispatch",
        "a dispatch that is lost leaves its session waiting for ever",
        "  redis.call('ZADD', key.due, now + rule.grace + dispatches_ahead(queue, sent) * rule.pace, session)\n",
        "",
        script="lib/take_head",
    ),
    in_script(
        "dispatch without number",
        "sweeps cannot tell a long queue from a lost dispatch",
        "local sent = redis.call('HINCRBY', key.stats, 'sent:' .. queue, 1)",
        "local sent = 0",
        script="lib/take_head",
    ),
    in_script(
        "dispatch keeps the owner",
        "a turn that was taken away can still be ended by its old worker",
        "  redis.call('HDEL', key.session .. session, 'owner', 'lease', 'worker')\n",
        "",
        script="lib/dispatch",
    ),
    in_script(
        "busy session not noticed",
        "two turns of one session run at once",
        "if not head or head == id then",
        "if true then",
        script="lib/enqueue",
    ),
    in_script(
        "last in, first out",
        "turns of a session run in the wrong order",
        "return redis.call('LINDEX', mailbox, 0)",
        "return redis.call('LINDEX', mailbox, -1)",
        script="lib/release",
    ),
    in_script(
        "idle session keeps its due entry",
        "sweeps look at sessions that are done",
        "  redis.call('ZREM', key.due, session)\n",
        "",
        script="lib/release",
    ),
    in_script(
        "settle forgets the open count",
        "the queue seems full for ever",
        "  redis.call('ZREM', key.open, id)\n",
        "",
        script="lib/carry_out_end",
    ),
    in_script(
        "records live for ever",
        "memory fills up",
        "  redis.call('PEXPIRE', turn, ttl)\n",
        "",
        script="lib/carry_out_end",
    ),
    in_script(
        "the clock stands still",
        "no lease ever ends",
        "return time[1] * 1000 + math.floor(time[2] / 1000)",
        "return 1700000000000 + time[1] * 0",
        script="lib/clock",
    ),
    in_script(
        "event numbers skip",
        "a reader that resumes waits for an event that never was",
        "place = key.events .. id, sequence + 1",
        "place = key.events .. id, sequence + 2",
        script="lib/append_event",
    ),
)
