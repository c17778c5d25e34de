"""The rights that each role needs of its Redis user: read off the scripts that it runs, so that no list can fall behind."""

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial

from turnstile.turns.celery_message import QUEUES, WEBHOOK_QUEUE
from turnstile.turns.redis.keys import Keys
from turnstile.turns.redis.scripts import Script, families, key_names
from turnstile.turns.store.runner import Call, Runner, operation, script_call
from turnstile.turns.text import as_text, dumps

ROLES: dict[str, tuple[str, ...]] = {
    "worker": (
        "submit", "submit_held", "claim", "merge", "renew", "emit", "finish", "requeue", "end_outage", "reserve_call",
        "settle_call", "spend_attempt", "cancel", "refuse", "sweep", "sweep_erased", "reap", "begin_audit", "audit", "status",
        "stats", "claim_webhook", "record_delivery", "retry_webhooks", "check_schema", "register_worker", "note_minute",
        "workers", "check_owner", "put_checkpoint", "put_writes", "read_checkpoint", "list_checkpoints", "drop_steps",
        "claim_schedules", "ask_scheduled", "look_at_schedules", "audit_schedule", "read_messages", "read_summary",
        "write_summary", "rights",
    ),
    "gateway": (
        "submit", "submit_held", "follow", "cancel", "status", "stats", "write_conversation", "read_conversation",
        "read_messages", "erase", "release_session", "read_hold", "delete_turn", "count_request", "spend_tokens",
        "reserve_call", "settle_call", "create_file", "append_piece", "delete_file", "read_results", "recorded_lines",
        "create_batch", "claim_batch", "renew_batch", "start_batch", "record_result", "end_batch", "cancel_batch",
        "check_schema", "workers", "open_stream", "retry", "add_schedule", "remove_schedule", "list_schedules",
        "read_summary", "rights",
    ),
    "producer": (
        "submit", "submit_held", "cancel", "status", "stats", "write_conversation", "read_conversation", "retry", "erase",
        "release_session", "read_hold", "unfinished", "resend_webhook", "workers", "add_schedule", "remove_schedule",
        "list_schedules", "read_summary", "write_summary", "rights",
    ),
    "operator": (
        "measure", "overview", "tenants", "workers", "stats", "status", "unfinished", "cancel", "retry", "resend_webhook",
        "release_session", "erase", "erase_tenant", "sweep_erased", "read_messages", "audit", "audit_schedule",
        "look_at_schedules", "remove_schedule", "list_schedules", "read_summary", "rights",
    ),
}  # fmt: skip
"""Role → the scripts that it runs."""

_COMMAND = re.compile(r"redis\.p?call\('([A-Z]+)'")
_CHANNELS = ("orders", "wake")
_BOTH = "celery_result"
"""A family of keys, and of channels."""


@cache
def commands(role: str, scripts: tuple[Script, ...]) -> tuple[str, ...]:
    """Return the commands that a role's scripts call, sorted."""
    return commands_of(_of(role, scripts))


def commands_of(scripts: Iterable[Script]) -> tuple[str, ...]:
    """Return the commands that scripts call, sorted."""
    return tuple(sorted({name for script in scripts for name in _COMMAND.findall(script.source)}))


def patterns_of(scripts: Iterable[Script], keys: Keys) -> list[str]:
    """Return the patterns of the keys and channels that scripts use, as ACL SETUSER takes them."""
    found = _patterns(_families(scripts), keys, "").values()
    return [f"{kind}{said}" for kind in "~&" for said, kinds in found if kind in kinds]


def _of(role: str, scripts: Sequence[Script]) -> list[Script]:
    return [script for script in scripts if script.name in ROLES[role]]


def ask(role: str, scripts: Mapping[str, Script], keys: Keys) -> tuple[str, dict[str, str]]:
    """Return the argument of `rights` for a role, and the texts for its replies: a pattern in place of each example."""
    name = f"rights-{secrets.token_hex(8)}"
    patterns = _patterns(_families(_of(role, list(scripts.values()))), keys, name)
    channels = {made: said for made, (said, kind) in patterns.items() if "&" in kind}
    stored = {made: said for made, (said, kind) in patterns.items() if "~" in kind}
    asked = {
        "name": name,
        "commands": commands(role, tuple(scripts.values())),
        "keys": sorted(stored),
        "channels": sorted(channels),
    }
    said = {f"~{made}": f"~{pattern}" for made, pattern in stored.items()}
    return dumps(asked), said | {f"&{made}": f"&{pattern}" for made, pattern in channels.items()}


def _families(scripts: Iterable[Script]) -> set[str]:
    return {family for script in scripts for family in families(script.name)}


def _patterns(used: set[str], keys: Keys, name: str) -> dict[str, tuple[str, str]]:
    """Example → its pattern, and whether it is a key (~), a channel (&) or both."""
    found: dict[str, tuple[str, str]] = {}
    for family, start in key_names(keys).items():
        kind = "&" if family in _CHANNELS else "~&" if family == _BOTH else "~"
        if family not in used:
            continue
        if family == "queue":
            found |= {keys.queue(queue): (keys.queue(queue), kind) for queue in (*QUEUES, WEBHOOK_QUEUE)}
        elif isinstance(vars(Keys)[family], property):
            found[start] = (start, kind)
        else:
            found[start + name] = (f"{start}*", kind)
    return found


def read(said: Mapping[str, str], reply: Sequence[bytes]) -> list[str]:
    """Return the rights that are missing, as ACL SETUSER takes them."""
    return [said.get(right, right) for right in map(as_text, reply)]


class Rights(Runner):
    """The operation that tries the rights of our Redis user."""

    @operation
    def lacking(self, role: str) -> Call[list[str]]:
        """Return the rights that our Redis user lacks for a role, as ACL SETUSER takes them."""
        asked, said = ask(role, self.scripts, self.keys)
        return script_call("rights", partial(read, said), asked=asked)

    @operation
    def try_fence(self) -> Call[None]:
        """Try what a new connection asks before all else, on a connection that is nobody's.

        Raises MissingRight, and redis.ResponseError where there are no such commands.
        """
        closing = Call("CLIENT", ("KILL", "ID", "1", "ADDR", "0:0"), lambda _: None)
        return Call("CLIENT", ("INFO",), lambda _: None, then=closing)
