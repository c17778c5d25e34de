"""Faults in schedules."""

from tests.mutants.mutant import Mutant
from tests.mutants.script import in_cut

_TESTS = ("tests/scripts/test_schedules.py",)


def _in_schedule(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, _TESTS)


def _in_bytes(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, ("tests/scripts/test_scheduled_bytes.py",))


def _in_ticks(name: str, breaks: str, old: str, new: str) -> Mutant:
    return Mutant(name, breaks, "turns/schedules.py", old, new, ("tests/unit/turns/test_schedules.py",))


SCHEDULES = (
    _in_schedule(
        "a tick that another worker has asked moves the schedule on",
        "a worker that comes late leaves a tick out",
        " or its[2] ~= tick then",
        " then",
        script="schedule/ask_scheduled",
    ),
    _in_schedule(
        "a refused tick is given up",
        "a question is lost because its session was full for a moment",
        "    return { 'refused', reason }\n",
        "",
        script="schedule/ask_scheduled",
    ),
    _in_schedule(
        "a pause after refusals does not grow",
        "schedules that are refused for ever are tried as often for ever",
        "2 * paused), rule",
        "paused), rule",
        script="schedule/ask_scheduled",
    ),
    _in_schedule(
        "a pause outlives what was accepted",
        "a refusal has the next one wait an hour",
        "if word == 'asked' or next - now > paused then paused = '' end",
        "if next - now > paused then paused = '' end",
        script="schedule/ask_scheduled",
    ),
    _in_schedule(
        "a tenant that had its share is served again",
        "a tenant's thousands of schedules go before all others of the minute",
        "  if passes[tenant_of(session or '')] then\n",
        "  if false then\n",
        script="schedule/claim_schedules",
    ),
    Mutant(
        "a tick that a clock ahead has computed stands",
        "a schedule is silent for as long as the clock was ahead",
        "turns/lua/schedule/audit_schedule.lua",
        "tonumber(its[6] or its[7] or nil) > now",
        "false",
        ("tests/scripts/test_clock.py",),
    ),
    Mutant(
        "an entry that a clock ahead has put off stands",
        "a schedule is silent for as long as the clock was ahead",
        "turns/lua/schedule/audit_schedule.lua",
        "  redis.call('ZADD', key.schedules_due, its[2], member)\n",
        "",
        ("tests/scripts/test_clock.py",),
    ),
    Mutant(
        "an audit computes a tick that was asked meanwhile",
        "a worker that comes late takes a tick back",
        "turns/lua/schedule/audit_schedule.lua",
        "next ~= '' and its[2] == tick",
        "next ~= ''",
        ("tests/scripts/test_clock.py",),
    ),
    Mutant(
        "each refusal is a line in the log",
        "schedules that are refused fill the disk",
        "workers/upkeep/schedules.py",
        "logging.WARNING if self._recent.add(fault) else logging.DEBUG",
        "logging.WARNING",
        ("tests/integration/workers/test_schedules.py",),
    ),
    Mutant(
        "nobody's schedules have a share alone",
        "a tenant's thousands of schedules go before all others of the minute",
        "workers/upkeep/schedules.py",
        " if count >= _OF_A_TENANT]",
        " if not count]",
        ("tests/integration/workers/test_schedules.py",),
    ),
    _in_schedule(
        "a tick that was taken is given to all",
        "every worker asks for every tick",
        "now + lease, member)",
        "now, member)",
        script="schedule/claim_schedules",
    ),
    _in_schedule(
        "an erased session is still asked",
        "an erase is brought back by its schedules",
        "for _, member in ipairs(schedules_of(session, rule.session_schedules)) do drop_schedule(",
        "for _, member in ipairs({}) do drop_schedule(",
        script="session/erase",
    ),
    _in_schedule(
        "a tenant removes another's schedule",
        "one tenant ends what another has asked for",
        " or tenant ~= '*' and tenant_of(session) ~= tenant then",
        " then",
        script="schedule/remove_schedule",
    ),
    in_cut(
        "a schedule forgets its due entry first",
        "a cut leaves a record that nobody ever finds",
        "  redis.call('UNLINK', key.schedule .. schedule)\n  drop_entries(member, session)\n",
        "  drop_entries(member, session)\n  redis.call('UNLINK', key.schedule .. schedule)\n",
        script="lib/drop_schedule",
    ),
    in_cut(
        "a schedule gives its bytes back after its due entry",
        "after a cut, a tenant has less room for its schedules for ever",
        "  local tenant = tenant_of(session)\n",
        "  local tenant = tenant_of(session)\n  redis.call('ZREM', key.schedules_due, member)\n",
        script="lib/drop_entries",
    ),
    _in_bytes(
        "what schedules ask has no bound",
        "one key fills Redis with its schedules",
        "if room then return { 'full_bytes', room } end\n",
        "",
        script="schedule/add_schedule",
    ),
    _in_bytes(
        "schedules take the room of turns",
        "schedules that wait keep their own ticks from being asked",
        "key.scheduled_bytes .. tenant, #question",
        "key.open_bytes .. tenant, #question",
        script="schedule/add_schedule",
    ),
    _in_bytes(
        "the bytes of an earlier schedule of a name stand for those of the next",
        "a tenant has less room than its schedules leave",
        "drop_bytes(account, { member })\n",
        "",
        script="schedule/add_schedule",
    ),
    _in_bytes(
        "a schedule that is dropped keeps its bytes",
        "a tenant may schedule so many bytes in all",
        "  drop_bytes(key.scheduled_bytes .. tenant, { member })\n",
        "",
        script="lib/drop_entries",
    ),
    _in_bytes(
        "what is left of a schedule keeps its bytes",
        "after a cut, a tenant has less room for its schedules for ever",
        "      drop_entries(member, session or '')\n",
        "      redis.call('ZREM', key.schedules_due, member)\n",
        script="schedule/claim_schedules",
    ),
    Mutant(
        "the audit does not look at the bytes of schedules",
        "what an older version has left takes a tenant's room for ever",
        "turns/store/audit.py",
        "if entries := await store.counted_entries(tenant, _SCAN):",
        "if entries := ():",
        ("tests/integration/workers/test_upkeep.py",),
    ),
    _in_ticks(
        "an hour that comes twice is asked twice",
        "a look from the second hour finds a tick that is past",
        " if tick > after), None)",
        "), None)",
    ),
    _in_ticks(
        "late ticks are asked though none is wanted",
        "a question about this morning is asked in the evening",
        'self.missed == "none" and now - self.tick > _LATE_MS',
        "False",
    ),
    _in_schedule(
        "a tick brings back the limits that a key had",
        "a tenant whose limits are lowered has its old ones a minute later",
        "if not given.key then set_limits(",
        "if true then set_limits(",
        script="lib/over_quota",
    ),
    Mutant(
        "ticks cost no requests",
        "forty requests have questions asked a thousand times a day",
        "producers/gateway/schedules/routes.py",
        """ | {"quotas": caller.scheduled_quotas}""",
        "",
        ("tests/integration/gateway/test_schedules.py",),
    ),
    Mutant(
        "an import believes the rights that a file claims",
        "a stranger's file gives its schedules any weight",
        "producers/archived_schedules.py",
        "**{**schedule, **rights}",
        "**schedule",
        ("tests/integration/producers/test_archive.py",),
    ),
    Mutant(
        "lines of an import are read whole",
        "a file of one endless line takes all memory",
        "producers/archive.py",
        "source.readline(_MOST_LINE_BYTES + 1)",
        "source.readline()",
        ("tests/integration/producers/test_archive.py",),
    ),
)
