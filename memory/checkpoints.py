"""Kept steps: a LangGraph checkpointer for one attempt at one turn.

Everything it writes is fenced by the turn's owner token, in Redis: an attempt whose turn was taken from it writes nothing. All
steps of a thread are one key, which ends with the turn, and is erased with the session. A run is a graph's way from its input
to its end; a thread has a second one where a turn answers calls with messages. Threads to which a graph gives names of its own
live inside its turn's, so no name reaches another turn's steps.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph._internal._constants import NULL_TASK_ID
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
    writes_sort_key,
)

from turnstile.memory.calls import TOO_LARGE
from turnstile.memory.codec import encode
from turnstile.memory.element import MessageTooLarge
from turnstile.memory.step_codec import DAMAGED, StepCodec
from turnstile.memory.step_errors import StepError, StepsUnreadable
from turnstile.memory.step_lane import StepLane
from turnstile.turns.redis.scripts import LARGE_BYTES
from turnstile.turns.store.steps import Place, StoredCheckpoint
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.turn import Claim

_BETWEEN = "\x1f"


class StepSaver(BaseCheckpointSaver[str]):
    """The checkpointer of one attempt. Its sync methods are for threads, and wait for the attempt's loop."""

    def __init__(
        self,
        store: AsyncTurnStore,
        claim: Claim,
        thread: str,
        lane: StepLane,
        codec: StepCodec,
        *,
        run: str = "",
        known: Sequence[str] = (),
        nodes: Sequence[str] = (),
        keep_all: bool = False,
        after_step: Callable[[], None] = lambda: None,
    ) -> None:
        """Take over an attempt's steps.

        Args:
            run: the turn whose run this is, if not the thread's.
            known: ids of the messages that the graph is given.
            nodes: the graph's.
            keep_all: earlier checkpoints, too.
            after_step: is called when a step is kept and counted.
        """
        super().__init__(serde=codec)
        self._store = store
        self._claim = claim
        self.thread = thread
        self.run = run or thread
        self._lane = lane
        self._codec = codec
        self._nodes = sorted(nodes)
        self._replace = not keep_all
        self._after_step = after_step
        self.known = list(known)
        self.steered: set[str] = set()
        """Ids of the messages that have come into the state amid its steps; it may have lost some of them since."""
        self.resumed = self.begun = self._noted = False
        """`begun`: a task of the step after the latest has kept something."""
        self._sizes: dict[str, int] = {}

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint that a config names, or the latest."""
        place = self._place(config, get_checkpoint_id(config) or "")
        stored = await self._lane.read(lambda: self._store.read_checkpoint(self._claim.id, place))
        try:
            return self._tuple(config, place, stored) if stored else None
        except (AttributeError, KeyError, TypeError, ValueError):
            error: StepError = StepsUnreadable(DAMAGED)
        except StepError as told:
            error = told
        self._lane.fail(error)
        raise error from None

    async def aput(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata, new_versions: ChannelVersions
    ) -> RunnableConfig:
        """Keep a checkpoint, and return the config that names it. Raises LaneClosed, StepNotStorable."""
        place, parent = self._place(config, checkpoint["id"]), get_checkpoint_id(config)
        body = {
            "checkpoint": {name: value for name, value in checkpoint.items() if name != "channel_values"},
            "metadata": get_checkpoint_metadata(config, metadata),
            "parent": parent,
            "nodes": self._nodes,
            **({"steered": sorted(self.steered)} if self.steered else {}),
        }
        state, versions = checkpoint["channel_values"], checkpoint["channel_versions"]
        packed = self._pack({name: state[name] for name in new_versions if name in state} | {"": body})
        body_bytes = packed.pop("")
        values = {(name, str(new_versions[name])): value for name, value in packed.items()}
        channels = [(name, str(versions[name])) for name in state if name in versions]
        known, spent = self._known_at_first(), self._claim.spent
        # The graph's own steps alone: not the input, and not what leads from it to the first node.
        counts = self._is_own(place) and metadata["source"] == "loop" and metadata["step"] > 0
        spent.steps += counts
        self._note_sizes(place, {name: len(value) for (name, _), value in values.items()}, state)
        await self._lane.write(
            lambda: self._store.put_checkpoint(
                self._claim, place, body_bytes, channels, values, known=known, spent=spent, replace=self._replace
            )
        )
        if counts:
            self._after_step()
        return self._named(config, checkpoint["id"])

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keep what a task wrote. Raises LaneClosed, StepNotStorable."""
        place = self._place(config, config["configurable"]["checkpoint_id"])
        packed = self._pack(dict(enumerate(value for _, value in writes)))
        kept = {
            WRITES_IDX_MAP.get(channel, at): f"{channel}\0{task_path}\0".encode() + packed[at]
            for at, (channel, _) in enumerate(writes)
        }
        known = self._known_at_first()
        # Only a turn that answers others' calls can leave one open that has been run.
        results = _results(writes) if self._claim.answers else {}
        await self._lane.write(
            lambda: self._store.put_writes(
                self._claim, place, task_id, kept, known=known, results=results, replace=self._replace
            )
        )

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - its name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Yield the checkpoints of this turn, newest first."""
        places = await self._lane.read(lambda: self._store.list_checkpoints(self.thread))
        bound = get_checkpoint_id(before) if before else None
        for graph, checkpoint in sorted(places, key=lambda place: place[1], reverse=True):
            thread, _, space = graph.partition(_BETWEEN)
            named: dict[str, Any] = {"thread_id": thread or self.thread, "checkpoint_ns": space, "checkpoint_id": checkpoint}
            if limit == 0 or not _asked_for(config, named) or (bound and checkpoint >= bound):
                continue
            found = await self.aget_tuple({"configurable": named})
            if found and all(found.metadata.get(name) == value for name, value in (filter or {}).items()):
                limit = limit - 1 if limit else limit
                yield found

    async def adelete_thread(self, thread_id: str) -> None:
        """Forget a thread's checkpoints and writes. Raises LaneClosed."""
        graphs = self._graph(thread_id, "")
        await self._lane.write(lambda: self._store.drop_steps(self._claim, self.thread, graphs))

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `aget_tuple`, for a thread."""
        return self._lane.wait_for(self.aget_tuple(config))

    def put(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata, new_versions: ChannelVersions
    ) -> RunnableConfig:
        """As `aput`, for a thread."""
        return self._lane.wait_for(self.aput(config, checkpoint, metadata, new_versions))

    def put_writes(self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = "") -> None:
        """As `aput_writes`, for a thread."""
        self._lane.wait_for(self.aput_writes(config, writes, task_id, task_path))

    def list(self, config: RunnableConfig | None, **options: Any) -> Iterator[CheckpointTuple]:
        """As `alist`, for a thread."""

        async def collect() -> Sequence[CheckpointTuple]:
            return [found async for found in self.alist(config, **options)]

        yield from self._lane.wait_for(collect())

    def delete_thread(self, thread_id: str) -> None:
        """As `adelete_thread`, for a thread."""
        self._lane.wait_for(self.adelete_thread(thread_id))

    def get_next_version(self, current: str | None, channel: None) -> str:  # noqa: ARG002 - LangGraph passes it
        """Return the version after another; they sort as text does."""
        return f"{int(current or 0) + 1:010}"

    def _note_sizes(self, place: Place, sizes: Mapping[str, int], state: Iterable[str]) -> None:
        """Note how large the run's state is: the next attempt at the turn needs room for it."""
        if self._is_own(place):
            self._sizes |= sizes
            kept = sum(self._sizes.get(name, 0) for name in state)
            self._claim.spent.kept = kept if kept > LARGE_BYTES else 0

    def _known_at_first(self) -> str:
        """Return the ids for the first write: from then on a state may hold more than the graph knew at first."""
        known = "" if self.resumed or self._noted else json.dumps(self.known)
        self._noted = True
        return known

    def _pack(self, values: Mapping[Any, Any]) -> dict[Any, bytes]:
        try:
            return {name: self._codec.pack(value) for name, value in values.items()}
        except StepError as error:
            self._lane.fail(error)
            raise

    def _graph(self, thread: str, space: str) -> str:
        return ("" if thread == self.thread else thread) + _BETWEEN + space

    def _place(self, config: RunnableConfig, checkpoint: str) -> Place:
        named = config["configurable"]
        graph = self._graph(str(named["thread_id"]), named.get("checkpoint_ns", ""))
        return Place(self.thread, graph, checkpoint, self.run)

    @property
    def root(self) -> str:
        """The run's own graph; the names of graphs inside it begin with it."""
        return self._graph(self.run, "")

    def _is_own(self, place: Place) -> bool:
        return place.graph == self.root

    def _named(self, config: RunnableConfig, checkpoint: str) -> RunnableConfig:
        given = config["configurable"]
        named = {"thread_id": given["thread_id"], "checkpoint_ns": given.get("checkpoint_ns", ""), "checkpoint_id": checkpoint}
        return {"configurable": named}

    def _tuple(self, config: RunnableConfig, place: Place, stored: StoredCheckpoint) -> CheckpointTuple:
        body = self._codec.unpack(stored.body)
        if self._is_own(place):
            if not set(body["nodes"]) <= set(self._nodes):
                raise StepsUnreadable(
                    "The stored steps of this turn are another version's of the graph: ask again in a new turn."
                )
            self.resumed = bool(stored.known)
            self.known = json.loads(stored.known) if stored.known else self.known
            self.steered |= set(body.get("steered", ()))
            self.begun = any(task != NULL_TASK_ID for task, _ in stored.writes)
        checkpoint = body["checkpoint"]
        found = {name: (name, str(version)) for name, version in checkpoint["channel_versions"].items()}
        values = {name: self._codec.unpack(stored.values[key]) for name, key in found.items() if key in stored.values}
        self._note_sizes(place, {name: len(value) for (name, _), value in stored.values.items()}, values)
        return CheckpointTuple(
            config=self._named(config, stored.checkpoint),
            checkpoint=cast("Checkpoint", {**checkpoint, "channel_values": values}),
            metadata=body["metadata"],
            parent_config=self._named(config, body["parent"]) if body["parent"] else None,
            pending_writes=[*self._pending(stored.writes)],
        )

    def _pending(self, stored: Mapping[tuple[str, int], bytes]) -> Sequence[tuple[str, str, Any]]:
        writes = []
        for (task, at), value in stored.items():
            channel, path, packed = value.split(b"\0", 2)
            writes.append((writes_sort_key(path.decode(), task, at), channel.decode(), packed))
        writes.sort(key=lambda write: write[0])
        return [(key[1], channel, self._codec.unpack(packed)) for key, channel, packed in writes]


def _results(writes: Sequence[tuple[str, Any]]) -> dict[str, str]:
    """Return the results of tools among what a task wrote, as elements of a history, by call."""
    values = [one for _, value in writes for one in (value if isinstance(value, list | tuple) else [value])]
    return {value.tool_call_id: _element(value) for value in values if isinstance(value, ToolMessage)}


def _element(result: ToolMessage) -> str:
    try:
        return encode(result, run=True)
    except MessageTooLarge:
        return encode(result.model_copy(update={"content": TOO_LARGE, "artifact": None, "additional_kwargs": {}}), run=True)


def _asked_for(config: RunnableConfig | None, named: Mapping[str, Any]) -> bool:
    asked = config["configurable"] if config else {}
    return all(asked[name] == value for name, value in named.items() if asked.get(name) is not None)
