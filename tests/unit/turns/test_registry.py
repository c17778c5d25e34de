"""The settings that a process publishes, and its comparison with those of others."""

import json

import pytest
from pydantic import SecretStr

from turnstile.turns.redis.scripts import digest
from turnstile.turns.settings import Settings
from turnstile.turns.store.registry import MUST_AGREE, SHOULD_AGREE, Facts, introduce, objection, oddities

OURS = Settings()
OTHER = {
    "history_prefix": "theirs:", "history_ttl": 8.5, "result_ttl": 60.0, "failed_ttl": 61.0, "events_ttl": 62.0,
    "steps_ttl": 660.0, "window_messages": 3, "window_tokens": 4, "window_block": 0.25,
    "max_waiting_per_session": 5, "max_waiting": 6,
    "lease_seconds": 7.0, "dispatch_grace_seconds": 8.0, "max_attempts": 9, "intake_queue": "theirs", "webhook_seconds": 10.0,
    "show_content": True, "hold_seconds": 11.0, "model_budgets": '{"*": {"requests": 12}}',
    "summary": "default",
}  # fmt: skip


def test_every_time_to_live_and_prefix_of_what_is_stored_must_agree() -> None:
    named = {name for name in Settings.model_fields if name.endswith(("_ttl", "_prefix"))}
    # With another prefix of the queue the registered workers are others; files are the gateways' alone.
    assert set(MUST_AGREE) == named - {"key_prefix", "file_ttl"}
    assert set(OTHER) == {*MUST_AGREE, *SHOULD_AGREE}


@pytest.mark.parametrize("field", MUST_AGREE)
def test_what_would_lose_something_is_an_objection(field: str) -> None:
    workers = {"w1": introduce(OURS), "w2": introduce(Settings(**{field: OTHER[field]}))}
    line = objection(OURS, workers)
    assert line.startswith(f"{Settings.variable(field)} is ")
    assert " here and " in line
    assert "at worker w2" in line
    assert oddities(OURS, workers) == []
    assert workers["w1"]["fingerprint"] != workers["w2"]["fingerprint"]


@pytest.mark.parametrize("field", SHOULD_AGREE)
def test_what_is_only_odd_is_told(field: str) -> None:
    workers = {name: introduce(Settings(**{field: OTHER[field]})) for name in ("w1", "w2")}
    assert objection(OURS, workers) == ""
    [line] = oddities(OURS, workers)
    assert line.startswith(f"{Settings.variable(field)} is ")
    assert line.endswith(" at worker w1")
    assert workers["w1"]["fingerprint"] == introduce(OURS)["fingerprint"]


def test_the_rest_of_the_settings_may_differ() -> None:
    workers = {"w1": introduce(Settings(concurrency=1, model="another", system_prompt="Be brief.", log_level="ERROR"))}
    assert objection(OURS, workers) == ""
    assert oddities(OURS, workers) == []


def test_values_are_said_as_they_are_written() -> None:
    said = introduce(Settings(result_ttl=2_592_000, failed_ttl=0.25))["settings"]
    assert said["TURNSTILE_RESULT_TTL"] == "2592000"
    assert said["TURNSTILE_FAILED_TTL"] == "0.25"
    assert said["TURNSTILE_HISTORY_TTL"] == "unset"
    assert said["TURNSTILE_HISTORY_PREFIX"] == "message_store:"


def test_those_who_tell_nothing_of_a_setting_do_not_differ() -> None:
    shared = dict(introduce(OURS)["settings"])
    del shared["TURNSTILE_HISTORY_TTL"]
    workers: dict[str, Facts] = {"older": {"seen": 1}, "w1": {"settings": shared}}
    assert objection(Settings(history_ttl=8), workers) == ""


def test_a_client_minds_only_what_it_would_meet() -> None:
    workers = {"w1": introduce(Settings(history_ttl=8))}
    assert objection(OURS, workers)
    assert objection(OURS, workers, ("history_prefix",)) == ""


def test_nothing_secret_is_told() -> None:
    secret = Settings(
        redis_url="redis://:sesame@localhost",
        openai_api_key=SecretStr("sesame"),
        system_prompt="sesame",
        api_keys=SecretStr("sesame"),
    )
    assert "sesame" not in json.dumps(introduce(secret))
    assert introduce(secret) == introduce(OURS)


def test_the_version_of_the_scripts_does_not_depend_on_settings() -> None:
    assert introduce(Settings(key_prefix="other:", lease_seconds=3))["scripts"] == introduce(OURS)["scripts"] == digest()
