"""claim: claimed, stale, unknown."""

import pytest

from tests.scripts.conftest import Memory, Stage
from tests.scripts.cutting import cut
from tests.scripts.scene import Scene, pair, pairs
from turnstile.memory.element import Element, write
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.turn import Claim


def test_a_dispatched_turn_runs_and_brings_all_that_is_needed(scene: Scene) -> None:
    scene.submit("a", question="what?", options=Options(model="m"))
    claim = scene.turns.claim("a", "w1", "nonce")
    assert isinstance(claim, Claim)
    assert (claim.id, claim.session, claim.question, claim.options) == ("a", "foo", "what?", Options(model="m"))
    assert (claim.attempt, claim.attempts_left, claim.token) == (1, 4, "1:nonce")
    assert (claim.stream, claim.sequence) == (True, 1)
    assert claim.created <= claim.started <= claim.now
    assert claim.window == ()
    assert scene.state("a") is State.RUNNING
    assert scene.events("a") == [(1, "started", 1, "")]


def test_the_lease_is_written_where_the_sweep_looks(scene: Scene) -> None:
    claim = scene.start("a")
    lease = round((claim.now + 8) * 1000)
    assert scene.seat() == {
        "head": "a", "phase": "running", "owner": claim.token, "worker": "w1", "sent": "1", "lease": str(lease),
        "since": str(round(claim.created * 1000)),
    }  # fmt: skip
    assert scene.client.zscore(scene.keys.due, "foo") == lease
    assert scene.client.smembers(scene.keys.owned("w1")) == {"foo"}
    assert scene.client.ttl(scene.keys.owned("w1")) > 0


def test_the_window_is_the_newest_messages_newest_first(stage: Stage) -> None:
    scene = stage.open(window_messages=3)
    for id in ("a", "b"):
        scene.complete(scene.start(id))
    assert [element.decode() for element in scene.start("c").window] == pairs(["a", "b"])[:0:-1]


def system(text: str) -> str:
    return write(Element("system", {"content": text}, {}))


def test_what_a_conversation_begins_with_comes_along(stage: Stage) -> None:
    scene = stage.open(window_messages=3)
    opening = [system("be brief"), system("be kind")]
    scene.client.rpush(scene.keys.history("foo"), *[*opening, *pairs(["a"]), system("later"), *pairs(["b", "c"])][::-1])
    assert [element.decode() for element in scene.start("d").window] == [*opening, *pairs(["b", "c"])[1:]][::-1]


def test_what_a_conversation_begins_with_is_bounded_and_comes_once(stage: Stage) -> None:
    scene = stage.open(window_messages=3)
    opening = [system(str(number)) for number in range(30)]
    scene.client.rpush(scene.keys.history("foo"), *opening[::-1])
    assert [element.decode() for element in scene.start("d").window] == [*opening[:20], *opening[27:]][::-1]


@pytest.mark.parametrize(("truncation", "count"), [("disabled", 12), ("auto", 3), (None, 3)])
def test_a_turn_may_want_its_history_whole(stage: Stage, truncation: str | None, count: int) -> None:
    scene = stage.open(window_messages=3)
    scene.client.rpush(scene.keys.history("foo"), *pairs("abcdef"))
    scene.submit("d", options=Options(truncation=truncation))
    claim = scene.claim("d")
    assert (len(claim.window), claim.cut) == (count, False)


def test_a_history_that_is_too_large_to_be_whole_is_cut(stage: Stage) -> None:
    scene = stage.open(window_messages=3)
    scene.client.rpush(scene.keys.history("foo"), *pairs(map(str, range(5_001))))
    scene.submit("d", options=Options(truncation="disabled"))
    claim = scene.claim("d")
    assert (len(claim.window), claim.cut) == (10_000, True)


def human(text: str) -> str:
    return write(Element("human", {"content": text}, {}))


def tool(number: int) -> str:
    return write(Element("tool", {"content": str(number), "tool_call_id": "c"}, {}))


@pytest.mark.parametrize("question", [human("q"), '{"type": "human", "data": {"content": "by another writer"}}'])
@pytest.mark.parametrize("steps", [2, 3, 700])
def test_a_longer_exchange_is_whole_in_the_window(stage: Stage, question: str, steps: int) -> None:
    scene = stage.open(window_messages=3)
    exchange = [question, *map(tool, range(steps))]
    scene.client.rpush(scene.keys.history("foo"), *reversed([human("older"), *exchange]))
    assert [element.decode() for element in scene.start("a").window] == exchange[::-1]


@pytest.mark.parametrize("steps", [1_003, 20_000])
def test_an_exchange_of_a_thousand_messages_is_cut(stage: Stage, steps: int) -> None:
    scene = stage.open(window_messages=3)
    exchange = [human("q"), *map(tool, range(steps))]
    scene.client.rpush(scene.keys.history("foo"), *reversed(exchange))
    assert [element.decode() for element in scene.start("a").window] == exchange[:-4:-1]


def test_the_window_ends_where_its_bytes_end(stage: Stage) -> None:
    scene = stage.open(window_bytes=1_024)
    elements = [f"{n:02}{'x' * 98}" for n in range(30)]
    scene.client.rpush(scene.keys.history("foo"), *elements)
    claim = scene.start("a")
    assert [element.decode() for element in claim.window] == elements[:10]
    assert claim.cut
    scene.client.lpush(scene.keys.history("foo"), "y" * 1_025)
    scene.fail(claim)
    again = scene.start("b")
    assert (again.window, again.cut) == ((), True)


def test_a_window_that_its_bytes_do_not_end_is_not_cut(stage: Stage) -> None:
    scene = stage.open(window_bytes=1_024, window_messages=20)
    scene.client.rpush(scene.keys.history("foo"), *["x" * 10] * 30)
    claim = scene.start("a")
    assert (len(claim.window), claim.cut) == (20, False)


def left_out_of(scene: Scene, claim: Claim) -> list[bytes]:
    """Return the window that a claim has left out, read as a worker reads it."""
    assert claim.large
    assert claim.window == ()
    newest = scene.turns.read_newest(claim.session, claim.large) if claim.large.newest else []
    return newest + (scene.turns.read_first(claim.session, claim.large) if claim.large.first else [])


@pytest.mark.parametrize(
    ("window", "size", "messages", "newest"), [(40, 120_000, 12, 12), (3, 400_000, 9, 3), (40, 120_000, 30, 16)]
)
def test_a_large_window_is_left_out_and_told(stage: Stage, window: int, size: int, messages: int, newest: int) -> None:
    scene = stage.open(window_messages=window, window_bytes=2_000_000)
    opening, large = system("be brief"), [human(f"{n:02}" + "x" * size) for n in range(messages)]
    scene.client.rpush(scene.keys.history("foo"), *[opening, *large][::-1])
    claim = scene.start("a")
    scene.client.lpush(scene.keys.history("foo"), human("from elsewhere, meanwhile"))
    found = left_out_of(scene, claim)
    assert [element.decode() for element in found] == [opening, *large[-newest:]][::-1]
    assert claim.size == sum(map(len, found)) + len('"hi"') + len(Options().encode())
    assert (claim.question, claim.options, claim.cut) == ("hi", Options(), messages == 30)


def test_a_large_turn_that_found_no_room_is_told_as_before_unless_its_history_has_changed(stage: Stage) -> None:
    scene = stage.open(window_messages=3, window_bytes=2_000_000)
    large = [human(f"{n}" + "x" * 600_000) for n in range(4)]
    scene.client.rpush(scene.keys.history("foo"), *large[::-1])
    first = scene.start("a")
    scene.turns.requeue(first, forgive=True, code="no_room")
    # Nobody looks at the messages themselves.
    scene.client.delete(scene.keys.history("foo"))
    scene.client.rpush(scene.keys.history("foo"), *["small"] * 4)
    second = scene.claim("a")
    assert (second.large, second.size, second.cut) == (first.large, first.size, first.cut)
    assert second.attempts_left == first.attempts_left
    scene.turns.requeue(second, forgive=True, code="no_room")
    scene.client.lpush(scene.keys.history("foo"), "newer")
    third = scene.claim("a")
    assert (third.large, third.window) == (None, (b"newer", b"small", b"small"))


def test_a_window_of_a_megabyte_comes_with_its_claim(scene: Scene) -> None:
    elements = [human("x" * 120_000) for _ in range(8)]
    scene.client.rpush(scene.keys.history("foo"), *elements)
    claim = scene.start("a")
    assert (len(claim.window), claim.large) == (8, None)


def test_a_large_question_is_left_out(scene: Scene) -> None:
    picture = [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_100_000}}]
    options = Options(chain="c", before=[{"role": "user", "content": picture}])
    claim = scene.start("a", question="what?", options=options)
    assert (claim.question, claim.options, claim.chain) == ("", Options(), None)
    assert (claim.session, claim.token, claim.large and claim.large.asked) == ("foo", "1:n1", True)
    whole = claim.with_question(*scene.turns.read_asked("a"), b"").with_window([])
    assert (whole.question, whole.options, whole.chain) == ("what?", options, "c")
    assert claim.size == whole.size == sum(map(len, scene.turns.read_asked("a")))


def test_an_answer_to_a_large_turn_does_not_bring_that_turn_along(scene: Scene) -> None:
    picture = [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_100_000}}]
    origin = Options(chain="c", before=[{"role": "user", "content": picture}])
    scene.hold(scene.start("a", options=origin))
    scene.answer("b")
    assert scene.pop() == "b"
    claim = scene.claim("b")
    assert (claim.thread, claim.chain, claim.large and claim.large.asked) == ("a", None, True)
    assert claim.with_question(*scene.turns.read_asked("b"), scene.turns.read_asked("a")[1]).chain == "c"


def test_a_turn_that_is_gone_has_no_question(scene: Scene) -> None:
    assert scene.turns.read_asked("nobody") == (b"", b"")


def test_a_window_of_none(stage: Stage) -> None:
    scene = stage.open(window_messages=0)
    scene.complete(scene.start("a"))
    assert scene.start("b").window == ()


def test_a_turn_that_does_not_stream_has_no_start_event(scene: Scene) -> None:
    claim = scene.start("a", options=Options(stream=False))
    assert (claim.stream, claim.sequence) == (False, 0)
    assert scene.events("a") == []


def test_a_lost_reply_is_given_again(scene: Scene) -> None:
    scene.complete(scene.start("z"))
    scene.submit("a")
    first = scene.turns.claim("a", "w1", "nonce")
    before = scene.picture()
    again = scene.turns.claim("a", "w1", "nonce")
    assert isinstance(first, Claim)
    assert isinstance(again, Claim)
    assert (again.token, again.attempt, again.attempts_left, again.sequence) == ("1:nonce", 1, 4, 1)
    assert (again.question, again.window, again.started) == (first.question, first.window, first.started)
    assert again.window == tuple(element.encode() for element in reversed(pair("z")))
    assert scene.picture() == before


def test_of_two_workers_one_gets_the_turn(scene: Scene) -> None:
    scene.start("a", worker="w1")
    before = scene.picture()
    assert scene.turns.claim("a", "w2", "other") == "stale"
    assert scene.picture() == before


def test_a_turn_that_waits_is_not_to_be_had(scene: Scene) -> None:
    scene.submit("a", "b")
    assert scene.turns.claim("b", "w1", "n") == "stale"
    scene.claim("a")
    assert scene.turns.claim("b", "w1", "n") == "stale"


def test_a_doubled_dispatch_of_an_ended_turn_is_dropped(scene: Scene) -> None:
    claim = scene.start("a")
    scene.complete(claim)
    assert scene.turns.claim("a", "w1", "n") == "stale"
    assert scene.turns.claim("a", "w1", claim.token.partition(":")[2]) == "stale"
    scene.assert_idle()


def test_a_turn_that_waits_for_its_retry_is_not_to_be_had(scene: Scene) -> None:
    scene.turns.requeue(scene.start("a"), delay=60)
    assert scene.turns.claim("a", "w1", "n") == "stale"


def test_nobody_knows_the_turn(scene: Scene) -> None:
    assert scene.turns.claim("a", "w1", "n") == "unknown"
    assert scene.picture() == {}


def test_a_second_attempt_has_a_new_token_and_one_chance_less(scene: Scene) -> None:
    first = scene.start("a")
    scene.turns.requeue(first)
    second = scene.claim("a")
    assert (second.attempt, second.attempts_left) == (2, 3)
    assert second.token != first.token
    assert second.started == first.started
    assert scene.events("a") == [(1, "started", 1, ""), (2, "started", 2, "")]


def test_a_forgiven_attempt_costs_no_chance(scene: Scene) -> None:
    scene.turns.requeue(scene.start("a"), forgive=True)
    claim = scene.claim("a")
    assert (claim.attempt, claim.attempts_left) == (2, 4)


def test_a_cancelled_turn_cannot_be_claimed_again_with_the_same_nonce(scene: Scene) -> None:
    scene.submit("a", "b")
    scene.turns.claim("a", "w1", "nonce")
    scene.turns.cancel("a")
    assert scene.turns.claim("a", "w1", "nonce") == "stale"
    assert scene.state("b") is State.QUEUED


def test_a_history_of_the_wrong_type_is_told_with_the_claim(scene: Scene) -> None:
    scene.client.set(scene.keys.history("foo"), "not a list")
    scene.submit("a", "b")
    claim = scene.claim("a")
    assert (claim.readable, claim.window) == (False, ())
    scene.fail(claim, "history_unreadable")
    assert (scene.state("a"), scene.queue()[-1]) == (State.FAILED, "b")
    assert scene.client.get(scene.keys.history("foo")) == "not a list"


def test_accepted_work_is_done_without_memory(cramped: tuple[Scene, Memory]) -> None:
    scene, memory = cramped
    scene.submit("a")
    memory.fill()
    assert scene.claim("a").attempt == 1


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize("writes", range(4))
def test_claims_that_were_cut_short_before_the_turn_began_cost_no_chance(scene: Scene, writes: int, stream: bool) -> None:
    scene.submit("a", options=Options(stream=stream))
    for number in range(8):
        with cut(scene.turns, "claim", writes if stream else min(writes, 2)) as happened:
            scene.turns.claim(str(scene.pop()), "w1", f"cut{number}")
        assert happened
        scene.make_due()
        scene.turns.sweep()
    claim = scene.claim(str(scene.pop()))
    assert (claim.attempt, claim.attempts_left) == (1, 4)
    assert scene.events("a") == ([(1, "started", 1, "")] if stream else [])
    assert scene.complete(claim) is State.COMPLETED


def test_a_claim_that_was_cut_short_between_its_last_writes_is_one_attempt(scene: Scene) -> None:
    scene.submit("a")
    for writes in (5, 2):
        with cut(scene.turns, "claim", writes) as happened:
            scene.turns.claim(str(scene.pop()), "w1", f"cut{writes}")
        assert happened
        assert scene.seat()["phase"] == "dispatched"
        scene.make_due()
        scene.turns.sweep()
    assert scene.claim(str(scene.pop())).attempt == 1
    assert scene.events("a") == [(1, "started", 1, "")]


def test_a_count_that_is_refused_stops_no_claim_that_is_made_again(scene: Scene) -> None:
    scene.submit("a", options=Options(stream=False))
    with cut(scene.turns, "claim", 6) as happened:
        scene.turns.claim("a", "w1", "nonce")
    assert happened
    claim = scene.turns.claim("a", "w1", "nonce")
    assert isinstance(claim, Claim)
    assert (claim.attempt, scene.complete(claim)) == (1, State.COMPLETED)
