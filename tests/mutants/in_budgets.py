"""Faults in the budgets of models: how many calls begin, who waits, and when it goes on."""

from tests.mutants.mutant import Mutant
from tests.mutants.script import in_cut

_BUDGET = ("tests/scripts/test_budget.py", "tests/scripts/test_budget_waits.py", "tests/scripts/test_budget_pauses.py")


def _in_budget(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    """Describe a fault in a script that tests of budgets notice."""
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, _BUDGET)


def _before(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    """Describe a fault in a script that tests of turns notice that are looked at before they are dispatched."""
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, ("tests/scripts/test_budget_before.py",))


_OTHERS = "tests/scripts/test_budget_of_others.py"


def _with_others(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    """Describe a fault in a script that tests of turns notice that wait for one of several models."""
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, (_OTHERS,))


_TOKENS = "tests/scripts/test_budget_tokens.py"


def _of_returned(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    """Describe a fault in a script that shows when a turn is returned that was sent for a slot."""
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, ("tests/scripts/test_budget_waits.py",))


def _with_tokens(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    """Describe a fault in a script that tests of tenants notice that share a model's tokens."""
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, (_TOKENS,))


BUDGETS = (
    _in_budget(
        "each model that a tenant waits for has a turn of its own",
        "a tenant that waits for many models holds up all others that wait for one",
        "math.max(begins, least) + 1 - 2 ^ 50",
        "(least == math.huge and begins or clock()) - 2 ^ 50",
        script="lib/next_look",
    ),
    _in_budget(
        "calls are not spread",
        "a minute holds more calls than the model's server allows",
        "budget.requests_spent = math.max(at, budget.requests_spent) + rule.budget_minute / budget.requests",
        "budget.requests_spent = at",
        script="lib/spend_call",
    ),
    _in_budget(
        "tokens cost nothing",
        "a minute holds more tokens than the model's server allows",
        "call_time(budget, tokens), at)",
        "0, at)",
        script="lib/spend_call",
    ),
    _in_budget(
        "a pause is nobody's",
        "after a 429 every worker finds out by itself",
        "local at, coming = math.max(now, pause_of(budget, tenant)), coming or 0",
        "local at, coming = now, coming or 0",
        script="lib/next_call",
    ),
    _in_budget(
        "as many at once as there are",
        "more calls are under way than the model's server stands",
        "if budget.most > 0 and calls_under_way(budget, budget.most) + coming >= budget.most then",
        "if false then",
        script="lib/next_call",
    ),
    _in_budget(
        "the calls of the dead stay",
        "a crash takes a place at the model for an hour",
        "if not lasts then count",
        "if false then count",
        script="lib/calls_under_way",
    ),
    _in_budget(
        "requests to gateways have no owner",
        "embeddings are asked beside as many calls as may be under way",
        "id == '-' and since + rule.request >= now or id ~= '-' and id and owns(id, token)",
        "id and owns(id, token)",
        script="lib/calls_under_way",
    ),
    _in_budget(
        "requests of a dead gateway stay",
        "a gateway that was killed takes a place at the model for an hour",
        "since + rule.request >= now",
        "true",
        script="lib/calls_under_way",
    ),
    _in_budget(
        "all at once after a pause",
        "all who waited out a pause are refused again",
        "    change(of .. 'window', 1)\n",
        "",
        script="lib/note_refusal",
    ),
    _in_budget(
        "a pause of our own stays short",
        "a model that names no time is asked again and again",
        "change(of .. 'strikes', strikes + 1)",
        "change(of .. 'strikes', strikes)",
        script="lib/note_refusal",
    ),
    _in_budget(
        "a pause of a day",
        "a server that names a day stops its turns for a day",
        "now + math.min(asked, rule.longest_retry)",
        "now + asked",
        script="lib/note_refusal",
    ),
    _in_budget(
        "a refusal pauses everybody",
        "one tenant's questions that a server refuses stop a model for all",
        "local shared = nothing_left or other and budget.own_paused > now",
        "local shared = true",
        script="lib/note_refusal",
    ),
    _in_budget(
        "a refusal pauses nobody else",
        "every tenant finds out by itself that a model is over its limit",
        "local shared = nothing_left or other and budget.own_paused > now",
        "local shared = nothing_left",
        script="lib/note_refusal",
    ),
    _in_budget(
        "what the server says is left is not heard",
        "a tenant asks a model of which nothing is left",
        "local shared = nothing_left or other",
        "local shared = other",
        script="lib/note_refusal",
    ),
    _in_budget(
        "everybody waits as long as the longest",
        "one tenant's refusal of an hour counts for all beside another's of a second",
        "asked = math.min(asked, budget.own_paused - now)",
        "asked = asked",
        script="lib/note_refusal",
    ),
    _in_budget(
        "who waits alone stands before all",
        "a tenant that was refused holds up those who stand behind it",
        "if not sent and pause_of(own, tenant) <= own.paused and own.owed_until <= now + rule.budget_burst then",
        "if not sent and own.owed_until <= now + rule.budget_burst then",
        script="lib/send_waiting",
    ),
    _in_budget(
        "who waits alone is waited for",
        "calls of other tenants wait for a second dispatch while one tenant is to wait",
        "if budget.tenant ~= tenant or budget.own_paused <= now then",
        "if true then",
        script="lib/others_wait",
    ),
    _in_budget(
        "an estimate has no bound",
        "one large request stops a model for minutes",
        "math.min(tokens, budget.tokens) * rule",
        "tokens * rule",
        script="lib/call_time",
    ),
    _in_budget(
        "a correction is larger than what was noted",
        "one wrong estimate gives away the tokens of minutes",
        "call_time(budget, tonumber(estimated))",
        "estimated * rule.budget_minute / budget.tokens",
        script="budget/settle_call",
    ),
    _in_budget(
        "calls have no share",
        "slow turns of one tenant hold all calls of a model",
        "return most - (budget.by_tenant[tenant] or 0)",
        "return 1",
        script="lib/calls_left",
    ),
    _in_budget(
        "a share is all calls",
        "a tenant alone leaves calls of a model unused",
        "if others then most = share end",
        "most = share",
        script="lib/calls_left",
    ),
    _in_budget(
        "who waits has no share",
        "turns that wait are sent for calls that are others'",
        " or calls_left(own, tenant, now) <= 0 then",
        " then",
        script="lib/send_waiting",
    ),
    _in_budget(
        "budgets without a line hold up those with one",
        "made-up names of models slow down turns that wait for another",
        "math.max(begins, least) + 1 - 2 ^ 50",
        "clock()",
        script="lib/next_look",
    ),
    _in_budget(
        "each repeat corrects the tokens",
        "a lost reply takes the tokens of two calls",
        "if known and ended and budget.tokens > 0 then",
        "if known and budget.tokens > 0 then",
        script="budget/settle_call",
    ),
    _in_budget(
        "estimates are not corrected",
        "a long question that was answered with a word holds others up for minutes",
        "call_time(budget, tonumber(used)) - call_time(budget, tonumber(estimated)), now)",
        "0, now)",
        script="budget/settle_call",
    ),
    _in_budget(
        "the server's own limits are not heard",
        "a limit that was set too high is found out by refusals",
        "    change('told_' .. kind, limit)\n",
        "",
        script="budget/settle_call",
    ),
    _in_budget(
        "the server's limits raise ours",
        "one deployment takes the share of all others that have the same key",
        "return own > 0 and told > 0 and math.min(own, told) or math.max(own, told)",
        "return math.max(own, told)",
        script="lib/read_budget",
    ),
    _in_budget(
        "who comes passes those who wait for a model",
        "a turn that comes in a lucky moment goes before thousands",
        "if at > now + ahead * (comes and 2 or 1) or not (sent or comes) and others_wait(budget, now, at) then",
        "if at > now + ahead * (comes and 2 or 1) then",
        script="budget/reserve_call",
    ),
    _in_budget(
        "a slot that was promised is paid twice",
        "half of what the model's server allows is not used",
        "if redis.call('ZREM', promised, id) == 0 then spend_call(budget, tenant, at, tonumber(tokens)) end",
        "redis.call('ZREM', promised, id)\nspend_call(budget, tenant, at, tonumber(tokens))",
        script="budget/reserve_call",
    ),
    _in_budget(
        "an old slot is good for ever",
        "workers that were busy bring all the calls that they are behind with at once",
        "sent and sent + rule.budget_late >= now",
        "sent",
        script="budget/reserve_call",
    ),
    _in_budget(
        "more is sent to workers that are late",
        "calls pile up before busy workers, and their slots are lost",
        "'state') == 'queued' then return true end",
        "'state') == 'nothing' then return true end",
        script="lib/slots_late",
    ),
    _in_budget(
        "a turn that is lost on its way stops all others",
        "nobody calls the model any more",
        "  if sent + rule.budget_lost >= now and redis.call",
        "  if redis.call",
        script="lib/slots_late",
    ),
    _in_budget(
        "a wait for the model counts against the deadline",
        "of a long line the last fail without having been tried",
        "if started then redis.call('HSET', turn, 'started', math.min(now, started + math.max(0, now - since))) end",
        "",
        script="lib/send_waiting",
    ),
    _in_budget(
        "batches wait until no chat does",
        "a batch never calls a model that is always wanted",
        "local owed = own.chats >= 4 and serve('batch', 1) or 0",
        "local owed = 0",
        script="lib/send_waiting",
    ),
    _in_budget(
        "only who waits is told",
        "who waits for a model does so until somebody else calls it",
        "unpack(serve_budgets(now))",
        "nil",
        script="upkeep/sweep",
    ),
    _in_budget(
        "nobody is told why a turn waits",
        "a reader takes a turn that waits for a model for one that hangs",
        "append_event(id, 'waiting', attempts, model:match('^(.*)@') or model, sequence or 0)",
        "sequence or 0",
        script="turn/requeue",
    ),
    _in_budget(
        "a wait that was cut short is given back anew",
        "a reader is told twice that a turn waits, and a failing question is tried once more",
        "if not returned then\n  local waits = {}\n",
        "if true then\n  local waits = {}\n",
        script="turn/requeue",
    ),
    _in_budget(
        "a second look forgets the model",
        "every few seconds those who wait for a model are sent in vain",
        "  if waits_for then return wait_for_model(session, id, queue, waits_for, now) end\n",
        "",
        script="lib/stay_ready",
    ),
    _with_others(
        "a turn waits for its own model alone",
        "a turn waits for minutes beside a model that has a place",
        "budget, at = place_elsewhere(others, others_from, tenant, now, wants, full) end",
        "budget = nil end",
        script="lib/send_waiting",
    ),
    _with_others(
        "a turn goes on with another model at once",
        "the second model answers what the first would have answered in a moment",
        "if not models or tonumber(since or 0) > now then return nil end",
        "if not models then return nil end",
        script="lib/place_elsewhere",
    ),
    _with_others(
        "all go on with another model together",
        "those who wait for one model crowd another",
        "if at <= now + rule.budget_ahead and not others_wait",
        "if not others_wait",
        script="lib/place_elsewhere",
    ),
    _with_others(
        "the place at another model is not kept",
        "a turn that has come for a place at another model finds it taken",
        "if budget == own or budget.kept then",
        "if budget == own then",
        script="lib/send_waiting",
    ),
    _with_others(
        "who waits for another model is passed",
        "turns that have other choices go before those that have none",
        "and not others_wait(budget, now, at) and",
        "and",
        script="lib/place_elsewhere",
    ),
    _with_others(
        "late workers get more slots of another model",
        "calls pile up before busy workers, and another model's slots are lost",
        " and not slots_late(model, now) then",
        " then",
        script="lib/place_elsewhere",
    ),
    _with_others(
        "a turn forgets that it was sent for another model",
        "a turn waits for its first model again and again",
        "unpack(budget ~= own and { 'passed_over', model } or {})",
        "unpack({})",
        script="lib/send_waiting",
    ),
    _with_others(
        "a turn never comes back to its own model",
        "a place that was kept for a turn is lost, and it waits again",
        "    if passed_over and budget == own then redis.call('HDEL', turn, 'passed_over') end\n",
        "",
        script="lib/send_waiting",
    ),
    in_cut(
        "a place at the model before the turn waits for it",
        "after a cut a turn runs and waits at once",
        "  redis.call('HSET', key.session .. session, 'phase', 'ready', 'sent', 0, 'since', now)\n",
        "",
        script="lib/wait_for_model",
    ),
    _before(
        "turns are not looked at before they are dispatched",
        "each turn that waits for a model is dispatched twice",
        "known.room <= 0 or known.budgeted > now or",
        "known.room <= 0 or",
        script="lib/may_go",
    ),
    _before(
        "turns on their way to a model are not counted",
        "more turns are dispatched than find a place, and come back",
        "next_call(budget, tenant, now, wants, calls_to_come(model, now))",
        "next_call(budget, tenant, now, wants)",
        script="lib/stand_at_model",
    ),
    _before(
        "who is on the way to a model stands behind those who wait",
        "a turn that was sent because there was a place finds none",
        "or not (sent or comes) and",
        "or not sent and",
        script="budget/reserve_call",
    ),
    _before(
        "a turn that was lost on its way to a model has a place for ever",
        "each lost dispatch takes a part of the budget away",
        "if math.abs(now - oldest[place + 1]) > rule.budget_lost then",
        "if false then",
        script="lib/calls_to_come",
    ),
    _before(
        "a wait before the first attempt is not told",
        "readers of the stream do not know why nothing comes",
        "stream == '1' and append_event",
        "stream == '2' and append_event",
        script="lib/stand_at_model",
    ),
    _before(
        "what turns call is known for ever",
        "after a change of models, turns wait for budgets of models that nobody calls",
        "if until_then < now then known = redis.call('HINCRBY', key.stats, 'known', 1) end",
        "",
        script="lib/know_model",
    ),
    _before(
        "what turns call is forgotten though they call it",
        "every two minutes turns of a kind are dispatched in vain",
        "(known or 0, 2 * now / rule.known, model,",
        "(known or 0, 7, model,",
        script="lib/know_model",
    ),
    _before(
        "turns that wait for a model cost their tenant nothing",
        "a tenant's ten thousand waiting turns are looked at before another tenant's first",
        "if word ~= 'pass' then",
        "if word == 'go' then",
        script="lib/send_next",
    ),
    _before(
        "a new worker does not ask what turns call",
        "turns wait for budgets that the settings do not give any more",
        "  redis.call('HDEL', key.stats, 'budgeted')\n",
        "",
        script="upkeep/register_worker",
    ),
    _before(
        "an interrupted turn waits for a model",
        "a turn that is to end at once ends when there is a place that it does not need",
        "if busy == 'interrupt' then return 'go' end",
        "",
        script="lib/stand_at_model",
    ),
    _with_tokens(
        "a large call has the price of a small one",
        "a tenant with large calls has nearly all tokens of a model",
        "return math.max(1, call_time(budget, tokens) * 1000 / rule.budget_minute)",
        "return 1",
        script="lib/call_units",
    ),
    _with_tokens(
        "all wait for what a large call takes",
        "fifteen large questions of one tenant stop all others for minutes",
        "if owed <= 0 then return whole end",
        "if true then return whole end",
        script="lib/tokens_free",
    ),
    _with_tokens(
        "nobody waits for what a large call takes",
        "a minute holds more tokens than the model's server allows",
        "now + early / (1 - share)",
        "now",
        script="lib/tokens_free",
    ),
    _with_tokens(
        "large calls do not wait for each other",
        "a minute holds two large calls of two tenants, where one is allowed",
        "* share - call_time(budget, tokens)",
        "* share",
        script="lib/tokens_free",
    ),
    _with_tokens(
        "a tenant does not wait for its own large call",
        "a tenant has all tokens of a model and those of the next minute",
        "budget.owed_by ~= tenant and rule",
        "rule",
        script="lib/tokens_free",
    ),
    _with_tokens(
        "a large call is paid at once",
        "a tenant's share of the tokens is all of them",
        "rule.tenant_share / 1000",
        "1",
        script="lib/spend_time",
    ),
    _with_tokens(
        "who waits for tokens is waited for",
        "a small turn waits in the line behind large ones that wait for minutes",
        "tonumber(wants or 0)) <= at + rule.budget_burst then",
        "tonumber(wants or 0)) <= math.huge then",
        script="lib/others_wait",
    ),
    _with_tokens(
        "the line stops at a large turn",
        "a small turn that waits stands behind large ones for minutes",
        "and own.owed_until <= now + rule.budget_burst then break",
        "then break",
        script="lib/send_waiting",
    ),
    _with_tokens(
        "all turns want what the last call wanted",
        "a small turn is held up as the large one before it",
        "tonumber(own or nil) or ",
        "",
        script="lib/likely_tokens",
    ),
    _with_tokens(
        "what was thought of a turn is spent",
        "tokens that no call takes are lost to all",
        "spend_time(budget, tenant, more, now)",
        "spend_time(budget, tenant, 0, now)",
        script="lib/correct_promise",
    ),
    _with_tokens(
        "a slot that is given back is spent",
        "tokens that no call takes are lost to all",
        "-call_time(budget, tokens), now)",
        "0, now)",
        script="lib/return_promise",
    ),
    _of_returned(
        "a returned turn keeps its slot in a model's budget",
        "all who wait for a model do so for ten seconds longer",
        "local has_slot = sent_for and",
        "local has_slot = false and",
        script="turn/requeue",
    ),
    _of_returned(
        "a slot that is given back is nobody's until the sweep",
        "a place in a model's budget is lost with each turn that is returned",
        "if has_slot then send_waiting(sent_for, now) end\n",
        "",
        script="turn/requeue",
    ),
    _of_returned(
        "a returned turn is on its way to its model",
        "others wait for ten seconds for a model that has a place",
        "if sent_for then redis.call('ZREM', key.coming .. sent_for, id) end\n",
        "",
        script="turn/requeue",
    ),
    _of_returned(
        "a slot is given back twice",
        "a minute holds more calls than the model's server allows",
        "  if redis.call('ZREM', key.promised .. budget.model, id) == 0 then return false end\n",
        "  redis.call('ZREM', key.promised .. budget.model, id)\n",
        script="lib/return_promise",
    ),
    _with_tokens(
        "a large turn takes a small one's slot",
        "a tenant passes all others with questions that look small",
        "local good = more <= rule.budget_burst",
        "local good = true",
        script="lib/correct_promise",
    ),
    Mutant(
        "a budget is forgotten while turns wait for it",
        "all of them call the model at once",
        "turns/lua/lib/keep_budget.lua",
        "redis.call('EXISTS', key.rotation .. 'chat@' .. budget.model, key.rotation .. 'batch@' .. budget.model) > 0",
        "false",
        _BUDGET,
    ),
    Mutant(
        "who waits leaves no limits",
        "those who wait are sent as if there were none",
        "turns/lua/budget/reserve_call.lua",
        "'requests', budget.set[1], 'tokens', budget.set[2], 'most', budget.set[3])",
        "'chats', 0)",
        _BUDGET,
    ),
    Mutant(
        "who stands at a model unasked leaves no limits",
        "those who wait are sent as if there were none",
        "turns/lua/lib/stand_at_model.lua",
        "'requests', budget.set[1], 'tokens', budget.set[2], 'most', budget.set[3])",
        "'chats', 0)",
        _BUDGET,
    ),
    Mutant(
        "a budget for which nobody waits any more is kept for ever",
        "each name of a model stays in Redis",
        "turns/lua/lib/serve_budgets.lua",
        "if not waits and left == -1 then",
        "if false then",
        _BUDGET,
    ),
    Mutant(
        "a pause is forgotten before its end",
        "a tenant that was refused calls again",
        "turns/lua/lib/keep_budget.lua",
        "math.max(now, budget.paused, budget.own_paused, budget.tokens_spent)",
        "math.max(now, budget.tokens_spent)",
        _BUDGET,
    ),
    Mutant(
        "the same calls are looked at for ever",
        "calls of a dead worker keep their places behind those that last",
        "turns/lua/lib/calls_under_way.lua",
        "math.floor(now / 1000) % math.max(1, math.ceil(count / 50)) * 50",
        "0",
        _BUDGET,
    ),
)
