"""Users of Redis: one for each role, with the rights that the role needs and no others, as lines of an ACL file.

What scripts call is read off their sources; the tables here hold what Turnstile, Celery and Flower ask beside them.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from turnstile.turns.celery_message import QUEUES, WEBHOOK_QUEUE
from turnstile.turns.errors import SettingError
from turnstile.turns.redis.address import parse
from turnstile.turns.redis.keys import Keys
from turnstile.turns.redis.scripts import build
from turnstile.turns.settings import Settings
from turnstile.turns.store.rights import ROLES, commands_of, patterns_of

_ADMIN = ("user default reset", "user admin reset on {password} ~* &* +@all")
_SCRIPTS = {
    **ROLES,
    "gateway": (*ROLES["gateway"], "measure", "overview", "tenants", "retry"),
    "operator": (*ROLES["operator"], *ROLES["producer"]),
    "flower": ("stats",),
    "celery": (),
}
_CALLS = "hello ping select"
_SCRIPTED = "eval evalsha"
_HEARS = "subscribe unsubscribe"
_FENCE = "client|info client|kill"
"""See turnstile.turns.redis.fence."""
_KOMBU = "multi exec evalsha script|exists script|load time sadd zadd zrangebyscore zrem"
# kombu's queues of other priorities end in a separator and a digit; `celery*` would match results, too.
_PRIORITIES = ("", "???")
_LINE = re.compile(r"user (\S+) .*?(#[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class _Beside:
    """Rights beside those of scripts; keys and channels are families of `_families`."""

    commands: str
    keys: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    """Families of keys that are read and not written."""


_BESIDE = {
    "producer": _Beside(f"{_SCRIPTED} {_FENCE} {_HEARS} hgetall hmget time xread zcard zrevrange"),
    "worker": _Beside(
        f"{_SCRIPTED} {_FENCE} {_HEARS} {_KOMBU} blmove brpop info psubscribe punsubscribe scan smembers",
        ("queues", "intake", "events", "pidbox", "bindings"),
        ("events", "pidbox"),
    ),
    "gateway": _Beside(f"{_SCRIPTED} {_FENCE} {_HEARS} info time zcard zrevrange", ("once",)),
    "flower": _Beside(
        f"{_SCRIPTED} {_FENCE} {_KOMBU} brpop del llen psubscribe punsubscribe smembers srem",
        ("events", "bindings"),
        ("events",),
        ("queues", "intake"),
    ),
    "operator": _Beside(
        f"{_SCRIPTED} {_FENCE} {_HEARS} {_KOMBU} acl|whoami brpop client|list dbsize info latency|latest memory|usage "
        "psubscribe pttl punsubscribe scan slowlog|get smembers srandmember time ttl xread zcard zrevrange",
        ("queues", "intake", "events", "pidbox", "bindings", "schema"),
        ("events", "pidbox"),
    ),
    "celery": _Beside(f"{_HEARS} {_KOMBU} del get llen lpush srem", ("intake", "results", "bindings"), ("results",)),
}
USERS = ("admin", *_BESIDE)


def new_password() -> str:
    """Return a password."""
    return secrets.token_urlsafe(24)


def digest(password: str) -> str:
    """Return a password as an ACL file has it."""
    return f"#{hashlib.sha256(password.encode()).hexdigest()}"


def kept(text: str) -> dict[str, str]:
    """Return user → password's digest of an ACL file that was made here.

    Raises:
        SettingError: a user has none.
    """
    found = {match[1]: match[2] for match in map(_LINE.match, text.splitlines()) if match}
    if missing := [user for user in USERS if user not in found]:
        raise SettingError(f"--keep: the file has no password of {', '.join(missing)}; make a new file without --keep.")
    return found


def text(settings: Settings, digests: Mapping[str, str]) -> str:
    """Return the ACL file, which may hold no comments; `digests` are those of all USERS."""
    lines = [line.format(password=digests["admin"]) for line in _ADMIN]
    lines += [f"user {user} reset on {digests[user]} {rights(user, settings)}" for user in _BESIDE]
    return "\n".join([*lines, ""])


def rights(user: str, settings: Settings) -> str:
    """Return a user's rights, as ACL SETUSER takes them."""
    keys, scripts, beside = Keys(settings.key_prefix, settings.history_prefix), build(settings), _BESIDE[user]
    used = [scripts[name] for name in _SCRIPTS[user]]
    families = _families(settings, keys)
    patterns = patterns_of(used, keys)
    if beside.reads:  # such a user's scripts write nothing, and do without sessions, which hold the arguments of open calls
        patterns = [pattern.replace("~", "%R~") for pattern in patterns if pattern != f"~{keys.session('*')}"]
    for mark, names in (("~", beside.keys), ("%R~", beside.reads), ("&", beside.channels)):
        patterns += [f"{mark}{one}" for name in names for one in families[name + mark.strip("%R~")]]
    allowed = {*beside.commands.split(), *_CALLS.split(), *(name.lower() for name in commands_of(used))}
    # PUBSUB's other parts tell every channel's name.
    allowed = {"pubsub|numsub" if name == "pubsub" else name for name in allowed}
    return " ".join([*dict.fromkeys(patterns), "-@all", *(f"+{name}" for name in sorted(allowed))])


def _families(settings: Settings, keys: Keys) -> dict[str, list[str]]:
    """Return the families of keys, and of channels (&), that are Celery's, and those that no script names."""
    before = keys.queue()
    channel = f"{before}/{parse(settings.redis_url or 'redis://localhost/0').db}."
    return {
        "queues": [f"{before}{name}{more}" for name in (*QUEUES, WEBHOOK_QUEUE) for more in _PRIORITIES],
        "intake": [f"{before}{settings.intake_queue}{more}" for more in _PRIORITIES],
        "bindings": [f"{before}_kombu.binding*"],
        "events": [f"{before}celeryev*"],
        # The right to a pattern is the pattern itself: Flower listens to the first, workers to each other by the second.
        "events&": [f"{channel}celeryev/*", f"{channel}celeryev/worker.*"],
        "pidbox": [f"{before}*.celery.pidbox*"],
        "pidbox&": [f"{channel}celery.pidbox"],
        "results": [keys.celery_result("*")],
        "results&": [keys.celery_result("*")],
        "once": [keys.once("*")],
        "schema": [keys.schema],
    }
