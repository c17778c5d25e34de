"""Faults in what plain Celery apps meet: the intake, the queues of the scripts, revokes, and chains that raise."""

from tests.mutants.mutant import Mutant

_INTAKE = "tests/integration/workers/test_intake.py"
_FULL = "tests/integration/turns/test_full_memory.py"
_OWN = "tests/integration/workers/test_own_queues.py"
_REVOKE = "tests/integration/workers/test_revoke.py"
_CHAINS = "tests/integration/workers/test_chain_faults.py"


def _fault(name: str, breaks: str, old: str, new: str, *, module: str, test: str) -> Mutant:
    return Mutant(name, breaks, f"workers/{module}.py", old, new, (test,))


def _intake(name: str, breaks: str, old: str, new: str, *, module: str = "upkeep/intake") -> Mutant:
    return _fault(name, breaks, old, new, module=module, test=_INTAKE)


CELERY = (
    _fault(
        "the last fetch is left unread",
        "a turn that comes while a worker ends waits until a sweep sends it anew",
        "    if channel._in_poll:\n        with",
        "    if not channel._in_poll:\n        with",
        module="celery_patches/broker",
        test="tests/integration/workers/test_stopping.py",
    ),
    _fault(
        "Celery's pipelines are transactions",
        "no worker that starts takes turns while Redis 7.0 is over its maxmemory",
        "def pipeline(self, transaction: bool = False,",
        "def pipeline(self, transaction: bool = True,",
        module="celery_patches/broker",
        test=_FULL,
    ),
    _fault(
        "intake without room counts as hung",
        "all workers are restarted again and again while memory is full",
        "            except QueueMemoryFull:\n                # There is no room",
        "            except FileExistsError:\n                # There is no room",
        module="upkeep/intake",
        test=_FULL,
    ),
    _intake(
        "intake removes before submit",
        "a refused or failed submit loses the question",
        "            await self._submit(message)\n",
        "            await self._store.client.lrem(queue, -1, raw)  # type: ignore[arg-type]\n"
        "            await self._submit(message)\n",
    ),
    _intake(
        "intake never removes",
        "a question is submitted again for ever",
        'return await self._store.run(Call("LREM", (queue, -1, raw), int))',
        'return 0 * await self._store.run(Call("LLEN", (queue,), int))',
    ),
    _intake(
        "intake newest first",
        "plain Celery's questions run in the wrong order",
        "for raw in reversed(seen) if",
        "for raw in seen if",
    ),
    _intake(
        "intake refuses what only has to wait",
        "a plain Celery app's question is dropped because its session is full",
        "        except (TooManyWaiting, QueueMemoryFull):\n            raise\n",
        "        except QueueMemoryFull:\n            raise\n",
    ),
    _intake(
        "intake looks no further than others' messages",
        "a hundred messages of other tasks hide ours for ever",
        "if taken or len(seen) < most:",
        "if True:",
    ),
    _intake(
        "intake stops at a broken session",
        "one session's broken key stops every plain Celery app",
        "            except Exception as error:  #",
        "            except KeyError as error:  #",
    ),
    _intake(
        "intake asks a broken session at every look",
        "a broken session costs calls and log lines without end",
        "self._aside[session] = monotonic() + _ASIDE_SECONDS",
        "self._aside[session] = monotonic()",
    ),
    _intake(
        "intake ignores the prefix",
        "two deployments on one server take each other's questions",
        "queue = store.keys.queue(store.settings.intake_queue)",
        "queue = store.settings.intake_queue",
    ),
    _intake(
        "intake forgets early revokes",
        "a question that is revoked as soon as it is sent is answered",
        "if message.id in revoked:",
        "if message.session in revoked:",
    ),
    _intake(
        "ids are taken as they come",
        "an id that is no text stops the intake",
        'return not any("\\ud800" <= character <= "\\udfff" for character in text)',
        "return bool(text)",
        module="upkeep/celery_messages",
    ),
    _intake(
        "followers get no result",
        "the caller of a chain whose first task is refused waits for ever",
        "Refused(known_ids(id, *_followers(embed)), error)",
        "Refused(known_ids(id), error)",
        module="upkeep/celery_messages",
    ),
    _intake(
        "followers are dropped",
        "a chain's second task never runs, and nobody learns of it",
        "if isinstance(embed, dict) and embed.get(field):",
        "if embed is None:",
        module="upkeep/celery_messages",
    ),
    Mutant(
        "a refusal replaces a result",
        "a second message with the same id takes the first one's answer away",
        "turns/lua/turn/refuse.lua",
        "if redis.call('EXISTS', key.turn .. id) == 1 then",
        "if redis.call('EXISTS', key.turn .. id) == 2 then",
        (_INTAKE,),
    ),
    _fault(
        "foreign messages reach Celery",
        "questions are shown in the log and in Flower, and their senders hang",
        "if queue not in _OWN or is_dispatch(message):",
        "if queue not in _OWN or isinstance(message, dict):",
        module="celery_patches/own_queues",
        test=_OWN,
    ),
    _fault(
        "garbage ends the worker",
        "one message that is no JSON ends every worker",
        "        except (ValueError, RecursionError):\n",
        "        except KeyError:\n",
        module="celery_patches/own_queues",
        test=_OWN,
    ),
    _fault(
        "dispatches are discarded by revoke",
        "a turn whose id was revoked before is never run",
        "        return False\n",
        "        return super().revoked()\n",
        module="request",
        test=_REVOKE,
    ),
    Mutant(
        "a revoke ends as a plain cancel",
        "a Celery caller's `except TaskRevokedError` does not catch it",
        "turns/lua/lib/celery_result.lua",
        "elseif fields.revoked then",
        "elseif fields.revoked == 0 then",
        (_REVOKE,),
    ),
    _fault(
        "a chain's own cancellation is taken for ours",
        "a chain that raises CancelledError is run five times, and fails as worker_lost",
        "error = asyncio.CancelledError() if asked.cancelled() else asked.exception()",
        "error = asked.exception()",
        module="attempt/attempt",
        test=_CHAINS,
    ),
    _fault(
        "an answer that cannot be encoded escapes",
        "a turn whose answer is nested too deep is run five times, and fails as worker_lost",
        "except Exception as error:  # an answer holds",
        "except ValueError as error:  # an answer holds",
        module="attempt/attempt",
        test=_CHAINS,
    ),
)
