"""Faults in the worker."""

from tests.mutants.mutant import Mutant

_PARTS = tuple(f"tests/integration/workers/test_{part}.py" for part in ("attempt", "leases", "text_stream", "upkeep"))
_ASYNCIO_TASKS = "tests/unit/turns/test_asyncio_tasks.py"
_MULTIPLEXER = "tests/integration/turns/test_multiplexer.py"
_SUBSCRIPTION = "tests/integration/turns/test_subscription.py"
_UPKEEP = "tests/integration/workers/test_upkeep.py"
_REGISTRY = "tests/unit/turns/test_registry.py"
_HEALTH = ("tests/unit/workers/test_health.py", "tests/unit/workers/test_repeated_errors.py")
_DISAGREEMENT = "tests/integration/turns/test_disagreement.py"


def _worker(name: str, breaks: str, old: str, new: str, *, module: str) -> Mutant:
    return Mutant(name, breaks, f"workers/{module}.py", old, new, _PARTS)


WORKER = (
    _worker(
        "lost lease does not drop the attempt",
        "the model answers a turn that somebody else answers too",
        'if word != "kept":',
        'if word == "cancelled":',
        module="process/renewal",
    ),
    _worker(
        "a loop that hangs keeps its leases",
        "a worker that does nothing any more keeps its sessions standing still",
        "if monotonic() - self._turned > HUNG_SECONDS:",
        "if False:",
        module="process/renewal",
    ),
    _worker(
        "orders are not heard",
        "a cancelled turn goes on until its lease is renewed",
        """                turn.drop(_DROPS.get("".join(order), "cancelled"))\n""",
        "                pass\n",
        module="process/leases",
    ),
    _worker(
        "drop of a turn that has moved on",
        "a late word about an old attempt ends the new one",
        "        if self._held.get(turn.claim.id) is turn:\n            turn.drop(word)",
        "        if turn := self._held.get(turn.claim.id):\n            turn.drop(word)",
        module="process/leases",
    ),
    _worker(
        "commits after drop",
        "a turn that was taken away is finished all the same",
        "            return Report(self._dropped)\n",
        "            return await self._finish(Outcome(State.COMPLETED), [])\n",
        module="attempt/attempt",
    ),
    _worker(
        "drops what is answered",
        "an answer that is paid for is thrown away",
        "        if error is None:\n            _outage.over()\n",
        "        if error is None and not self._dropped:\n            _outage.over()\n",
        module="attempt/attempt",
    ),
    _worker(
        "does not retry finish",
        "an outage of a second loses an answer",
        "            if monotonic() > end or not wanted():\n                raise\n",
        "            raise\n",
        module="attempt/insist",
    ),
    _worker(
        "gives nothing back at shutdown",
        "a restart costs a lease of waiting",
        'if self._dropped != "shutdown":\n            return',
        "if self._dropped:\n            return",
        module="attempt/attempt",
    ),
    _worker(
        "shutdown costs an attempt",
        "restarts make turns fail",
        'return await self._requeue("shutdown", 0, forgive=True)',
        'return await self._requeue("shutdown", 0)',
        module="attempt/attempt",
    ),
    _worker(
        "retries for ever",
        "a turn that always fails never ends",
        "if not failure.retryable or self.claim.attempts_left <= 0:",
        "if not failure.retryable:",
        module="attempt/attempt",
    ),
    _worker(
        "gives up at once",
        "a passing fault of the model fails the turn",
        "if not failure.retryable or self.claim.attempts_left <= 0:",
        "if True:",
        module="attempt/attempt",
    ),
    _worker(
        "an outage of the model costs attempts",
        "turns fail although the model's server would be back before their deadline",
        "return await self._requeue(failure.code, delay, forgive=failure.away)",
        "return await self._requeue(failure.code, delay)",
        module="attempt/attempt",
    ),
    _worker(
        "a broken stream is committed",
        "half an answer is kept as a whole one",
        "return await self._after_failure(_DEADLINE if isinstance(error, _DeadlinePassed) else self._classified(error))\n",
        "return await self._finish(Outcome(State.COMPLETED), [])\n",
        module="attempt/attempt",
    ),
    _worker(
        "stream resends merged text",
        "a piece whose reply was lost is written twice",
        "return self._sent if self._sent[1] else self._take()",
        "return self._sent[0], self._sent[1] + self._take()[1]",
        module="attempt/text_stream",
    ),
    _worker(
        "stream forgets the unsure piece",
        "a piece is missing from the stream",
        "(self._sent[1] or any(",
        "(any(",
        module="attempt/text_stream",
    ),
    _worker(
        "stream writes after a takeover",
        "a lost turn goes on calling Redis",
        "            self.lost = sequence is None\n",
        "",
        module="attempt/text_stream",
    ),
    Mutant(
        "multiplexer forgets what was under way",
        "a cut connection fails every call on it",
        "turns/redis/multiplexer.py",
        "if command.failures > RETRIES:",
        "if command.failures:",
        (_MULTIPLEXER,),
    ),
    Mutant(
        "multiplexer gives replies to the wrong callers",
        "one turn's answer is taken for another's",
        "turns/redis/multiplexer.py",
        "command = self._sent.popleft()",
        "command = self._sent.pop()",
        (_MULTIPLEXER,),
    ),
    Mutant(
        "a cancellation is lost where an error came first",
        "closing hangs when the connection breaks at that moment",
        "turns/asyncio_tasks.py",
        "    finally:\n        await end_all(tasks)\n",
        "    finally:\n        try:\n            await end_all(tasks)\n"
        "        except asyncio.CancelledError:\n            await end_all(tasks)\n",
        (_ASYNCIO_TASKS,),
    ),
    Mutant(
        "cancels once for all",
        "whoever waits for a call that swallowed its cancellation waits for ever",
        "turns/asyncio_tasks.py",
        "timeout=_AGAIN_SECONDS",
        "timeout=None",
        (_ASYNCIO_TASKS,),
    ),
    Mutant(
        "a subscription is never asked",
        "a worker hears no orders any more, and a reader no news",
        "turns/redis/subscription.py",
        "            watch_for_silence(self._ask, lambda: self._heard),\n",
        "",
        (_SUBSCRIPTION,),
    ),
    Mutant(
        "a subscription stays behind",
        "after a failover orders are awaited where nobody gives any",
        "turns/redis/subscription.py",
        "        line.reconnected.add(self._stale.set)\n",
        "",
        (_SUBSCRIPTION,),
    ),
    Mutant(
        "a refusal ends a service",
        "a right that is taken away for a moment ends presence check, sweep or audit",
        "workers/process/service.py",
        "            except (QueueUnreachable, redis.RedisError, OSError) as error:\n",
        "            except QueueUnreachable as error:\n",
        (_UPKEEP,),
    ),
    Mutant(
        "multiplexer never leaves a silent connection",
        "a half-open connection stops a worker for good",
        "turns/redis/silence.py",
        "silent = silent + 1 if expecting()",
        "silent = silent + 1 if not expecting()",
        (_MULTIPLEXER,),
    ),
    Mutant(
        "the history's time to live is not compared",
        "one process deletes the histories that others keep",
        "turns/store/registry.py",
        '"history_prefix", "history_ttl", "result_ttl"',
        '"history_prefix", "result_ttl"',
        (_REGISTRY,),
    ),
    Mutant(
        "the fingerprint leaves the prefix out",
        "two workers keep one session's history in two places",
        "turns/store/registry.py",
        "for name in MUST_AGREE])",
        "for name in MUST_AGREE[1:]])",
        (_REGISTRY, "tests/scripts/test_register_worker.py"),
    ),
    Mutant(
        "a refused worker goes on",
        "it claims turns and commits them where nobody looks",
        "workers/process/heartbeat.py",
        "            if self.refusal:\n                return await self._retire(give_back, beat)\n",
        "",
        (_DISAGREEMENT,),
    ),
    Mutant(
        "the gateway does not look again",
        "one that was there before the workers splits what they keep",
        "producers/gateway/dependencies.py",
        "    await backend.agree()\n",
        "",
        (_DISAGREEMENT,),
    ),
    Mutant(
        "large turns come whole",
        "a worker has all windows of a burst in memory before it can refuse one",
        "turns/lua/lib/with_window.lua",
        "if size <= rule.large and not noted then",
        "if true then",
        ("tests/scripts/test_claim.py",),
    ),
    Mutant(
        "a tenant's large turns take all the room",
        "another tenant's large turn waits for them",
        "workers/process/room.py",
        "self._share = self._most * settings.tenant_share",
        "self._share = self._most",
        ("tests/unit/workers/test_room.py",),
    ),
    Mutant(
        "a greedy key goes first",
        "thousands of small requests of one key keep all others waiting",
        "producers/gateway/edge/rotation.py",
        "if key in self._served or key in self._waiting:",
        "if False:",
        ("tests/unit/gateway/test_rotation.py", "tests/unit/gateway/test_edge.py"),
    ),
    Mutant(
        "requests without a client are begun",
        "each becomes a turn that nobody reads",
        "producers/gateway/edge/middleware.py",
        "if not is_gone(scope):",
        "if True:",
        ("tests/unit/gateway/test_edge.py",),
    ),
    _worker(
        "sweep stops after one batch",
        "a crash with many turns recovers a batch a second",
        "while seen >= _LIMIT:",
        "if seen >= _LIMIT:",
        module="upkeep/sweep",
    ),
    Mutant(
        "a worker with a hung part is healthy",
        "no probe ever restarts it",
        "workers/process/health.py",
        "self._ready.is_set() and not stale",
        "self._ready.is_set()",
        _HEALTH,
    ),
    Mutant(
        "an outage is logged at each try",
        "the log is flooded",
        "workers/celery_patches/repeated_errors.py",
        "if self._recent.add(words):",
        "if words:",
        _HEALTH,
    ),
)
