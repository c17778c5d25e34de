"""Turns in Redis: one method for each script, the same for sync and async.

`TurnStore` blocks, `AsyncTurnStore` is awaited; both run the operations that `_Operations` defines once. Every operation may
be repeated by the same caller, because redis-py repeats a call whose reply was lost.
"""

import json
import re
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

import redis
import redis.asyncio
from redis.exceptions import (
    BusyLoadingError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)

from turnstile.turns.celery_message import refused_result
from turnstile.turns.errors import (
    UNREADABLE,
    BrokenRecord,
    MissingRight,
    QueueMemoryFull,
    QueueUnreachable,
    TooManyWaiting,
    TurnConflict,
    TurnNotEnded,
    TurnRefused,
    UnknownSession,
    UnknownTurn,
)
from turnstile.turns.ids import check_session, check_turn
from turnstile.turns.question import Options, Question, encode_question, fingerprint
from turnstile.turns.redis.address import Address, parse
from turnstile.turns.redis.connection import LONGEST_BLOCK_SECONDS, connect, connect_async, multiplexer, server_url
from turnstile.turns.redis.keys import Keys
from turnstile.turns.redis.scripts import build
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store import rights
from turnstile.turns.text import as_text, dumps
from turnstile.turns.turn import Claim, Event, Record

P = ParamSpec("P")
T = TypeVar("T")

_DEFAULTS = Options()
# Workers call the roll every 200 ms. Shorter than this is a busy worker that reconnects, not a death.
_ABSENCE_MS = 600
# What Redis answers when it refuses writes for a while, as redis-py passes it on.
_UNWRITABLE = ("NOREPLICAS", "MISCONF", "READONLY")
_BUSY = "BUSY "
_LACKING = "ACL failure in script"
_COMMAND = re.compile(r"run the '([^']+)' command")
_ON_HISTORIES = ("LRANGE", "LLEN", "LREM")
_WRONG_TYPE = (
    "A key of Turnstile's holds another type: something else writes to this Redis. Erase the session, or move that key."
)


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a submitted turn: `fresh` is False when the same turn had been submitted before."""

    id: str
    state: State
    place: int
    fresh: bool
    session: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a session is called. `created` is in seconds since the epoch, 0 when nobody knows."""

    session: str
    created: float
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn ends. `usage` counts tokens; `code` and `message` say why it failed. `code` REFUSAL: the answer is one."""

    state: State
    answer: str = ""
    usage: dict[str, Any] | None = None
    model: str = ""
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did: how many sessions it looked at, and how many turns it set going or gave up."""

    seen: int
    retried: int
    redispatched: int
    recovered: int
    failed: int


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One script or command to run, and how to read its reply."""

    name: str
    args: Sequence[str | int | float | bytes]
    read: Callable[[Any], T]
    blocks: bool = False
    """Whether it waits at the server: then it needs a connection of its own."""


class operation(Generic[P, T]):  # noqa: N801 - used as a decorator
    """Turns a method that describes a call into one that makes it: at once on a TurnStore, awaited on an AsyncTurnStore."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Call[T]]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, store: "TurnStore", owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, store: "AsyncTurnStore", owner: type) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, store: Any, owner: type) -> Any:
        return partial(self._run, store)

    def _run(self, store: Any, *args: P.args, **kwargs: P.kwargs) -> Any:
        return store.run(self._describe(store, *args, **kwargs))


class _Operations:
    def __init__(self, settings: Settings, url: str | None = None) -> None:
        self.settings = settings
        self.url = url or server_url(settings)
        self.address = parse(self.url)
        self.keys = Keys(settings.key_prefix, settings.history_prefix)
        self.scripts = build(settings)

    @operation
    def submit(
        self,
        id: str,
        session: str,
        question: Question,
        options: Options = _DEFAULTS,
        *,
        reply: bool = False,
    ) -> Call[Submitted]:
        """Accept a turn. `reply`: its end is also written where a plain Celery app waits for it.

        Raises:
            InvalidTurn, TooManyWaiting, QueueMemoryFull, TurnConflict: nothing was stored.
        """
        check_turn(id)
        check_session(session)
        body, extras = encode_question(question, self.settings.max_question_bytes), options.encode()
        mark = fingerprint(session, body, extras)
        return Call(
            "submit",
            (id, session, options.queue, body, extras, _flag(options.stream), _flag(reply), mark),
            partial(self._read_submit, id, session),
        )

    @operation
    def follow(self, id: str, previous: str, branch: str, question: Question, options: Options = _DEFAULTS) -> Call[Submitted]:
        """Accept a turn that follows turn `previous`: in its session, or, when it is not the last there, in a new session
        `branch` with the history up to it. The result tells the session.

        Raises:
            UnknownTurn: there is no `previous`.
            TurnNotEnded: it still runs, and is not the last of its session.
            InvalidTurn, TooManyWaiting, QueueMemoryFull, TurnConflict: as `submit`.
        """
        check_turn(id)
        check_session(branch)
        body, extras = encode_question(question, self.settings.max_question_bytes), options.encode()
        mark = fingerprint(previous, body, extras)
        args = (id, previous, branch, options.queue, body, extras, _flag(options.stream), "", mark)
        return Call("follow", args, partial(self._read_follow, id, previous))

    def _read_follow(self, id: str, previous: str, reply: list[Any]) -> Submitted:
        match reply:
            case [b"unknown"]:
                raise _unknown(previous)
            case [b"unended"]:
                raise TurnNotEnded(f"Turn {previous} has not ended, and others follow it: wait for its end.")
            case [*result, bytes(session)] if len(result) > 1:
                return self._read_submit(id, session.decode(), result)
            case _:
                return self._read_submit(id, "", reply)

    def _read_submit(self, id: str, session: str, reply: list[Any]) -> Submitted:
        match reply:
            case [b"accepted", place]:
                return Submitted(id, State.QUEUED, place, fresh=True, session=session)
            case [b"again", state, place]:
                return Submitted(id, State(state.decode()), place, fresh=False, session=session)
            case [b"conflict"]:
                raise TurnConflict("This turn id is taken by another question; use a new one.")
            case [b"full_session"]:
                most = self.settings.max_waiting_per_session
                raise TooManyWaiting(f"{most:,} turns wait in this session (TURNSTILE_MAX_WAITING_PER_SESSION); try later.")
            case _:
                raise TooManyWaiting(
                    f"{self.settings.max_waiting:,} turns are unfinished in all (TURNSTILE_MAX_WAITING); try later."
                )

    @operation
    def claim(self, id: str, worker: str, nonce: str) -> Call[Claim | str]:
        """Take a dispatched turn; `stale` when it is not this one's time, `unknown` when there is no such turn."""

        def read(reply: list[Any]) -> Claim | str:
            return Claim.decode(id, reply[1:]) if reply[0] == b"claimed" else as_text(reply[0])

        return Call("claim", (id, worker, nonce, self.settings.window_messages), read)

    @operation
    def renew(self, worker: str, held: Sequence[Claim]) -> Call[list[str]]:
        """Keep the leases of many turns: for each `kept`, `cancelled` or `lost`."""
        args = [worker, *(part for claim in held for part in (claim.session, claim.id, claim.token))]
        return Call("renew", args, lambda reply: [as_text(word) for word in reply])

    @operation
    def emit(self, claim: Claim, after: int, texts: Sequence[str]) -> Call[int | None]:
        """Append text events after sequence `after`; the last sequence, or None when the turn is no longer ours."""
        return Call(
            "emit",
            (claim.id, claim.token, after, *texts),
            lambda reply: reply[1] if reply[0] == b"emitted" else None,
        )

    @operation
    def finish(
        self, claim: Claim, outcome: Outcome, messages: Sequence[str] = (), *, after: int = 0, text: str = ""
    ) -> Call[State | None]:
        """End a turn: `messages` (stored elements, oldest first) go into the history, `text` is the stream's last piece.

        Returns the state that stands, or None when the turn is no longer ours.

        Raises:
            BrokenRecord: the history takes no messages; nothing was written.
        """
        usage = dumps(outcome.usage) if outcome.usage else ""
        args = (
            claim.id,
            claim.token,
            outcome.state,
            outcome.answer,
            usage,
            outcome.model,
            outcome.code,
            outcome.message,
        )
        return Call("finish", (*args, after, text, *messages), _read_finish)

    @operation
    def requeue(self, claim: Claim, delay: float = 0, *, forgive: bool = False) -> Call[bool]:
        """Give a running turn back, to start again after `delay` seconds. False when it is no longer ours."""
        args = (claim.id, claim.token, round(delay * 1000), _flag(forgive))
        return Call("requeue", args, lambda reply: bool(reply[0] != b"superseded"))

    @operation
    def refuse(self, ids: Sequence[str], error: TurnRefused) -> Call[bool]:
        """Tell plain Celery apps, who wait for the results of these task ids, why the first is no turn.

        False: there is a turn of that id, and its result stays.
        """
        args = [part for id in ids for part in (id, refused_result(id, error))]
        return Call("refuse", args, lambda reply: bool(reply[0] != b"taken"))

    @operation
    def cancel(self, id: str, *, revoked: bool = False) -> Call[State]:
        """Cancel a turn; the state that stands: `cancelled`, or the end that came first. Raises UnknownTurn.

        `revoked`: a Celery caller that waits for it gets TaskRevokedError.
        """
        return Call("cancel", (id, _flag(revoked)), partial(_read_ended, id, State.CANCELLED))

    @operation
    def retry(self, id: str) -> Call[State]:
        """Queue a failed turn again; the state that stands: `queued`, or that of a turn that has not failed."""
        return Call("retry", (id,), partial(_read_ended, id, State.QUEUED))

    @operation
    def sweep(self, limit: int = 100, worker: str = "") -> Call[Swept]:
        """Set overdue sessions going again, at most `limit`. A worker that sweeps names itself: it is heard."""
        return Call("sweep", (limit, worker), lambda reply: Swept(*reply))

    @operation
    def muster(self, worker: str) -> Call[int]:
        """Tell that a worker is alive, and end the leases of those that are dead; how many."""
        return Call("muster", (worker, _ABSENCE_MS), int)

    @operation
    def audit(self, sessions: Sequence[str]) -> Call[int]:
        """Give these sessions their due entries back, those that are not idle, and set right which turns are counted as open.

        How many had no due entry.
        """
        return Call("audit", tuple(sessions), int)

    @operation
    def status(self, id: str) -> Call[Record]:
        """A turn's record. Raises UnknownTurn."""

        def read(reply: list[Any]) -> Record:
            if not reply:
                raise _unknown(id)
            return Record.decode(id, reply)

        return Call("status", (id,), read)

    @operation
    def erase(self, session: str) -> Call[tuple[int, int]]:
        """Forget a session; how many turns and messages are gone."""
        return Call("erase", (check_session(session),), lambda reply: (reply[0], reply[1]))

    @operation
    def forget(self, id: str) -> Call[bool]:
        """Forget one turn that has ended; False when there is none. What it added to the history stays, and its id is taken.

        Raises:
            TurnNotEnded: cancel it first.
        """

        def read(reply: list[Any]) -> bool:
            if reply[0] == b"unended":
                raise TurnNotEnded(f"Turn {id} has not ended: cancel it first.")
            return bool(reply[0] != b"unknown")

        return Call("forget", (id,), read)

    @operation
    def begin(self, session: str, metadata: dict[str, str], messages: Sequence[str] = ()) -> Call[bool]:
        """Begin a session with metadata and `messages` (stored elements, oldest first); False: it had been, just so.

        Raises:
            TurnConflict: there is such a session, begun in another way.
        """
        body = dumps(metadata)
        mark = fingerprint(session, body, "\0".join(messages))
        args = (check_session(session), mark, body, *messages)
        return Call("converse", args, partial(_read_converse, session))

    @operation
    def amend(self, session: str, metadata: dict[str, str] | None = None, messages: Sequence[str] = ()) -> Call[bool]:
        """Put other metadata in place, and add `messages` (stored elements, oldest first). Raises UnknownSession."""
        body = "" if metadata is None else dumps(metadata)
        return Call("converse", (check_session(session), "", body, *messages), partial(_read_converse, session))

    @operation
    def describe(self, session: str) -> Call[Conversation]:
        """What a session is called. Raises UnknownSession."""

        def read(reply: list[Any]) -> Conversation:
            if not reply:
                raise _unknown_session(session)
            return Conversation(session, float(reply[0]) / 1000, json.loads(reply[1]))

        return Call("describe", (check_session(session),), read)

    @operation
    def count_messages(self, session: str) -> Call[int]:
        """How many messages a session's history has."""
        return Call("LLEN", (self.keys.history(check_session(session)),), int)

    @operation
    def messages(self, session: str, first: int, last: int) -> Call[list[bytes]]:
        """Stored elements from place `first` to place `last`; places count from 0, the oldest message's. Newest first."""
        args = (self.keys.history(check_session(session)), -last - 1, -first - 1)
        return Call("LRANGE", args, list)

    @operation
    def drop_message(self, session: str, element: bytes) -> Call[bool]:
        """Take one message, told by its stored element, out of a history; False when it is not there."""
        return Call("LREM", (self.keys.history(check_session(session)), 1, element), bool)

    @operation
    def events(self, id: str, after: int = 0, count: int = 1000) -> Call[list[Event]]:
        """The events after a sequence that are there now."""
        args = (self.keys.events(id), f"({after}-0", "+", "COUNT", count)
        return Call("XRANGE", args, lambda reply: [Event.decode((name, values)) for name, values in _entries(reply)])

    @operation
    def wait_events(self, id: str, after: int = 0, seconds: float = LONGEST_BLOCK_SECONDS) -> Call[list[Event]]:
        """The events after a sequence; waits for the first one, `seconds` at most."""
        block = max(1, round(min(seconds, LONGEST_BLOCK_SECONDS) * 1000))
        args = ("COUNT", 1000, "BLOCK", block, "STREAMS", self.keys.events(id), f"{after}-0")
        return Call("XREAD", args, _read_stream, blocks=True)

    @operation
    def now(self) -> Call[float]:
        """The server's clock, the only one that counts: seconds since the epoch."""
        return Call("TIME", (), lambda reply: int(reply[0]) + int(reply[1]) / 1e6)

    @operation
    def stats(self) -> Call[dict[str, int]]:
        """The counters, by name; `open` is how many turns have not ended."""
        return Call("stats", (), _read_counts)

    @operation
    def lacking(self, role: str) -> Call[list[str]]:
        """The rights that our Redis user lacks for a role (see turnstile.turns.store.rights), as ACL SETUSER takes them."""
        asked, said = rights.ask(role, self.scripts, self.keys)
        return Call("rights", (asked,), partial(rights.read, said))

    @operation
    def failed(self, limit: int = 100) -> Call[list[str]]:
        """Ids of the turns that gave up, newest first."""
        args = (self.keys.failed, 0, limit - 1)
        return Call("ZREVRANGE", args, lambda reply: [as_text(id) for id in reply])

    @operation
    def history(self, session: str, limit: int = 0) -> Call[list[bytes]]:
        """Stored elements of a session's history, newest first; `limit` 0: all."""
        return Call("LRANGE", (self.keys.history(check_session(session)), 0, limit - 1), list)


class TurnStore(_Operations):
    """The blocking face. Thread-safe."""

    def __init__(self, settings: Settings, url: str | None = None) -> None:
        super().__init__(settings, url)
        self.client = connect(self.url)

    def run(self, call: Call[T]) -> T:
        """Make a call. Raises QueueUnreachable, QueueMemoryFull, and what the call's reader raises."""
        try:
            return call.read(self._send(call))
        except redis.RedisError as error:
            raise _translate(error, self.address, call.name) from error

    def _send(self, call: Call[Any]) -> Any:
        script = self.scripts.get(call.name)
        if script is None:
            return self.client.execute_command(call.name, *call.args)  # type: ignore[no-untyped-call]  # untyped in redis-py
        try:
            return self.client.evalsha(script.sha, 0, *call.args)
        except NoScriptError:
            return self.client.eval(script.source, 0, *call.args)


class AsyncTurnStore(_Operations):
    """The awaited face; for one event loop."""

    @property
    def client(self) -> redis.asyncio.Redis:
        """The running loop's client."""
        return connect_async(self.url)

    async def run(self, call: Call[T]) -> T:
        """Make a call. Raises QueueUnreachable, QueueMemoryFull, and what the call's reader raises."""
        try:
            return call.read(await self._send(call))
        except redis.RedisError as error:
            raise _translate(error, self.address, call.name) from error

    async def _send(self, call: Call[Any]) -> Any:
        script = self.scripts.get(call.name)
        if call.blocks:
            return await self.client.execute_command(call.name, *call.args)  # type: ignore[no-untyped-call]  # untyped in redis-py
        if script is None:
            return await multiplexer(self.url).execute(call.name, *call.args)
        try:
            return await multiplexer(self.url).execute("EVALSHA", script.sha, 0, *call.args)
        except NoScriptError:
            return await multiplexer(self.url).execute("EVAL", script.source, 0, *call.args)


def _flag(value: bool) -> str:
    return "1" if value else ""


def _unknown(id: str) -> UnknownTurn:
    return UnknownTurn(f"There is no turn {id}: it was never accepted, was erased, or its record has expired.")


def _unknown_session(session: str) -> UnknownSession:
    return UnknownSession(f"Nothing is known of session {session}: it was never used, was erased, or has expired.")


def _read_converse(session: str, reply: list[Any]) -> bool:
    if reply[0] == b"unknown":
        raise _unknown_session(session)
    if reply[0] == b"unreadable":
        raise BrokenRecord(UNREADABLE)
    if reply[0] == b"conflict":
        raise TurnConflict("There is such a session already; use a new id.")
    return bool(reply[0] == b"done")


def _read_ended(id: str, done: State, reply: list[Any]) -> State:
    if reply[0] == b"unknown":
        raise _unknown(id)
    return State(as_text(reply[1])) if reply[0] == b"ended" else done


def _read_finish(reply: list[Any]) -> State | None:
    if reply[0] == b"unreadable":
        raise BrokenRecord(UNREADABLE)
    return None if reply[0] == b"superseded" else State(as_text(reply[1]))


def _entries(reply: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return [(e[0], e[1] if isinstance(e[1], dict) else dict(zip(e[1][::2], e[1][1::2], strict=True))) for e in reply or ()]


def _read_stream(reply: Any) -> list[Event]:
    if not reply:
        return []
    streams = reply.values() if isinstance(reply, dict) else [stream[1] for stream in reply]
    return [Event.decode(entry) for entries in streams for entry in _entries(entries)]


def _read_counts(reply: Any) -> dict[str, int]:
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {as_text(name): int(value) for name, value in pairs}


def _translate(error: redis.RedisError, where: Address, name: str) -> Exception:
    if isinstance(error, OutOfMemoryError):
        return QueueMemoryFull("Redis is over its maxmemory and takes no new turns; running turns still finish. Try later.")
    if isinstance(error, BusyLoadingError):
        return QueueUnreachable(f"Redis at {where} is still loading its data; try again in a moment.")
    if isinstance(error, (redis.AuthenticationError, redis.exceptions.AuthorizationError)):
        return QueueUnreachable(f"Redis at {where} refuses the login: check the user and password in REDIS_URL.")
    if isinstance(error.__context__, ssl.SSLError):
        return QueueUnreachable(f"TLS with Redis at {where} fails: check the scheme and the ssl_ parameters of REDIS_URL.")
    if isinstance(error, (redis.ConnectionError, redis.TimeoutError)):
        return QueueUnreachable(f"Redis at {where} does not answer. Is it running? Set REDIS_URL, or run `turnstile up`.")
    if isinstance(error, NoPermissionError) or _LACKING in str(error):
        command = _COMMAND.search(str(error))
        right = f"+{command[1]}" if command else "a family of keys or channels (`turnstile doctor` tells which)"
        return MissingRight(f"The Redis user at {where} lacks {right}: grant it with ACL SETUSER.")
    if str(error).startswith(_BUSY):
        return QueueUnreachable(f"Redis at {where} runs somebody's long script; try again in a moment.")
    if isinstance(error, ReadOnlyError) or str(error).startswith(_UNWRITABLE):
        return QueueUnreachable(f"Redis at {where} takes no writes now: it fails over, misses its replicas, or cannot log.")
    if str(error).startswith("WRONGTYPE"):
        return BrokenRecord(UNREADABLE if name in _ON_HISTORIES else _WRONG_TYPE)
    return error if isinstance(error, ResponseError) else QueueUnreachable(f"Redis at {where}: {type(error).__name__}.")
