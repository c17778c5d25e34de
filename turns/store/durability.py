"""Faults of a server's settings by which accepted turns can be lost."""

from collections.abc import Mapping

EVICTS = "A full server would drop turns and histories: `CONFIG SET maxmemory-policy noeviction`; put it into redis.conf, too."
NO_LOG = "Writes since the last snapshot are lost if Redis stops: `CONFIG SET appendonly yes`; put it into redis.conf, too."


def faults(facts: Mapping[str, str]) -> list[str]:
    """Return what is wrong, one line each, by what the server's INFO says; nothing of what it leaves out."""
    found = []
    if (policy := facts.get("maxmemory_policy", "noeviction")) != "noeviction":
        found.append(f"maxmemory-policy is {policy}. {EVICTS}")
    if facts.get("aof_enabled", "1") != "1":
        found.append(f"Redis has no append-only file. {NO_LOG}")
    return found
