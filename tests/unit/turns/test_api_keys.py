"""Keys, their entries, and where webhooks may go."""

import json
import re

import pytest
import standardwebhooks
from pydantic import SecretStr

from turnstile.turns.api_keys import Limits, key_hash, key_id, new_key, new_secret, secret_bytes
from turnstile.turns.errors import SettingError
from turnstile.turns.keyring import Keyring
from turnstile.turns.settings import Settings
from turnstile.workers.webhooks.sender import backoff, signature

HASH = "a" * 64


def _ring(text: str) -> Keyring:
    return Keyring(Settings(api_keys=SecretStr(text)))


def test_a_key_is_found_by_what_it_is_and_kept_by_its_hash() -> None:
    key = new_key("shop", "acme", Limits(requests_per_minute=5), "https://a.example/x")
    assert key.text not in json.dumps(key.entry)
    ring = _ring(json.dumps({key.digest: key.entry, HASH: {"name": "other"}}))
    found = ring.find(key.text)
    assert found
    id, entry = found
    assert (id, entry.tenant, entry.limits.requests_per_minute) == (key_id(key_hash(key.text)), "acme", 5)
    assert ring.by_id(id) is entry
    assert entry.webhook
    assert len(secret_bytes(entry.webhook.secret)) == 24
    assert [ring.find(text) for text in ("", "tsk_", key.text[:-1], key.text + " ", key.digest, HASH)] == [None] * 6
    assert ring.by_id("nothing") is None


def test_no_two_keys_are_alike() -> None:
    keys = {new_key("a").text for _ in range(100)}
    assert len(keys) == 100
    assert all(re.fullmatch(r"tsk_[\w-]{43}", key) for key in keys)


def test_the_default_tenant_is_default() -> None:
    found = _ring(json.dumps({HASH: {"name": "x"}})).by_id(key_id(HASH))
    assert found
    assert found.tenant == "default"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        ('{"short": {"name": "x"}}', "match"),
        (f'{{"{HASH}": {{}}}}', "name"),
        (f'{{"{HASH}": {{"name": "x", "tenant": "a/b"}}}}', "tenant"),
        (f'{{"{HASH}": {{"name": "x", "colour": "red"}}}}', "colour"),
        (f'{{"{HASH}": {{"name": "x", "limits": {{"requests_per_minute": 0}}}}}}', "limits.requests_per_minute"),
        (f'{{"{HASH}": {{"name": "x", "webhook": {{"url": "mailto:s3cret"}}}}}}', "webhook.url"),
    ],
)
def test_what_is_wrong_is_named_and_not_shown(text: str, said: str) -> None:
    with pytest.raises(SettingError, match=r"TURNSTILE_API_KEYS is not valid") as caught:
        _ring(text)
    assert said in str(caught.value)
    assert not {"red", "s3cret", HASH} & set(re.findall(r"\w+", str(caught.value)))


@pytest.mark.parametrize(
    "wishes",
    [
        {"name": ""},
        {"name": "x", "tenant": "a/b"},
        {"name": "x", "webhook_url": "ftp://x"},
        {"name": "x", "webhook_url": "https://x y"},
        {"name": "x", "webhook_url": "http://①②⑦.0.0.1"},
        {"name": "x", "webhook_url": "http://x:s3cret"},
    ],
)
def test_a_key_of_a_wrong_form_is_not_made(wishes: dict[str, str]) -> None:
    with pytest.raises(SettingError, match="The key is not valid"):
        new_key(**wishes)  # type: ignore[arg-type]  # texts all of them


def test_a_secret_that_is_none_signs_nothing() -> None:
    assert [secret_bytes(SecretStr(text)) for text in ("", "whsec_", "whsec_x")] == [b"", b"", b""]


def test_the_signature_is_that_of_standard_webhooks() -> None:
    secret = new_secret()
    headers = signature(secret_bytes(SecretStr(secret)), "evt_1", '{"a":"é"}', 1_700_000_000)
    signed = standardwebhooks.Webhook(secret)
    assert headers["webhook-id"] == "evt_1"
    with pytest.raises(standardwebhooks.WebhookVerificationError, match="too old"):
        signed.verify('{"a":"é"}', headers)


def test_waits_double_up_to_an_hour() -> None:
    assert all(0.8 <= backoff(1, 1) <= 1.2 for _ in range(50))
    assert 6.4 <= backoff(4, 1) <= 9.6
    assert 2_880 <= backoff(1_000, 1) <= 4_320
