"""Sessions that are exported and imported, and tenants that are erased."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
import redis
from pydantic import SecretStr

from tests.integration.producers.conftest import Run
from tests.support.step_worker import StepWorker, answering, element
from tests.support.wait import PATIENCE_SECONDS
from turnstile.producers import archive
from turnstile.producers.client import ChatClient
from turnstile.turns.api_keys import Limits, key_id, new_key, new_secret
from turnstile.turns.output import said
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.store.working import Outcome
from turnstile.turns.summaries import Summary, mark, name
from turnstile.turns.turn import Claim

ELSEWHERE = '{"type": "human", "data": {"content": "hi", "type": "human"}}'


@pytest.fixture
def other(settings: Settings) -> TurnStore:
    """Return a store of another deployment on the same server."""
    return TurnStore(settings.model_copy(update={"key_prefix": "other:", "history_prefix": "other_store:"}))


@pytest.fixture
def history(settings: Settings, asked: ChatClient) -> TurnStore:
    """Return a store with sessions of two tenants."""
    store = TurnStore(settings)
    with answering(settings):
        store.begin("acme/1", {"topic": "fish"})
        for question in ("One?", "Two? \U0001f41f\x1b[31m"):
            asked.ask("acme/1", question).result(timeout=PATIENCE_SECONDS)
        asked.ask("umbrella/1", "Three?").result(timeout=PATIENCE_SECONDS)
    return store


def _lines(store: TurnStore, *sessions: str) -> list[bytes]:
    return [json.dumps(line).encode() for session in sessions for line in archive.read_session(store, session)]


def _client(store: TurnStore) -> Any:
    return redis.Redis.from_url(store.url)


def test_an_imported_session_is_as_it_was(history: TurnStore, other: TurnStore) -> None:
    lines = _lines(history, "acme/1")
    assert list(archive.write_sessions(other, lines)) == [("acme/1", 4, "")]
    assert other.history("acme/1") == history.history("acme/1")
    assert other.read_conversation("acme/1").metadata == {"topic": "fish"}
    assert list(archive.write_sessions(other, lines)) == [("acme/1", 0, "")]
    assert other.count_messages("acme/1") == 4
    other.submit("next", "acme/1", "And now?")
    claim = other.claim("next", "w1", "nonce")
    assert isinstance(claim, Claim)
    assert list(claim.window) == history.history("acme/1")


def test_messages_from_elsewhere_that_are_alike_all_come_along(history: TurnStore, other: TurnStore) -> None:
    for _ in range(3):
        _client(history).lpush(history.keys.history("plain"), ELSEWHERE)
    lines = _lines(history, "plain")
    assert list(archive.write_sessions(other, lines)) == [("plain", 3, "")]
    assert list(archive.write_sessions(other, lines)) == [("plain", 0, "")]
    assert [json.loads(element)["data"]["content"] for element in other.history("plain")] == ["hi"] * 3


def test_messages_that_nobody_can_read_are_left_out(history: TurnStore, other: TurnStore) -> None:
    for stored in (ELSEWHERE, "garbage", "{}", "[1]", ELSEWHERE):
        _client(history).lpush(history.keys.history("odd"), stored)
    lines = _lines(history, "odd")
    assert len(lines) == 6
    assert list(archive.write_sessions(other, lines)) == [("odd", 2, "")]
    assert list(archive.write_sessions(other, lines)) == [("odd", 0, "")]


def test_a_summary_comes_along(history: TurnStore, other: TurnStore) -> None:
    stored = [ELSEWHERE.replace("hi", str(number)) for number in range(5)]
    _client(history).lpush(history.keys.history("long"), *stored[:2], "garbage", *stored[2:])
    history.write_summary("long", "", Summary(mark(4, stored[2].encode()), "a summary"))
    lines = _lines(history, "long")
    assert json.loads(lines[5]) == {"session": "long", "summary": "a summary"}
    for written in (5, 0):
        assert list(archive.write_sessions(other, lines)) == [("long", written, "")]
        summary = other.read_summary("long")
        assert summary
        assert (summary.place, summary.text) == (3, "a summary")


def test_an_import_that_was_interrupted_goes_on(history: TurnStore, other: TurnStore) -> None:
    client = _client(history)
    for number in range(2_345):
        client.lpush(history.keys.history("long"), ELSEWHERE.replace("hi", f"message {number}"))
    lines = _lines(history, "long")
    with pytest.raises(archive.BadLine):
        list(archive.write_sessions(other, [*lines[:1_700], b"{}"]))
    assert 0 < other.count_messages("long") < 1_700
    [(_, written, refused)] = archive.write_sessions(other, lines)
    assert 0 < written < 2_345
    assert not refused
    told = [json.loads(element)["data"]["content"] for element in reversed(other.history("long"))]
    assert told == [f"message {number}" for number in range(2_345)]


def test_a_session_that_is_there_is_left_as_it_is(history: TurnStore, other: TurnStore) -> None:
    other.begin("acme/1", {})
    [taken, refused] = archive.write_sessions(other, _lines(history, "umbrella/1", "acme/1"))
    assert taken == ("umbrella/1", 2, "")
    assert refused[:2] == ("acme/1", 0)
    assert "There is such a session" in refused[2]
    assert other.count_messages("acme/1") == 0


def test_a_session_that_has_gone_on_is_left_as_it_is(history: TurnStore, other: TurnStore) -> None:
    lines = _lines(history, "acme/1")
    assert list(archive.write_sessions(other, lines)) == [("acme/1", 4, "")]
    other.amend("acme/1", messages=['{"type":"human","data":{"content":"more"},"turnstile":{"item":"more"}}'])
    [(_, written, refused)] = archive.write_sessions(other, lines)
    assert written == 0
    assert "has gone on" in refused


def _scheduled(store: TurnStore) -> None:
    """Have questions asked in a session that has messages, and in one that has none."""
    options = Options(instructions="Be brief.", metadata={"topic": "fish"})
    terms: Any = {
        "when_busy": "merge",
        "weight": 3,
        "quotas": Limits(unfinished_turns=2, requests_per_minute=9).with_requests("k"),
    }
    store.schedule("m", "acme/1", "What is new?", options, cron="0 9 * * 1-5", time_zone="Asia/Tokyo", now=1, **terms)
    store.schedule("n", "acme/9", "And now?", cron="0 9 1 1 *", missed="all", now=1)
    store.ask_later("o", "acme/1", "And then?", not_before=4e9)


def _stored(store: TurnStore, id: str) -> dict[bytes, bytes]:
    """Return the record of a schedule, without what is of its own time."""
    record = _client(store).hgetall(store.keys.schedule(id))
    return {name: value for name, value in record.items() if name not in (b"created", b"tick")}


def test_schedules_come_along_and_go_on_from_now(history: TurnStore, other: TurnStore) -> None:
    _scheduled(history)
    assert set(archive.sessions(history, "acme")) == {"acme/1", "acme/9"}
    lines = _lines(history, "acme/1", "acme/9")
    for written in (4, 0):
        told = list(archive.write_sessions(other, lines, with_rights=True))
        assert told == [("acme/1", written, ""), ("acme/9", 0, "")]
    assert {schedule.id for schedule in other.schedules()} == {"m", "n"}
    for id in ("m", "n"):
        assert _stored(other, id) == _stored(history, id)
    assert all(schedule.next > other.now() for schedule in other.schedules())


def test_a_schedule_that_is_refused_is_told(history: TurnStore, other: TurnStore) -> None:
    _scheduled(history)
    other.schedule("n", "elsewhere", "hi", cron="0 9 * * *", now=1)
    [_, refused] = archive.write_sessions(other, _lines(history, "acme/1", "acme/9"))
    assert refused[:2] == ("acme/9", 0)
    assert "taken by another schedule" in refused[2]


def _rights(store: TurnStore, session: str, options: dict[str, Any] | None = None, **terms: Any) -> tuple[int, Any] | str:
    """Return the weight and the quotas with which a schedule is imported, or why it is refused."""
    line = json.loads(_schedule_line(json.dumps(options or {}).encode()))
    line = {"session": session, "schedule": line["schedule"] | {"weight": 100, "quotas": {"running_turns": 1000}} | terms}
    head = {"session": session, "created": 1, "metadata": {}}
    [(_, _, refused)] = archive.write_sessions(store, [json.dumps(line).encode() for line in (head, line)])
    found = store.schedule_terms("m")
    store.remove_schedule("m")
    return (found.weight, json.loads(found.quotas or "{}")) if found else refused


def test_weights_and_quotas_are_those_of_the_keys_here(settings: Settings) -> None:
    keys = [
        new_key("strict", "acme", limits={"tokens_per_day": 5, "running_turns": 9, "models": ["small"]}, weight=3),
        new_key("large", "acme", limits={"tokens_per_day": 7, "spend_per_day": 0.5, "requests_per_minute": 1}, weight=2),
        new_key("operator", role="operator"),
        new_key("own", limits={"unfinished_turns": 4}),
    ]
    told = SecretStr(json.dumps({key.digest: key.entry for key in keys}))
    store = TurnStore(settings.model_copy(update={"api_keys": told}))
    paced = {"spend_per_day": 500_000, "requests_per_minute": 1, "key": key_id(keys[1].digest)}
    assert _rights(store, "acme/1") == (2, {"tokens_per_day": 5, "running_turns": 9, **paced})
    assert _rights(store, "acme/1", {"model": "other"}) == (2, {"tokens_per_day": 7, **paced})
    assert _rights(store, "1") == (1, {"unfinished_turns": 4})
    assert _rights(store, "umbrella/1") == (1, {})
    small = TurnStore(settings.model_copy(update={"api_keys": SecretStr(json.dumps({keys[0].digest: keys[0].entry}))}))
    assert "may name the schedule's model" in str(_rights(small, "acme/1", {"model": "other"}))
    assert "may name the schedule's model" in str(_rights(small, "acme/1", {"chain": "agent"}))
    assert _rights(TurnStore(settings), "acme/1") == (1, {})


def test_schedules_come_behind_all_messages(history: TurnStore, other: TurnStore) -> None:
    lines = _lines(history, "acme/1")
    schedule = _schedule_line(b"{}").replace(b'"session": "a"', b'"session": "acme/1"')
    [(_, _, refused)] = archive.write_sessions(other, [*lines[:2], schedule, *lines[2:]])
    assert "behind all messages" in refused


def test_a_file_is_read_in_bounded_pieces(other: TurnStore, run: Run) -> None:
    head, most = b'{"session": "a", "created": 1, "metadata": {}}\n', archive._MOST_LINE_BYTES
    large = b'{"session": "a", "message": {"type": "human", "data": {"content": "' + b"x" * 5_000_000
    many = b'{"session": "a", "message": [' + b"[]," * 200_000 + b"[]]}"
    for line in (large + b"x" * (most - len(large) + 1), large * 20, many):
        with pytest.raises(archive.BadLine, match="Line 2 is larger"):
            list(archive.write_sessions(other, archive.bounded_lines(io.BytesIO(head + line))))
    assert max(map(len, archive.bounded_lines(io.BytesIO(large * 20)))) == most + 1
    assert [len(piece) for piece in archive._in_pieces(iter(["x" * 600_000] * 3 + ["x"] * 250))] == [1, 1, 100, 100, 51]
    result = run("import", "-", input=gzip.compress(head))
    assert result.exit_code == 2
    assert "Line 1 is compressed" in result.output


def _schedule_line(options: bytes) -> bytes:
    rule = b'"cron": "0 9 * * *", "time_zone": "UTC", "missed": "once", "when_held": "queue", "when_busy": "queue"'
    terms = b'"id": "m", "question": "hi", "weight": 1, "quotas": {}'
    return b'{"session": "a", "schedule": {%s, %s, "options": %s}}' % (terms, rule, options)


def _with_webhook(store: TurnStore, session: str, webhook: dict[str, str]) -> str:
    """Return why a schedule with a webhook is refused; empty if it is not."""
    schedule = {**json.loads(_schedule_line(json.dumps({"webhook": webhook}).encode())), "session": session}
    head = {"session": session, "created": 1, "metadata": {}}
    [(_, _, refused)] = archive.write_sessions(store, [json.dumps(line).encode() for line in (head, schedule)])
    assert [found.id for found in store.schedules(session)] == ([] if refused else ["m"])
    return refused


def test_a_webhook_that_no_new_question_could_have_is_refused(settings: Settings) -> None:
    key = new_key("shop", "acme", webhook_url="https://own.example.com/x")
    id = key_id(key.digest)
    keys = {"api_keys": SecretStr(json.dumps({key.digest: key.entry})), "webhook_allow": "hooks.example.com"}
    unsigned = TurnStore(settings.model_copy(update=keys))
    store = TurnStore(settings.model_copy(update={**keys, "webhook_secret": SecretStr(new_secret())}))
    elsewhere = "http://169.254.169.254/"
    assert "TURNSTILE_WEBHOOK_ALLOW" in _with_webhook(store, "acme/1", {"url": elsewhere, "key": id})
    assert "TURNSTILE_WEBHOOK_ALLOW" in _with_webhook(store, "1", {"url": "https://own.example.com/x"})
    assert "an API key" in _with_webhook(store, "umbrella/1", {"url": "https://hooks.example.com/", "key": id})
    assert "an API key" in _with_webhook(store, "acme/1", {"url": "https://hooks.example.com/", "key": "unknown"})
    assert "must be an http" in _with_webhook(store, "acme/1", {"key": id})
    assert "no secret" in _with_webhook(unsigned, "1", {"url": "https://hooks.example.com/"})
    for session, webhook in (
        ("acme/1", {"url": "https://own.example.com/x", "key": id}),
        ("1", {"url": "https://hooks.example.com/y", "key": ""}),
    ):
        assert not _with_webhook(store, session, webhook)
        store.remove_schedule("m")


@pytest.mark.parametrize(
    "bad",
    [
        b"no JSON",
        b"[]",
        b'{"session": "a b", "metadata": {}}',
        b'{"session": "a", "metadata": {"k": 1}}',
        b'{"session": "a", "metadata": {"k": "%s"}}' % (b"x" * 65_536),
        b'{"session": "a"}',
        b'{"session": "a", "schedule": {}}',
        b'{"session": "a", "schedule": {"id": "m", "quotas": [], "weight": 1, "question": "hi", "options": {}}}',
        b'{"session": "a", "schedule": {"id": "m", "quotas": {"a": "b"}, "weight": 1, "question": "hi", "options": {}}}',
        b'{"session": "a", "schedule": {"id": "m", "quotas": {"tokens": 1}, "weight": 1, "question": "hi", "options": {}}}',
        _schedule_line(b"{}").replace(b'"quotas": {}', b'"quotas": {"requests_per_minute": 1}'),
        _schedule_line(b"{}").replace(b'"quotas": {}', b'"quotas": {"requests_per_minute": 1, "key": 7}'),
        _schedule_line(b"{}").replace(b'"quotas": {}', b'"quotas": {"requests_per_minute": 1, "key": ""}'),
        _schedule_line(b"{}").replace(b'"weight": 1', b'"weight": true'),
        _schedule_line(b"{}").replace(b'"quotas": {}', b'"quotas": {"tokens_per_day": 1e400}'),
        _schedule_line(b"{}").replace(b'"quotas": {}', b'"quotas": {"tokens_per_day": -1}'),
        _schedule_line(b'{"webhook": "https://hooks.example.com/"}'),
        _schedule_line(b'{"summarises": {"session": "a", "after": "", "place": 1}}'),
        b'{"session": "a", "summary": 1}',
    ],
)
def test_a_line_that_is_none_is_told_by_its_number(history: TurnStore, other: TurnStore, bad: bytes) -> None:
    with pytest.raises(archive.BadLine, match="Line 4 "):
        list(archive.write_sessions(other, [*_lines(history, "umbrella/1"), bad]))
    assert other.count_messages("umbrella/1") == 2


def test_the_commands(history: TurnStore, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "sessions.jsonl"
    history.submit("summing", f"acme/{name('acme/1')}", "Sum up.")
    file.write_bytes(run("export", "--all").stdout_bytes)
    assert {json.loads(line)["session"] for line in file.read_bytes().splitlines()} == {"acme/1", "umbrella/1"}
    assert run("export", "--tenant", "acme").stdout == run("export", "acme/1").stdout
    assert run("export", "nowhere").exit_code == 1
    for wrong in ((), ("acme/1", "--all"), ("--tenant", "acme", "--all")):
        assert run("export", *wrong).exit_code == 2
    history.erase("acme/1")
    result = run("import", str(file), "--json")
    assert result.exit_code == 1
    told = {line["session"]: line for line in map(json.loads, result.stdout.splitlines())}
    assert told["acme/1"] == {"session": "acme/1", "messages": 4, "refused": None}
    assert "There is such a session" in told["umbrella/1"]["refused"]
    assert history.count_messages("acme/1") == 4
    assert run("import", "-", input="nothing\n").exit_code == 2


def test_a_session_of_turns_that_sum_up_is_told_by_what_it_holds(history: TurnStore, other: TurnStore, run: Run) -> None:
    summing, named, talkative, scheduled = (f"acme/{name(part)}" for part in ("acme/1", "named", "talkative", "scheduled"))
    history.submit("summing", summing, "Sum up.")
    history.begin(named, {"topic": "fish"})
    history.begin(talkative, {}, [ELSEWHERE])
    history.schedule("n", scheduled, "And now?", cron="0 9 1 1 *", now=1)
    lines = run("export", "--tenant", "acme").stdout_bytes.splitlines()
    assert {json.loads(line)["session"] for line in lines} == {"acme/1", named, talkative, scheduled}
    assert not [refused for _, _, refused in archive.write_sessions(other, lines) if refused]
    assert other.count_messages(talkative) == 1


def test_of_a_tenant_alone_no_other_is_imported(history: TurnStore, run: Run) -> None:
    _scheduled(history)
    own, foreign, later = (_lines(history, session) for session in ("acme/1", "umbrella/1", "acme/9"))
    for session in ("acme/1", "acme/9", "umbrella/1"):
        history.erase(session)
    arguments = ("import", "--tenant", "acme", "-")
    result = run(*arguments, input=b"\n".join([*own, *foreign, *later]))
    assert result.exit_code == 2
    assert f"Line {len(own) + 1} is of a session that is not tenant acme's" in result.output
    assert set(archive.sessions(history)) == {"acme/1"}
    assert history.count_messages("acme/1") == 4
    assert [schedule.id for schedule in history.schedules()] == ["m"]
    assert run(*arguments, input=b"\n".join([*own, *later])).exit_code == 0
    assert set(archive.sessions(history)) == {"acme/1", "acme/9"}
    assert run("import", "--tenant", "a b", "-", input=b"").exit_code == 2


def test_nothing_is_left_of_an_erased_tenant(history: TurnStore, step_worker: StepWorker, run: Run) -> None:
    client = _client(history)
    client.delete(history.keys.stats)
    history.erase("umbrella/1")
    before = set(client.keys("*"))
    for tenant in ("acme", "acme2"):
        history.create_file(tenant, f"file-{tenant}", "x.jsonl")
        history.append_piece(tenant, f"file-{tenant}", 0, 0, b"a line", last=True)
        history.create_batch(tenant, f"batch-{tenant}", f"file-{tenant}", "{}", "print", 60)
        for number in range(3):
            history.submit(f"{tenant}{number}", f"{tenant}/2", "hi", quotas='{"running_turns":1}')
        history.submit(f"{tenant}3", f"{tenant}/3", "hi")
        history.open_stream(tenant, "stream", 3)
        history.begin(f"{tenant}/4", {}, most=3)
        history.ask_later(f"{tenant}-later", f"{tenant}/4", "hi", not_before=4e9)
        for number in range(2):
            history.schedule(f"{tenant}-each-day-{number}", f"{tenant}/5", "hi", cron="0 9 * * *", now=1)
        for number, full in enumerate(([], ["*"])):
            told = Options(webhook={"url": "https://hooks.example.com/", "key": f"key-of-{tenant}"})
            history.submit(f"{tenant}-told-{number}", f"{tenant}/6", "hi", told)
            history.cancel(f"{tenant}-told-{number}")
            history.claim_webhook(f"{tenant}-told-{number}", full)
    running = [step_worker.take() for _ in range(2)]
    result = run("erase", "--tenant", "acme", "--yes", "--json")
    assert json.loads(result.stdout) == {"sessions": 5, "turns": 8, "messages": 4, "files": 2, "schedules": 3}
    for claim in running:
        if claim.session.startswith("acme/"):
            late = [element("human", "hi", claim.id), element("ai", "late", claim.id)]
            assert history.finish(claim, Outcome(State.COMPLETED, said("late")), late) is None
    left = {key.decode() for key in set(client.keys("*")) - before}
    assert not [key for key in left if "acme" in key and "acme2" not in key]
    sets = [key for key in client.keys("*") if client.type(key) == b"zset"]
    assert not [name for key in sets for name in client.zrange(key, 0, -1) if b"acme" in name and b"acme2" not in name]
    assert client.zrange(history.keys.webhook_line("key-of-acme2"), 0, -1) == [b"acme2-told-1"]
    assert history.keys.file("file-acme2") in left
    assert json.loads(run("erase", "--tenant", "acme", "--yes", "--json").stdout)["sessions"] == 0
    assert run("erase").exit_code == run("erase", "foo", "--tenant", "acme").exit_code == 2
