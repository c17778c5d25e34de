"""Checks of the server's memory, its files, and its replicas."""

import re
from collections.abc import Mapping

from turnstile.producers.cli.doctor.check import Check, Verdict
from turnstile.turns.store.durability import EVICTS, NO_LOG

_MEMORY_WARNS, _MEMORY_FAILS = 0.8, 0.95
_MOST_OF_MACHINE = 0.9
_NODE_BYTES, _MOST_NODE_BYTES = "stream-node-max-bytes", 1_024
_REPLICA = re.compile(r"slave\d+")
_LAG_SECONDS = 10

Facts = Mapping[str, str]


def check_eviction(facts: Facts) -> Check:
    """Check that a full server refuses new turns instead of dropping accepted ones."""
    policy = facts.get("maxmemory_policy", "unknown")
    if policy != "noeviction":
        return Check("eviction", Verdict.FAIL, f"maxmemory-policy is {policy}", EVICTS)
    return Check("eviction", Verdict.OK, "noeviction")


def check_memory(facts: Facts) -> Check:
    """Check that the server has a limit, and free memory below it."""
    used, limit, machine = (int(facts.get(name, 0)) for name in ("used_memory", "maxmemory", "total_system_memory"))
    whole = limit or machine
    detail = f"{used / 2**20:,.0f} of {whole / 2**20:,.0f} MiB used" + ("" if limit else ", no maxmemory set")
    if whole and used > whole * _MEMORY_WARNS:
        verdict = Verdict.FAIL if used > whole * _MEMORY_FAILS else Verdict.WARN
        room = "raise maxmemory, or shorten TURNSTILE_RESULT_TTL and _HISTORY_TTL."
        if is_full(facts):
            return Check(
                "memory", verdict, detail, f"It is full: new turns are refused, and accepted ones finish. To take more, {room}"
            )
        return Check("memory", verdict, detail, f"New turns are refused when it is full: {room}")
    if limit and not (machine and limit > machine * _MOST_OF_MACHINE):
        return Check("memory", Verdict.OK, detail)
    reason = "A rewrite of the log takes more" if limit else "Without a limit the system may kill the server"
    advice = f"{reason}: `CONFIG SET maxmemory {machine // 2 or '1gb'}`, half of the machine's; put it into redis.conf, too."
    return Check("memory", Verdict.WARN, detail, advice)


def is_full(facts: Facts) -> bool:
    """Return whether the server refuses what takes more memory."""
    return 0 < int(facts.get("maxmemory", 0)) <= int(facts.get("used_memory", 0))


def check_durability(facts: Facts) -> Check:
    """Check that the data survives a restart of the server, and tell how much of it would be lost."""
    if facts.get("rdb_last_bgsave_status", "ok") != "ok":
        advice = "Redis may refuse writes until one succeeds: see its log and its disk, then `BGSAVE`."
        return Check("durability", Verdict.FAIL, "the last snapshot failed", advice)
    if facts.get("aof_enabled") != "1":
        return Check("durability", Verdict.WARN, f"no append-only file; {_unsaved(facts)}", NO_LOG)
    if facts.get("aof_last_write_status", "ok") != "ok":
        advice = "Redis refuses writes until it can: free its disk, see its log."
        return Check("durability", Verdict.FAIL, "the append-only file cannot be written", advice)
    if facts.get("aof_last_bgrewrite_status", "ok") != "ok":
        advice = "The file grows until one succeeds: see the server's log and its disk, then `BGREWRITEAOF`."
        return Check("durability", Verdict.WARN, "the last rewrite of the append-only file failed", advice)
    late = int(facts.get("aof_delayed_fsync", 0))
    return Check("durability", Verdict.OK, "append-only file" + (f"; the disk was too slow {late:,} times" if late else ""))


def _unsaved(facts: Facts) -> str:
    """Return the age of the last snapshot (the server's start counts as one), and what came after it."""
    now, saved = int(facts.get("server_time_usec", 0)) // 1_000_000, int(facts.get("rdb_last_save_time", 0))
    return f"{int(facts.get('rdb_changes_since_last_save', 0)):,} changes in {max(0, now - saved):,} s are on no disk"


def check_sync(policy: str) -> Check:
    """Check that the append-only file reaches the disk each second at least."""
    if policy == "no":
        advice = "A power cut may lose half a minute: `CONFIG SET appendfsync everysec`; put it into redis.conf, too."
        return Check("sync", Verdict.WARN, "the append-only file reaches the disk when the system likes", advice)
    return Check("sync", Verdict.OK, f"appendfsync is {policy}")


def check_streams(node_bytes: str) -> Check:
    """Check that the streams of finished turns take no more memory than they need."""
    size = int(node_bytes)
    if size == 0 or size > _MOST_NODE_BYTES:
        advice = (
            f"A finished streamed turn takes 4.5 KB instead of 7.0 with `CONFIG SET {_NODE_BYTES} 512`; put it into redis.conf."
        )
        return Check("streams", Verdict.WARN, f"{_NODE_BYTES} is {size:,}", advice)
    return Check("streams", Verdict.OK, f"{_NODE_BYTES} is {size:,}")


def check_replicas(facts: Facts) -> Check:
    """Check that replicas follow closely, and that a primary that is cut off from them takes no turns."""
    told = [text for name, text in facts.items() if _REPLICA.fullmatch(name)]
    replicas = [dict(part.split("=", 1) for part in text.split(",")) for text in told]
    if behind := [one for one in replicas if _is_behind(one)]:
        one = behind[0]
        detail = f"{one['ip']}:{one['port']} is {one['state']}, heard of {one['lag']} s ago"
        advice = "A failover to it would lose the turns since: check its log, its load and the network between them."
        return Check("replicas", Verdict.WARN, detail, advice)
    if len(replicas) > 1 and "min_slaves_good_slaves" not in facts:
        advice = "A primary that is cut off takes turns which a failover drops: `CONFIG SET min-replicas-to-write 1`."
        return Check("replicas", Verdict.WARN, f"{len(replicas)} follow, and min-replicas-to-write is 0", advice)
    return Check("replicas", Verdict.OK, f"{len(replicas)} follow" if replicas else "none")


def _is_behind(replica: Mapping[str, str]) -> bool:
    return replica["state"] != "online" or int(replica["lag"]) > _LAG_SECONDS
