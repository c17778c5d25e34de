"""Faults in webhooks."""

from tests.mutants.mutant import Mutant

_SCRIPTS = ("tests/scripts/test_webhooks.py",)
_SENDER = "workers/webhooks/sender.py"
_WORKERS = ("tests/integration/workers/test_webhooks.py",)

WEBHOOKS = (
    Mutant(
        "the first key is served again and again",
        "a key with many webhooks keeps those of all others waiting",
        "turns/lua/webhook/claim_webhook.lua",
        "      redis.call('ZADD', key.webhook_lines, last + 1, its)\n",
        "",
        _SCRIPTS,
    ),
    Mutant(
        "a webhook is taken for a key without a place",
        "a worker holds webhooks of a receiver that hangs without a bound",
        "turns/lua/webhook/claim_webhook.lua",
        "if not (is_full['*'] or is_full[its]) then",
        "if its then",
        _SCRIPTS,
    ),
    Mutant(
        "a line of webhooks that are gone is not cleared",
        "nothing behind them is delivered",
        "turns/lua/webhook/claim_webhook.lua",
        "    if owner == its and (phase == 'ready' or phase == 'sent') then",
        "    if not phase then return { 'stale' } end\n    if owner == its and (phase == 'ready' or phase == 'sent') then",
        _SCRIPTS,
    ),
    Mutant(
        "an erase leaves webhooks in their lines",
        "the ids of erased turns stay for as long as a receiver hangs",
        "turns/lua/lib/drop_webhooks.lua",
        "    redis.call('ZREM', key.webhook_line .. its, unpack(standing))\n",
        "",
        _SCRIPTS,
    ),
    Mutant(
        "a deleted turn is still told",
        "a receiver hears of a response that its owner has deleted",
        "turns/lua/turn/delete_turn.lua",
        "drop_webhooks({ id })\n",
        "",
        _SCRIPTS,
    ),
    Mutant(
        "a retried failure is still told",
        "a receiver hears that a turn has failed while it runs again",
        "turns/lua/turn/retry.lua",
        "drop_webhooks({ id })\n",
        "",
        _SCRIPTS,
    ),
    Mutant(
        "a webhook in line is not looked at any more",
        "one whose place in line is lost is never delivered",
        "turns/lua/lib/stand_for_delivery.lua",
        "  redis.call('ZADD', key.webhooks, now + rule.webhook_look, id)\n",
        "  redis.call('ZREM', key.webhooks, id)\n",
        _SCRIPTS,
    ),
    Mutant(
        "a key has all places of a worker",
        "a receiver that hangs holds up the webhooks of all",
        _SENDER,
        " if count >= _AT_ONCE_OF_A_KEY]",
        " if count >= _AT_ONCE]",
        _WORKERS,
    ),
    Mutant(
        "a place that is free is not used",
        "webhooks in line wait for the next sweep",
        _SENDER,
        "        for _ in range(_AT_ONCE if lines and self._delivers else 0):\n",
        "        for _ in range(0):\n",
        _WORKERS,
    ),
    Mutant(
        "every worker takes webhooks from lines",
        "a worker that is to answer turns alone calls other people's servers",
        _SENDER,
        "if lines and self._delivers else 0",
        "if lines else 0",
        _WORKERS,
    ),
)
