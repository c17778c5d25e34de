"""Errors of Redis, as Turnstile tells them."""

import re
import ssl
from collections.abc import Iterator

import redis
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)

from turnstile.turns.errors import (
    UNREADABLE,
    BrokenRecord,
    LoginRefused,
    MissingRight,
    QueueMemoryFull,
    QueueUnreachable,
    SettingError,
)
from turnstile.turns.redis.address import Address

# What Redis answers when it refuses writes for a while, as redis-py passes it on.
_UNWRITABLE = {
    "NOREPLICAS": "too few replicas follow it (min-replicas-to-write)",
    "MISCONF Errors writing to the AOF": "it cannot write its append-only file; free its disk, see its log",
    "MISCONF": "its last snapshot failed; free its disk, see its log",
    "READONLY": "it is a replica, after a failover perhaps",
}
_BUSY = "BUSY "
_NO_DATABASE = "DB index is out of range"
_TOO_MANY = "max number of clients"
_LOGIN = (AuthenticationError, AuthorizationError)
_LACKING = ("ACL failure in script", "The user executing the script can't")
"""Words for a right that a script lacks; the second are those of Redis 7.0."""

_COMMAND = re.compile(r"run the '([^']+)' command")
_ON_HISTORIES = ("LRANGE", "LLEN", "LREM", "read_messages")
_WRONG_TYPE = (
    "A key of Turnstile's holds another type: something else writes to this Redis. Erase the session, or move that key."
)


def is_outage(error: Exception) -> bool:
    """Return False if the next try would end in the same way: Redis refuses the login or another connection, or its
    certificate is not trusted.
    """
    refused = isinstance(error, (*_LOGIN, ResponseError)) or _takes_no_more(error)
    return not refused and not any(isinstance(reason, ssl.SSLCertVerificationError) for reason in _reasons(error))


def is_busy(error: Exception) -> bool:
    """Return True if Redis does nothing now but run a script that takes long."""
    return str(error).startswith(_BUSY)


def refuses_writes(error: BaseException | None) -> bool:
    """Return True if Redis answers, and takes no writes: to a PING as well, while it cannot write its own files."""
    return isinstance(error, ReadOnlyError) or str(error).startswith(tuple(_UNWRITABLE))


def _takes_no_more(error: Exception) -> bool:
    return any(_TOO_MANY in str(reason) for reason in _reasons(error))


def _reasons(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def translate(error: redis.RedisError, where: Address, name: str) -> Exception:
    """Return the error of Turnstile's own that stands for one of redis-py's; what Redis refuses otherwise stays as it is."""
    if isinstance(error, (redis.ConnectionError, redis.TimeoutError)):
        return _unreachable(error, where)
    if isinstance(error, OutOfMemoryError):
        return QueueMemoryFull("Redis is over its maxmemory and takes no new turns; running turns still finish. Try later.")
    if isinstance(error, NoPermissionError) or any(words in str(error) for words in _LACKING):
        command = _COMMAND.search(str(error))
        right = f"+{command[1]}" if command else "a command, or a family of keys or channels (`turnstile doctor` names it)"
        return MissingRight(f"The Redis user at {where} lacks {right}: grant it with ACL SETUSER.")
    if is_busy(error):
        return QueueUnreachable(f"Redis at {where} is busy with a script that takes long; try again in a moment.")
    if refuses_writes(error):
        cause = next((cause for words, cause in _UNWRITABLE.items() if str(error).startswith(words)), _UNWRITABLE["READONLY"])
        return QueueUnreachable(f"Redis at {where} takes no writes now: {cause}.")
    if str(error).startswith("WRONGTYPE"):
        return BrokenRecord(UNREADABLE if name in _ON_HISTORIES else _WRONG_TYPE)
    if _NO_DATABASE in str(error):
        return SettingError(f"REDIS_URL is not valid: Redis at {where} has no database {where.db}; the default is 0 to 15.")
    return error if isinstance(error, ResponseError) else QueueUnreachable(f"Redis at {where}: {type(error).__name__}.")


def _unreachable(error: redis.RedisError, where: Address) -> QueueUnreachable:
    if isinstance(error, BusyLoadingError):
        return QueueUnreachable(f"Redis at {where} is still loading its data; try again in a moment.")
    if isinstance(error, _LOGIN):
        return LoginRefused(f"Redis at {where} refuses the login: check the user and password in REDIS_URL.")
    if _takes_no_more(error):
        return QueueUnreachable(
            f"Redis at {where} takes no more connections: raise its maxclients, or end programs that hold many (CLIENT LIST)."
        )
    reasons = list(_reasons(error))
    if any(isinstance(reason, ssl.SSLCertVerificationError) for reason in reasons):
        return QueueUnreachable(
            f"The certificate of Redis at {where} is not trusted: check the host, and ssl_ca_certs in REDIS_URL."
        )
    if any(isinstance(reason, ssl.SSLError) for reason in reasons):
        return QueueUnreachable(f"TLS with Redis at {where} fails: check the scheme and the ssl_ parameters of REDIS_URL.")
    return QueueUnreachable(f"Redis at {where} does not answer. Is it running? Set REDIS_URL, or run `turnstile up`.")
