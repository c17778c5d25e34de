"""Faults in the quotas of tenants: slots, and turns that are not finished."""

from tests.mutants.mutant import Mutant
from tests.mutants.script import in_cut


def _quota(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    """Describe a fault in a script that tests of quotas notice."""
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, ("tests/scripts/test_quotas.py",))


QUOTAS = (
    _quota(
        "a line goes on beyond its tenant's slots",
        "slow turns of one tenant hold all slots",
        "if counts and slots_left(tenant, slots, now) <= 0 then",
        "if false then",
        script="lib/send_ready",
    ),
    _quota(
        "who finds room needs no slot",
        "slow turns of one tenant hold all slots while nobody waits",
        "room > 0 and (not counted or slots_left(tenant, slots, now) > 0)",
        "room > 0",
        script="lib/may_go",
    ),
    _quota(
        "who is at its limit stays in the rotation",
        "a tenant at its limit makes all others wait",
        "  redis.call('ZREM', key.rotation .. queue, tenant)\n",
        "",
        script="lib/park",
    ),
    _quota(
        "a parked line stays parked",
        "turns wait although their tenant has slots left",
        "if unpark(tenant_of(session), queue) or queue == slot and queue == 'batch' then",
        "if false then",
        script="lib/bring_back",
    ),
    _quota(
        "a slot is never free",
        "a tenant may run so many turns in all",
        "  redis.call('SREM', key.slots .. tenant_of(session), session)\n",
        "",
        script="lib/free_slot",
    ),
    _quota(
        "a finished turn keeps its slot",
        "a tenant may run so many turns in all",
        "leave_slot(session, slot, now)\n",
        "",
        script="turn/finish",
    ),
    _quota(
        "a cancelled turn keeps its slot",
        "cancelled turns block their tenant",
        "leave_slot(session, slot, now)\ngo_on",
        "go_on",
        script="turn/cancel",
    ),
    _quota(
        "a delayed turn keeps its slot",
        "turns that wait for their retry block their tenant",
        "  free_slot(session, slot)\n",
        "",
        script="turn/requeue",
    ),
    _quota(
        "an erased session keeps its slot",
        "erased sessions block their tenant",
        "free_slot(session, slot)\n",
        "",
        script="session/erase",
    ),
    _quota(
        "what was at work needs another slot",
        "a turn whose worker died waits behind its own slot",
        "  free_slot(session, slot)\n",
        "",
        script="lib/make_ready",
    ),
    _quota(
        "a share is all",
        "one tenant holds all slots while others are active",
        "math.floor(slots * rule.tenant_share / 1000)",
        "slots",
        script="lib/slots_left",
    ),
    _quota(
        "a tenant alone has its share",
        "slots stay empty that nobody else wants",
        "another < now - rule.active",
        "another == nil",
        script="lib/slots_left",
    ),
    _quota(
        "batch leaves nothing free",
        "a batch of slow turns makes all chats wait",
        "slots - reserved - ",
        "slots - ",
        script="lib/room_on",
    ),
    _quota(
        "batch waits for the next sweep",
        "slots of a batch stay empty for half a second each",
        " or queue == slot and queue == 'batch' then",
        " then",
        script="lib/bring_back",
    ),
    _quota(
        "a tenant without a line stays parked",
        "names of tenants stay for ever",
        "    redis.call('ZREM', key.parked .. queue, tenant)\n",
        "",
        script="lib/leave_line",
    ),
    _quota(
        "more slots are not noticed",
        "turns wait although new workers have slots for them",
        "unpark_some(now)\n",
        "",
        script="upkeep/sweep",
    ),
    _quota(
        "a limit stays as it was first",
        "a key with a higher limit changes nothing",
        "if tonumber(redis.call('HGET', key.tenant .. tenant, 'running') or 0) == running then return end",
        "if redis.call('HGET', key.tenant .. tenant, 'running') then return end",
        script="lib/set_limits",
    ),
    _quota(
        "one tenant fills the queue",
        "a tenant with 200,000 turns shuts out all others",
        "if not alone and unfinished_of(tenant, open) >= most then",
        "if false then",
        script="lib/over_quota",
    ),
    _quota(
        "sessions without a tenant never have all",
        "a deployment without tenants has half of its queue",
        "redis.call('HEXISTS', key.stats, 'tenants') == 0",
        "false",
        script="lib/over_quota",
    ),
    _quota(
        "all turns are those of sessions without a tenant",
        "sessions without a tenant are shut out by those of others",
        "    if other ~= '' then open = open - redis.call('ZCARD', key.open_turns .. other) end\n",
        "",
        script="lib/unfinished_of",
    ),
    _quota(
        "what has ended is still unfinished",
        "a tenant may ask so many questions in all",
        "  if tenant ~= '' then redis.call('ZREM', key.open_turns .. tenant, id) end\n",
        "",
        script="lib/carry_out_end",
    ),
    _quota(
        "what was erased is still unfinished",
        "a tenant that erases its sessions is shut out",
        "    if session then redis.call('ZREM', key.open_turns .. tenant_of(session), unpack(some)) end\n",
        "",
        script="lib/remove_turns",
    ),
    _quota(
        "retried turns are not counted",
        "retries get past the quota",
        "count_unfinished(session, id, now)\n",
        "",
        script="turn/retry",
    ),
    _quota(
        "the audit does not look at slots",
        "what an older version has left blocks a tenant for ever",
        "    correct(key.slots .. tenant)\n",
        "",
        script="lib/audit_tenants",
    ),
    _quota(
        "tenants are never forgotten",
        "names of tenants fill the memory",
        "      redis.call('ZREM', key.tenants, tenant)\n",
        "",
        script="lib/audit_tenants",
    ),
    in_cut(
        "a slot before its mark",
        "after a cut a slot is taken for ever",
        "  redis.call('HSET', key.session .. session, 'slot', queue)\n  redis.call('SADD', key.slots .. tenant, session)\n",
        "  redis.call('SADD', key.slots .. tenant, session)\n  redis.call('HSET', key.session .. session, 'slot', queue)\n",
        script="lib/take_slot",
    ),
)
