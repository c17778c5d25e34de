"""The Lua scripts: each is one transition, put together from its file, the parts it uses, and this deployment's constants."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from turnstile.turns.celery_message import QUEUES, WEBHOOK_QUEUE, dispatch_message, webhook_message
from turnstile.turns.redis.keys import Keys
from turnstile.turns.redis.script_arguments import Arguments
from turnstile.turns.redis.script_text import calls, code, filled, nested
from turnstile.turns.settings import MOST_WAITING, Settings

_ROOT = files("turnstile.turns").joinpath("lua")
# Workers check presence ten times as often: when nobody did for so long, Redis was away.
_SILENCE_MS = 2_000
_REPAIR_MS = 60_000
# Dispatches that stand before one in its queue push its second look back by this much each.
_PACE_MS = 5
# Dispatches that may stand on a queue, as long as no worker has told how many slots there are.
_STANDING = 8
# The time in the rotation that one turn of weight 1 takes.
_PRICE = 10_000
# A worker that was not seen for so long is not at work, whatever its connection seems to be.
_ABSENCE_MS = 20_000
# A tenant of which nothing was dispatched for so long has no part in the slots.
_ACTIVE_MS = 600_000
# So many minutes are noted.
_MINUTES = 120
NOTED = (
    "accepted", "claimed", "completed", "incomplete", "failed", "cancelled", "requeued", "tokens_in", "tokens_out", "cost",
    "ready_ms", "slots",
)  # fmt: skip
"""Counters that are noted each minute."""
_FORGOTTEN_MS = 30 * 86_400_000
MOST_FIELDS = 10_000
"""Values that the steps of one graph may hold: some scripts read them all."""
MOST_COUNTERS = 5_000
"""Names of counters, with their labels: a reader reads them all."""
# So many turns of erased sessions are removed in one go.
_PIECE = 500
# A branch begins with a window of messages, and with so many where a window is smaller.
_BRANCH_MESSAGES = 100
# Questions that are merged with one: a script ends them all with it.
_MOST_MERGED = 50
# A delivery takes less; a webhook that was taken and not heard of for so long is delivered again.
_DELIVERY_MS = 20_000
# A webhook in the line of its key is looked at so much later.
_WEBHOOK_LOOK_MS = 3_600_000
LARGE_BYTES = 1_048_576
"""A turn with more, its history counted in, is large: a worker reads it when it has room for it."""
BATCH_LEASE_MS = 15_000
"""Time for which a gateway keeps a batch; it says that it is there three times as often."""
# A minute's worth of calls takes this long, and so much may come at once: any minute holds no more than a minute's worth.
_BUDGET_MINUTE_MS = 61_856
_BUDGET_BURST_MS = 1_200
# A request that a gateway passes to the model's server has ended so long after the longest time that the server may take.
_REQUEST_PATIENCE_MS = 10_000
# A slot in a model's budget that was not used for so long after its time is none any more.
_BUDGET_LATE_MS = 2_000
# Without a call for so long, turns are not taken any more for such as begin with a call of a model that has a budget.
_KNOWN_MS = 120_000
# The tokens of the latest call are noted for so many tenants of a model.
_MOST_GUESSES = 1_000
# A turn with more bytes of options is not looked at before its worker does.
_MOST_LOOKED_AT = 4_096
# Of a smaller turn the record and the keys weigh more than what it asks, and only their number is bounded.
_SMALL_TURN_BYTES = 1_024
# A reader looks at the lines of so many tenants before a queue.
_TENANTS_SEEN = 2_500
MOST_FILES = 5_000
"""Files that a tenant may have, results of batches among them."""
MOST_UNFINISHED_BATCHES = 100
"""Batches of a tenant that have not ended."""
BATCHES_AT_WORK = 2
"""Batches of a tenant on which gateways work at one time; the others wait, so that no tenant takes all gateways."""

MOST_SESSION_SCHEDULES = 100
"""Schedules of one session: an erase removes them all."""
# One look for schedules that are due passes over so many entries at most.
_SCHEDULES_SEEN = 1_000
# A tick that was refused is tried again after an hour at the latest.
_SCHEDULE_REST_MS = 3_600_000
# A longer question is not shown in a list.
_SHOWN_BYTES = 10_000


@dataclass(frozen=True, slots=True)
class Script:
    """A script ready to run: its name, whole source and SHA1."""

    name: str
    source: str
    sha: str

    @property
    def only_reads(self) -> bool:
        """True for a script that the server lets write nothing."""
        return "no-writes" in self.source.partition("\n")[0]


@cache
def _files(folder: str) -> dict[str, str]:
    """Return the texts of one folder's files, by name."""
    found = (file for file in _ROOT.joinpath(folder).iterdir() if file.name.endswith(".lua"))
    return {file.name.removesuffix(".lua"): file.read_text(encoding="utf-8") for file in found}


FOLDERS = ("turn", "step", "session", "upkeep", "webhook", "limit", "budget", "file", "batch", "schedule")
SOURCES = {name: text for folder in FOLDERS for name, text in sorted(_files(folder).items())}
"""The scripts' own texts, by name."""
PARTS = dict(sorted(_files("lib").items()))
"""The parts that scripts share, by the name of the function that each defines."""
NAMES = tuple(SOURCES)


def uses(name: str) -> list[str]:
    """Return the parts that a script calls, and those that they call, each after what it needs."""
    found: list[str] = []

    def visit(text: str) -> None:
        for part in calls(text, PARTS):
            if part not in found:
                visit(PARTS[part])
                found.append(part)

    visit(SOURCES[name])
    return found


def header(source: str, word: str) -> str:
    """Return the text after a word such as ARGV or RETURN in a script's header, continuation lines joined."""
    lines = source.split("\n\n", 1)[0].splitlines()
    found: list[str] = []
    for line in lines:
        label = re.match(r"-- ([A-Z]+) +(.*)", line)
        if label and label[1] == word:
            found.append(label[2])
        elif found and re.match(r"--  +\S", line):
            found.append(line[2:].strip())
        elif found:
            break
    return " ".join(found)


def families(name: str) -> set[str]:
    """Return the families of keys and channels that a script uses, by the names that scripts give them."""
    texts = [SOURCES[name], *(PARTS[part] for part in uses(name))]
    return {family for text in texts for family in re.findall(r"\bkey\.(\w+)", code(text))}


def answers(name: str) -> set[str]:
    """Return the words with which the replies of a script begin, as its header promises."""
    return {alternative.split()[0].rstrip(",") for alternative in header(SOURCES[name], "RETURN").split("|")}


ARGUMENTS = {name: Arguments(name, header(text, "ARGV")) for name, text in SOURCES.items()}
"""The arguments that each script takes."""


def build(settings: Settings) -> dict[str, Script]:
    """Return all scripts for these settings, by name."""
    keys, rules = key_names(Keys(settings.key_prefix, settings.history_prefix)), _rules(settings)
    values = {f"key.{name}": value for name, value in keys.items()} | {f"rule.{name}": value for name, value in rules.items()}
    return {name: _assemble(name, values) for name in NAMES}


@cache
def digest() -> str:
    """Return a word that is the same wherever the scripts are, whatever the settings."""
    text = "\0".join([*SOURCES.values(), *PARTS.values()])
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:12]


def _assemble(name: str, values: Mapping[str, int | str]) -> Script:
    flags = header(SOURCES[name], "FLAGS")
    text = nested("\n".join([ARGUMENTS[name].preamble(), SOURCES[name]]), {part: PARTS[part] for part in uses(name)})
    source = "\n".join([f"#!lua flags={flags}" if flags else "#!lua", filled(text, values)])
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def key_names(keys: Keys) -> dict[str, str]:
    """Return how the names of each family of keys or channels begin, by the name that scripts give the family."""
    return {
        "conversation": keys.conversation(),
        "session": keys.session(),
        "mailbox": keys.mailbox(),
        "turns": keys.turns(),
        "turn": keys.turn(),
        "events": keys.events(),
        "answered": keys.answered(),
        "owned": keys.owned(),
        "steps": keys.steps(),
        "webhook": keys.webhook(),
        "webhook_line": keys.webhook_line(),
        "webhook_lines": keys.webhook_lines,
        "webhooks_of": keys.webhooks_of(),
        "rate": keys.rate(),
        "budget": keys.budget(),
        "calls": keys.calls(),
        "promised": keys.promised(),
        "coming": keys.coming(),
        "first_call": keys.first_call(),
        "budgets": keys.budgets,
        "looks": keys.looks,
        "file": keys.file(),
        "files": keys.files(),
        "pieces": keys.pieces(),
        "batch": keys.batch(),
        "batches": keys.batches(),
        "results": keys.results(),
        "stored": keys.stored(),
        "unfinished": keys.unfinished(),
        "history": keys.history(),
        "queue": keys.queue(),
        "celery_result": keys.celery_result(),
        "ready": keys.ready(),
        "rotation": keys.rotation(),
        "parked": keys.parked(),
        "outage": keys.outage(),
        "slots": keys.slots(),
        "batch_slots": keys.batch_slots,
        "open_turns": keys.open_turns(),
        "open_bytes": keys.open_bytes(),
        "tenant": keys.tenant(),
        "tenants": keys.tenants,
        "counted": keys.counted(),
        "conversations": keys.conversations(),
        "streams": keys.streams(),
        "due": keys.due,
        "failed": keys.failed,
        "open": keys.open,
        "held": keys.held,
        "stats": keys.stats,
        "minutes": keys.minutes,
        "erased": keys.erased(),
        "erasures": keys.erasures,
        "audit": keys.audit,
        "schema": keys.schema,
        "workers": keys.workers,
        "heard": keys.heard,
        "webhooks": keys.webhooks,
        "undelivered": keys.undelivered,
        "batches_due": keys.batches_due,
        "schedule": keys.schedule(),
        "schedules": keys.schedules(),
        "scheduled_bytes": keys.scheduled_bytes(),
        "schedules_due": keys.schedules_due,
        "orders": keys.orders(),
        "wake": keys.wake(),
        "probe": keys.probe(),
    }


def _rules(settings: Settings) -> dict[str, int | str]:
    return {
        "lease": _ms(settings.lease_seconds),
        "owned_ttl": _ms(settings.lease_seconds) * 100,
        "silence": min(_SILENCE_MS, _ms(settings.lease_seconds)),
        "grace": _ms(settings.dispatch_grace_seconds),
        "pace": _PACE_MS,
        "repair": _REPAIR_MS,
        "standing": _STANDING,
        "price": _PRICE,
        "hold": _ms(settings.hold_seconds),
        "patience": _ms(settings.lease_seconds),
        "longest_retry": _ms(settings.retry_max_seconds),
        "max_attempts": settings.max_attempts,
        "max_waiting": settings.max_waiting,
        "max_waiting_per_tenant": settings.max_waiting_per_tenant or max(1, settings.max_waiting // 2),
        "small_turn": _SMALL_TURN_BYTES,
        "most_unfinished_bytes": settings.max_unfinished_bytes,
        "tenant_share": _ms(settings.tenant_share),
        "chat_reserve": _ms(settings.chat_reserve),
        "active": _ACTIVE_MS,
        "forgotten": _FORGOTTEN_MS,
        "minute": 60_000,
        "minutes": _MINUTES,
        "noted": " ".join(NOTED),
        "day": 86_400_000,
        "max_history": settings.max_history_messages,
        "max_waiting_per_session": settings.max_waiting_per_session,
        "result_ttl": _ms(settings.result_ttl),
        "failed_ttl": _ms(max(settings.failed_ttl, settings.result_ttl)),
        "events_ttl": _ms(settings.events_ttl),
        "history_ttl": _ms(settings.history_ttl or 0),
        "steps_ttl": _ms(settings.steps_ttl),
        "most_waiting": MOST_WAITING,
        "most_merged": _MOST_MERGED,
        "quiet": _ms(settings.merge_seconds),
        "piece": _PIECE,
        "most_fields": MOST_FIELDS,
        "most_counters": MOST_COUNTERS,
        "branch_ttl": _ms(max(settings.failed_ttl, settings.result_ttl)),
        "branch_messages": max(settings.window_messages, _BRANCH_MESSAGES),
        "branch_bytes": settings.window_bytes,
        "large": LARGE_BYTES,
        "delivery": _DELIVERY_MS,
        "webhook_look": _WEBHOOK_LOOK_MS,
        "absence": _ABSENCE_MS,
        "file_ttl": _ms(settings.file_ttl),
        "most_files": MOST_FILES,
        "most_unfinished_batches": MOST_UNFINISHED_BATCHES,
        "batches_at_work": BATCHES_AT_WORK,
        "most_file_bytes": settings.max_file_bytes,
        "most_stored_bytes": settings.max_stored_bytes,
        "batch_lease": BATCH_LEASE_MS,
        "budget_minute": _BUDGET_MINUTE_MS,
        "budget_burst": _BUDGET_BURST_MS,
        "budget_ahead": budget_ahead_ms(settings),
        "budget_late": _BUDGET_LATE_MS,
        "budget_lost": 5 * _BUDGET_LATE_MS,
        "budget_ttl": 60_000,
        "known": _KNOWN_MS,
        "most_guesses": _MOST_GUESSES,
        "most_looked_at": _MOST_LOOKED_AT,
        "calls_ttl": 3_600_000,
        "request": _ms(settings.model_timeout) + _REQUEST_PATIENCE_MS,
        "counted_ttl": 600_000,
        "retry_base": _ms(settings.retry_base_seconds),
        "webhook_age": _ms(settings.webhook_seconds),
        "webhook_ttl": _ms(settings.webhook_seconds + settings.failed_ttl),
        "webhook_queue": WEBHOOK_QUEUE,
        "most_webhooks": settings.max_webhooks,
        "webhook_message": webhook_message(),
        "session_schedules": MOST_SESSION_SCHEDULES,
        "tenants_seen": _TENANTS_SEEN,
        "schedules_seen": _SCHEDULES_SEEN,
        "schedule_rest": _SCHEDULE_REST_MS,
        "shown_bytes": _SHOWN_BYTES,
        "queues": " ".join(QUEUES),
        "show_content": int(settings.show_content),
        "dispatch_message": dispatch_message(show_content=settings.show_content),
    }


def budget_ahead_ms(settings: Settings) -> int:
    """Return how long before its time a slot in a model's budget is given out: the next sweep comes sooner."""
    return min(5_000, max(1_000, 2 * _ms(settings.sweep_seconds)))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
