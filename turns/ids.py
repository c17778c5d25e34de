"""Ids of turns and sessions: which ones are well formed."""

import re

from turnstile.turns.errors import InvalidTurn

_PART = r"[A-Za-z0-9._@+~=:-]{1,200}"
_TENANT = re.compile(_PART)
_SESSION = re.compile(rf"(?:{_PART}/)?{_PART}")
_TURN = re.compile(r"[A-Za-z0-9_-]{1,100}")


def check_session(session: str) -> str:
    """Return the session id, or raise InvalidTurn when its form is wrong."""
    if not isinstance(session, str) or not is_session(session):
        raise InvalidTurn(
            "A session id is 1 to 200 of the characters A-Z a-z 0-9 . _ @ + ~ = : - , with `tenant/` before it at most.",
            param="session",
        )
    return session


def is_session(session: str) -> bool:
    """Return True for the form of a session's id."""
    return bool(_SESSION.fullmatch(session))


def check_tenant(tenant: str) -> str:
    """Return the tenant's name, or raise InvalidTurn when its form is wrong."""
    if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
        raise InvalidTurn("A tenant's name is 1 to 200 of the characters A-Z a-z 0-9 . _ @ + ~ = : - .", param="tenant")
    return tenant


def tenant_of(session: str) -> str:
    """Return the tenant of a session; empty for the one that has no name."""
    return session.rpartition("/")[0]


def shown(id: str) -> str:
    """Return as much of an id as an error repeats, whatever a caller gave for one."""
    return id[:200]


def is_turn(turn: str) -> bool:
    """Return True for the form of a turn's id, which can stand in a log."""
    return bool(_TURN.fullmatch(turn))


def check_turn(turn: str) -> str:
    """Return the turn id, or raise InvalidTurn when its form is wrong."""
    if not isinstance(turn, str) or not _TURN.fullmatch(turn):
        raise InvalidTurn("A turn id is 1 to 100 of the characters A-Z a-z 0-9 _ - .", param="id")
    return turn
