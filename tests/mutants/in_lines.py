"""Faults in the lines of tenants: who waits there, who goes next, and what makes them move."""

from tests.mutants.mutant import Mutant
from tests.mutants.script import in_cut

_FAIRNESS = "tests/scripts/test_fairness.py"
_WAITS = "tests/scripts/test_waits.py"


def _in_line(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    """Describe a fault in a script that only tests of lines notice."""
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, (_FAIRNESS,))


def _of_single_slot(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    """Describe a fault that only one worker with one slot notices."""
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, ("tests/scripts/test_single_slot.py",))


LINES = (
    Mutant(
        "a parked line is not counted",
        "an alert for turns that wait stays silent while a tenant's turns wait for its slots",
        "turns/lua/lib/ready_on.lua",
        "ipairs({ key.rotation .. queue, key.parked .. queue })",
        "ipairs({ key.rotation .. queue })",
        (_WAITS,),
    ),
    Mutant(
        "the first of a line has waited longest",
        "a turn that was returned a moment ago hides those that have waited for long",
        "turns/lua/lib/ready_on.lua",
        "if tonumber(place or 0) < 0 then",
        "if false then",
        (_WAITS,),
    ),
    Mutant(
        "the last dispatch has waited longest",
        "an alert for turns that wait stays silent",
        "turns/lua/lib/measures.lua",
        "-100, -1",
        "-1, -1",
        (_WAITS,),
    ),
    Mutant(
        "a line is counted twice",
        "more turns are told to wait than there are",
        "turns/lua/lib/ready_on.lua",
        "if not seen[tenant] then look(tenant) end",
        "look(tenant)",
        (_WAITS,),
    ),
    Mutant(
        "only a few tenants are seen to wait for a model",
        "the longest wait for a model is told too short",
        "turns/lua/lib/waits_at.lua",
        "math.max(50, most)",
        "50",
        (_WAITS,),
    ),
    _in_line(
        "nobody waits in a line",
        "a tenant with thousands of turns fills the queue before all others",
        "if known.room <= 0 or known.budgeted > now or redis.call('EXISTS', key.rotation .. queue) == 1 then return false end",
        "if true then return true end",
        script="lib/may_go",
    ),
    _in_line(
        "who comes passes those who wait",
        "a turn that comes in a lucky moment goes before thousands",
        "or redis.call('EXISTS', key.rotation .. queue) == 1 then",
        "then",
        script="lib/may_go",
    ),
    _in_line(
        "all tenants are one",
        "one tenant waits for all turns of another",
        "return session:match('^([^/]*)/') or ''",
        "return ''",
        script="lib/tenant_of",
    ),
    _in_line(
        "a tenant is served again and again",
        "one tenant waits for all turns of another",
        "next_time = tonumber(time), time + price_of(weight, units)",
        "next_time = tonumber(time), time",
        script="lib/send_next",
    ),
    _in_line(
        "weights count for nothing",
        "a tenant that pays for three turns gets one",
        "return math.max(1, math.floor(rule.price * (units or 1) / (tonumber(weight or nil) or 1)))",
        "return rule.price",
        script="lib/price_of",
    ),
    _in_line(
        "time stands still for those who come",
        "a tenant that was away has all slots until it has caught up",
        "        if not model then redis.call('HSET', key.stats, 'served:' .. queue, time) end\n",
        "",
        script="lib/send_next",
    ),
    _in_line(
        "time stands still from the first turn of a tenant that is alone",
        "a tenant that comes to one that was alone waits for two of its turns",
        "if model or rival or time - known.served ~= price_of(weight, units) then",
        "if model or rival then",
        script="lib/send_next",
    ),
    _in_line(
        "who comes is next",
        "a tenant that comes and goes has all slots",
        "price_of(redis.call('HGET', key.turn .. id, 'weight'), units) - 1",
        "0",
        script="lib/stand_in_line",
    ),
    _in_line(
        "what was at work goes to the end of the line",
        "a turn whose worker died waits for thousands that came later",
        "local place = first and first - 2 ^ 50 or redis.call(",
        "local place = redis.call(",
        script="lib/join_line",
    ),
    _in_line(
        "a second look loses the place",
        "a session that waits for long goes to the end of its line, again and again",
        "'LT', place",
        "'GT', place",
        script="lib/stand_in_line",
    ),
    _in_line(
        "a tenant without its place in the rotation",
        "sessions stand in a line that nobody looks at",
        "  if not (redis.call('ZSCORE', rotation, tenant) or redis.call('ZSCORE', key.parked .. line, tenant)) then",
        "  if false then",
        script="lib/stand_in_line",
    ),
    _in_line(
        "whoever stands in a line is dispatched",
        "a turn that an older worker has dispatched is dispatched twice",
        "if phase == 'ready' and state == 'queued' and its_queue == queue then",
        "if phase and state == 'queued' and its_queue == queue then",
        script="lib/send_next",
    ),
    _in_line(
        "a broken session stops its line",
        "one broken record makes all tenants wait for ever",
        "    return found.err and {} or found",
        "    return found.err and error(found) or found",
        script="lib/send_next",
    ),
    _in_line(
        "as many as there are in one go",
        "those who wait no more, a million of them, stop everybody",
        "  for _ = 1, 20 do\n",
        "  while true do\n",
        script="lib/send_ready",
    ),
    _in_line(
        "a claim brings out nobody",
        "slots stay empty until the next sweep",
        "bring_out(queue, free, now)\n\nlocal reply",
        "local reply",
        script="turn/claim",
    ),
    _in_line(
        "free slots are not told of",
        "a worker with a hundred free slots fills them one after the other",
        "send_ready(queue, free + (stale and 1 or 0), now)",
        "send_ready(queue, 0, now)",
        script="lib/bring_out",
    ),
    _in_line(
        "only a claim brings out others",
        "when all dispatches are lost, those who wait do so for ever",
        " send_ready(queue, 0, now) end\n",
        " end\n",
        script="upkeep/sweep",
    ),
    _in_line(
        "cancelled turns stay in the line",
        "a crowd of cancelled turns is passed over piece by piece, while others wait",
        "if phase == 'ready' then leave_line(session, waits_for and queue .. '@' .. waits_for or queue) end\n",
        "",
        script="lib/cancel_head",
    ),
    _in_line(
        "erased sessions stay in the line",
        "an erased session is named in a line",
        "  leave_line(session, queue)\n",
        "",
        script="session/erase",
    ),
    _in_line(
        "the last that leaves does not take its tenant along",
        "after a cancellation every turn takes the longer way",
        "    redis.call('ZREM', key.rotation .. queue, tenant)\n",
        "",
        script="lib/leave_line",
    ),
    _in_line(
        "a lost place is not found again",
        "a session whose place is lost waits for ever",
        "  join_line(session, id, queue, read_queue(queue, 0))\n",
        "",
        script="lib/stay_ready",
    ),
    _in_line(
        "more stand on a queue than workers have slots",
        "order among tenants is decided long before a slot is free",
        "local room = most - ",
        "local room = 1000 - ",
        script="lib/read_queue",
    ),
    _in_line(
        "the next of a session passes the line",
        "a tenant with long sessions keeps its slots for ever",
        "      make_ready(session, id, now, queue)\n",
        "      dispatch(session, id, now, queue, read_queue(queue, 0))\n",
        script="lib/release",
    ),
    _in_line(
        "slots are not counted",
        "order among tenants is decided long before a slot is free, or slots stay empty",
        "'standing', math.max(1, math.floor(slots / 16)))",
        "'standing', 1)",
        script="upkeep/register_worker",
    ),
    _of_single_slot(
        "a dispatch stands before a single slot",
        "a tenant's first turn waits for two of another",
        " or redis.call('EXISTS', key.owned .. worker) == 1) then most = 0 end",
        ") then most = 0 end",
        script="lib/read_queue",
    ),
    _of_single_slot(
        "a single slot counts as free until its turn is claimed",
        "of turns that come at once two are sent, and another tenant's waits for both",
        "if worker and (comes or ",
        "if worker and (",
        script="lib/read_queue",
    ),
    _of_single_slot(
        "a dispatch that was lost is about to be claimed for ever",
        "one worker with one slot idles until the dispatch is sent again",
        " and math.abs(clock() - (sent_at or 0)) < rule.silence",
        "",
        script="lib/read_queue",
    ),
    _of_single_slot(
        "a stale dispatch is about to be claimed for ever",
        "after a cancellation turns wait for the sweep beside a free slot",
        "    if stale and redis.call(",
        "    if false and redis.call(",
        script="lib/bring_out",
    ),
    _of_single_slot(
        "a single slot is filled by the sweep",
        "one worker with one slot idles for half a second after each turn",
        "local single = redis.call('HGET', key.stats, 'slots') == '1'",
        "local single = false",
        script="lib/bring_back",
    ),
    _of_single_slot(
        "a stale claim of a single slot brings out nobody",
        "one worker with one slot idles until the sweep beside those who wait",
        "  bring_out(queue, free, now, true)\n  if head",
        "  if head",
        script="turn/claim",
    ),
    _of_single_slot(
        "a claim of what is unknown brings out nobody",
        "after an erase slots idle until the sweep beside those who wait",
        "  bring_out(rule.queues, free, now, true)\n",
        "",
        script="turn/claim",
    ),
    _of_single_slot(
        "who comes to a single slot with the tenant that has it is in the order of names",
        "a tenant's first turn waits for two of another",
        "known.served + has_it",
        "known.served",
        script="lib/join_line",
    ),
    _of_single_slot(
        "a worker does not count itself when it comes",
        "two workers with one slot each count as one slot, and one of them idles",
        "  slots = slots + slots_of(facts)\n",
        "",
        script="upkeep/register_worker",
    ),
    in_cut(
        "the rotation before the line",
        "after a cut a line stays for ever",
        "  if session then redis.call('ZREM', line, session) end\n  if not another then\n",
        "  if not another then redis.call('ZREM', rotation, tenant) end\n"
        "  if session then redis.call('ZREM', line, session) end\n  if not another then\n",
        script="lib/send_next",
    ),
    Mutant(
        "batch has no share",
        "turns of the queue `batch` never run while turns of `chat` wait",
        "workers/celery_patches/queue_order.py",
        "batch_first = self._owed >= 1",
        "batch_first = False",
        ("tests/unit/workers/test_queue_order.py",),
    ),
    Mutant(
        "batch saves up its share",
        "after a quiet night a batch goes before everybody's chats",
        "workers/celery_patches/queue_order.py",
        "self._owed = min(1.0, self._owed + self._each)",
        "self._owed = self._owed + self._each",
        ("tests/unit/workers/test_queue_order.py",),
    ),
)
