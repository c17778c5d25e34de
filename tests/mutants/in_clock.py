"""Faults that show only after the clock has been set back."""

from tests.mutants.mutant import Mutant


def _in_clock(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    """Describe a fault in a script that trusts a clock which has been set back."""
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, ("tests/scripts/test_clock.py",))


CLOCK = (
    _in_clock(
        "webhooks trust a clock that was set back",
        "after a failover a webhook whose delivery was lost waits for as long as clocks differ",
        "    redis.call('ZADD', key.webhooks, latest, id)\n",
        "",
        script="lib/bring_to_clock",
    ),
    _in_clock(
        "budgets trust a clock that was set back",
        "after a failover all turns wait for their model for as long as clocks differ",
        "'requests_spent', 'tokens_spent', 'owed_until', 'paused', 'own_paused'",
        "'window'",
        script="lib/bring_to_clock",
    ),
    _in_clock(
        "requests of a clock that was set back",
        "after a failover each key is refused for as long as clocks differ",
        "known <= now + rule.minute and known or 0",
        "known",
        script="lib/spend_request",
    ),
    _in_clock(
        "debts of a clock that was set back",
        "after a failover each tenant is refused for as long as clocks differ",
        "tonumber(spent_at or 0) <= now and tonumber(spent_until or 0) or 0",
        "tonumber(spent_until or 0)",
        script="lib/tokens_owed",
    ),
    _in_clock(
        "batches trust a clock that was set back",
        "after a failover batches stand still for as long as clocks differ",
        "'(' .. now + rule.batch_lease, '+inf'",
        "'+inf', '+inf'",
        script="batch/claim_batch",
    ),
    _in_clock(
        "streams of a clock that was set back",
        "after a failover streams of dead gateways are open for as long as clocks differ",
        "if #ahead > 0 then redis.call('ZREM', streams, unpack(ahead)) end\n",
        "",
        script="limit/open_stream",
    ),
    _in_clock(
        "tenants of a clock that was set back",
        "after a failover slots stay empty for as long as clocks differ",
        "now - rule.active, now, 'LIMIT'",
        "now - rule.active, '+inf', 'LIMIT'",
        script="lib/is_alone",
    ),
)
