"""Users of the server, one for each role, and the rights that each role needs: any of them can be taken away."""

from enum import StrEnum
from pathlib import Path

from tests.chaos.proxy import HOST

_PASSWORD = "storm"  # of servers that live for one run, on loopback


class Role(StrEnum):
    """Users of the server."""

    WORKER = "worker"
    PRODUCER = "producer"
    GATEWAY = "gateway"
    FLOWER = "flower"
    PLAIN = "plain"


_COMMANDS = {
    Role.WORKER: "eval evalsha script|exists script|load multi exec time blmove brpop del exists hdel hget hincrby hkeys hmget "
    "hset hsetnx llen lpop lpos lpush lrange lrem pexpire rpush psubscribe punsubscribe publish pubsub|numsub sadd scan set "
    "smembers srem subscribe unlink unsubscribe xadd zadd zcard zrange zrangebyscore zrem zremrangebyscore zscore",
    Role.PRODUCER: "eval evalsha time del exists set hdel hget hgetall hincrby hmget hset llen lpop lpos lpush lrange lrem "
    "persist pexpire rpush publish subscribe unsubscribe xadd xrange xread zadd zcard zrange zrem zremrangebyscore zscore",
    Role.GATEWAY: "eval evalsha time exists hdel hget hgetall hincrby hmget hset lindex llen lpos lpush lrange pexpire rpush "
    "publish subscribe unsubscribe xadd xrange zadd zrange zrem zremrangebyscore",
    Role.FLOWER: "multi exec brpop llen psubscribe punsubscribe publish sadd smembers srem zadd zrem",
    Role.PLAIN: "multi exec lpush sadd",
}
_QUEUES = "celery celery??? chat chat??? batch batch??? webhooks webhooks???"
_KEYS = {
    Role.WORKER: f"turnstile:* message_store:* celery-task-meta-* {_QUEUES} *.celery.pidbox* _kombu.binding*",
    Role.PRODUCER: "turnstile:* message_store:* celery-task-meta-* chat batch webhooks",
    Role.GATEWAY: "turnstile:* message_store:* celery-task-meta-* chat batch webhooks",
    Role.FLOWER: f"{_QUEUES} celeryev* _kombu.binding* *.celery.pidbox*",
    Role.PLAIN: "celery celery??? _kombu.*",
}
_CHANNELS = {
    Role.WORKER: "turnstile:orders:* turnstile:wake:* celery-task-meta-* /0.celeryev/* /0.celery.pidbox",
    Role.PRODUCER: "turnstile:wake:* turnstile:orders:* celery-task-meta-*",
    Role.GATEWAY: "turnstile:wake:* turnstile:orders:* celery-task-meta-*",
    Role.FLOWER: "/0.celeryev/* /0.celery.pidbox",
    Role.PLAIN: "celery-task-meta-*",
}
WHOLE = ("+@all", "allkeys", "allchannels")


def url(role: Role, port: int) -> str:
    """Return the server's URL for a process of this role."""
    return f"redis://{role}:{_PASSWORD}@{HOST}:{port}/0"


def write_users(path: Path) -> Path:
    """Return the server's file of users: each role's, with all rights."""
    lines = ["user default on nopass ~* &* +@all", *(f"user {role} on >{_PASSWORD} ~* &* +@all" for role in Role)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def losses(role: Role) -> list[tuple[str, ...]]:
    """Every way in which the role can lose one of its rights, as rules of ACL SETUSER; WHOLE gives it back."""
    keys, channels = _KEYS[role].split(), _CHANNELS[role].split()
    commands = [(f"-{command}",) for command in _COMMANDS[role].split()]
    families = [("resetkeys", *(f"~{key}" for key in keys if key != lost)) for lost in keys]
    heard = [("resetchannels", *(f"&{channel}" for channel in channels if channel != lost)) for lost in channels]
    return commands + families + heard
