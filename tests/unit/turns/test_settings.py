"""Settings: validated when they are loaded, and a bad one is named."""

import re

import pytest
from pydantic import SecretStr, ValidationError

from turnstile.turns.errors import SettingError
from turnstile.turns.settings import Settings

FIELDS = tuple(Settings.model_fields)

BAD = {
    "key_prefix": ("", "a b", "x" * 65, "é"),
    "history_prefix": ("a b", "a*", "turnstile:", "turnstile:session:", "turn"),
    "history_ttl": ("0", "-1", "x", "nan", "inf", "1e10"),
    "result_ttl": ("0", "nan"),
    "failed_ttl": ("0", "inf"),
    "events_ttl": ("-5", "soon"),
    "steps_ttl": ("0", "inf"),
    "window_messages": ("-1", "1.5", "10001"),
    "window_tokens": ("-1", "many"),
    "window_block": ("-0.1", "0.91", "nan"),
    "max_question_bytes": ("0", "1e9"),
    "max_body_bytes": ("0", "big"),
    "max_waiting_per_session": ("0", "10001"),
    "max_waiting": ("0", "99999999"),
    "max_schedules": ("0", "many"),
    "lease_seconds": ("0.4", "3601", "nan"),
    "dispatch_grace_seconds": ("0.1", "nan"),
    "sweep_seconds": ("0", "61"),
    "max_attempts": ("0", "101", "two"),
    "turn_seconds": ("0", "nan"),
    "retry_base_seconds": ("0",),
    "retry_max_seconds": ("0", "inf"),
    "concurrency": ("0", "10001", "2.5"),
    "shutdown_seconds": ("-1", "nan"),
    "intake_queue": ("a b", "x" * 65, "chat", "batch", "webhooks"),
    "chain": ("nocolon", "a:b:c", "a b:c", ":x", "x:"),
    "model_budgets": ("[]", "{", '{"a": {}}', '{"a": {"requests": 0}}', '{"a": {"rpm": 1}}', '{"a b": {"requests": 1}}'),
    "chains": (
        "[]",
        "{",
        '{"a b": "m:c"}',
        '{"a": "nocolon"}',
        '{"a": 1}',
        '{"a": {}}',
        '{"a": {"chain": "m:c"}}',
        '{"a": {"model": "a,a"}}',
        '{"a": {"model": ""}}',
        '{"a": {"model": ["a"]}}',
        '{"a": {"chain": "nocolon", "model": "a"}}',
        '{"a": {"model": "a", "tools": "m:t"}}',
    ),
    "max_steps": ("0", "many"),
    "max_model_calls": ("0",),
    "max_turn_tokens": ("-1",),
    "model": ("x" * 201, "two words", " ", "a,", "a,,b", "a, b", "a,b,a", ",".join("abcdefghijk")),
    "model_servers": (
        "[]",
        "{",
        '{"b": {}}',
        '{"b": {"url": "ftp://h"}}',
        '{"b": {"url": "http://h", "k": "x"}}',
        '{"gpt-4o-mini": {"url": "http://h"}}',
    ),
    "fallback_seconds": ("-1", "3601", "soon"),
    "openai_base_url": ("nonsense", "file:///etc/hostname", "http://", "ftp://h/v1", "http://h/v1?a=b", "http://h:port/v1"),
    "cors_origins": ("*", "app.example.com", "https://app.example.com/", "HTTPS://a.example", "null"),
    "trusted_hosts": ("!!", "http://host"),
    "file_hosts": ("!!", "http://host"),
    "webhook_allow": ("!!", "http://host", "host/path", "a?b"),
    "webhook_secret": ("x", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    "data_dir": ("data", "./data"),
    "temperature": ("-0.1", "2.1", "hot", "nan"),
    "max_output_tokens": ("0",),
    "model_timeout": ("0",),
    "show_content": ("maybe", "2"),
    "log_level": ("info", "TRACE"),
}


def test_the_defaults_are_good() -> None:
    settings = Settings.load({})
    assert settings == Settings()
    assert settings.offline
    assert (settings.key_prefix, settings.history_prefix) == ("turnstile:", "message_store:")


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in BAD.items() for v in values if v])
def test_a_bad_value_names_its_variable(field: str, value: str) -> None:
    variable = Settings.variable(field)
    with pytest.raises(SettingError, match=rf"^{variable} is not valid: .+\.$"):
        Settings.load({variable: value})


@pytest.mark.parametrize("name", ["TURNSTILE_HOLD_SECONDS", "TURNSTILE_TURN_SECONDS"])
def test_steps_that_would_be_lost_while_they_are_needed_are_told_of(name: str) -> None:
    with pytest.raises(SettingError, match=rf"^{name} is not valid: TURNSTILE_STEPS_TTL keeps .* 604800 seconds"):
        Settings.load({name: "604801"})
    with pytest.raises(SettingError, match="TURNSTILE_STEPS_TTL keeps a graph's steps for 60 seconds"):
        Settings.load({"TURNSTILE_STEPS_TTL": "60"})
    Settings.load({name: "604801", "TURNSTILE_STEPS_TTL": "604801"})


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in BAD.items() for v in values if v])
def test_a_bad_value_is_explained_in_words(field: str, value: str) -> None:
    with pytest.raises(SettingError) as caught:
        Settings.load({Settings.variable(field): value})
    assert not re.search(r"pattern|\\|\^|\$", str(caught.value)), caught.value


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_has_a_variable_and_says_what_it_is(field: str) -> None:
    description = Settings.model_fields[field].description
    assert description is not None
    assert description.strip().endswith(".")
    assert Settings.variable(field).isupper()


def test_no_two_fields_share_a_variable() -> None:
    assert len({Settings.variable(field) for field in FIELDS}) == len(FIELDS)


def test_the_variables_that_others_know_have_no_prefix() -> None:
    plain = {Settings.variable(field) for field in FIELDS if not Settings.variable(field).startswith("TURNSTILE_")}
    assert {"REDIS_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL"} <= plain


@pytest.mark.parametrize("field", FIELDS)
def test_empty_is_unset(field: str) -> None:
    assert Settings.load({Settings.variable(field): ""}) == Settings()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TURNSTILE_LEASE_SECOND", "TURNSTILE_LEASE_SECONDS"),
        ("TURNSTILE_lease_seconds", "TURNSTILE_LEASE_SECONDS"),
        ("TURNSTILE_API_KEY", "TURNSTILE_API_KEYS"),
        ("TURNSTILE_REDIS_URL", "REDIS_URL"),
        ("TURNSTILE_OPENAI_API_KEY", "OPENAI_API_KEY"),
        ("TURNSTILE_HISTROY_TTL", "TURNSTILE_HISTORY_TTL"),
    ],
)
def test_a_misspelt_variable_is_warned_of(name: str, meant: str, caplog: pytest.LogCaptureFixture) -> None:
    assert Settings.load({name: "hunter2"}) == Settings()
    [line] = caplog.messages
    assert line == f"{name} is not a setting of Turnstile and has no effect; did you mean {meant}?"


@pytest.mark.parametrize(
    "name", ["SECRET_KEY", "SITE_KEY", "SITEKEY", "SECRET", "ENABLED", "KEY", "URL", "HOST", "VERIFY_URL", ""]
)
def test_variables_of_another_program_with_our_prefix_are_passed_over(name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert Settings.load({f"TURNSTILE_{name}": "x"}) == Settings()
    assert caplog.messages == []


def test_variables_of_others_are_none_of_our_business() -> None:
    assert Settings.load({"PATH": "/bin", "LEASE_SECONDS": "x", "turnstile_model": "y", "model": "z"}) == Settings()


def test_values_are_read_as_what_they_are() -> None:
    loaded = Settings.load(
        {
            "REDIS_URL": "redis://h/1",
            "OPENAI_API_KEY": "sk",
            "TURNSTILE_MAX_ATTEMPTS": "3",
            "TURNSTILE_LEASE_SECONDS": "0.5",
            "TURNSTILE_SHOW_CONTENT": "true",
            "TURNSTILE_HISTORY_TTL": "60",
            "TURNSTILE_CHAIN": "my.chains:bot",
        }
    )
    assert loaded == Settings(
        redis_url="redis://h/1",
        openai_api_key=SecretStr("sk"),
        max_attempts=3,
        lease_seconds=0.5,
        show_content=True,
        history_ttl=60,
        chain="my.chains:bot",
    )
    assert not loaded.offline


def test_the_environment_is_read_when_nothing_else_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNSTILE_MODEL", "from-the-environment")
    assert Settings.load().model == "from-the-environment"


@pytest.mark.parametrize(("key", "url", "offline"), [("", "", True), ("k", "", False), ("", "http://x", False)])
def test_offline_is_neither_key_nor_server(key: str, url: str, offline: bool) -> None:
    assert Settings(openai_api_key=SecretStr(key), openai_base_url=url).offline is offline


def test_secrets_are_not_shown() -> None:
    secrets = [name for name, field in Settings.model_fields.items() if field.annotation is SecretStr]
    assert "openai_api_key" in secrets
    for field in secrets:
        secret = "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIy"
        value = f'{{"b": {{"url": "http://h", "key": "{secret}"}}}}' if field == "model_servers" else secret
        loaded = Settings.load({Settings.variable(field): value})
        assert secret not in repr(loaded)
        assert secret not in str(loaded.model_dump())


def test_a_bad_value_is_not_quoted() -> None:
    with pytest.raises(SettingError) as caught:
        Settings.load({"TURNSTILE_LEASE_SECONDS": "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("key", "history"), [("turnstile:", "t"), ("a:", "a:"), ("app:", "app:turn:"), ("app:history:", "app:")]
)
def test_no_session_s_history_can_lie_on_a_key_of_the_queue(key: str, history: str) -> None:
    with pytest.raises(SettingError, match=r"TURNSTILE_HISTORY_PREFIX .*TURNSTILE_KEY_PREFIX"):
        Settings.load({"TURNSTILE_KEY_PREFIX": key, "TURNSTILE_HISTORY_PREFIX": history})


def test_the_default_is_held_against_the_other_prefix_too() -> None:
    with pytest.raises(SettingError, match=r"^TURNSTILE_HISTORY_PREFIX"):
        Settings.load({"TURNSTILE_KEY_PREFIX": "message_store:"})


def test_prefixes_that_are_apart() -> None:
    assert Settings(key_prefix="app:queue:", history_prefix="app:history:").history_prefix == "app:history:"


def test_addresses_hosts_and_secrets_of_a_good_form() -> None:
    for url in ("http://localhost:8000/v1", "https://api.example.com", "http://[::1]:80/v1", "http://user:word@host/v1"):
        assert Settings(openai_base_url=url).openai_base_url == url
    hosts = "hooks.example.com, *.example.com, localhost:8080, [::1]:80"
    assert Settings(webhook_allow=hosts).webhook_allow == hosts
    origins = "https://app.example.com, http://localhost:3000, http://[::1]:80"
    assert Settings(cors_origins=origins).cors_origins == origins
    for secret in ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_aHVudGVyMmh1bnRlcjI9PT09PT0"):
        assert Settings(webhook_secret=SecretStr(secret)).webhook_secret.get_secret_value() == secret


def test_settings_cannot_be_changed_or_misspelt() -> None:
    with pytest.raises(ValidationError):
        Settings().model = "other"  # type: ignore[misc]  # that it is frozen is the point
    with pytest.raises(ValidationError):
        Settings(modell="x")  # type: ignore[call-arg]  # that it is refused is the point


def test_histories_may_stay_for_years() -> None:
    assert Settings(history_ttl=365 * 86_400).history_ttl == 31_536_000
