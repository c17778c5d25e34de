"""The check of the model."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Set
from urllib.parse import urlsplit

from turnstile.producers.cli.doctor.check import Check, Verdict
from turnstile.turns.settings import Settings
from turnstile.turns.store.registry import OPENAI_URL, STAND_IN, asked_model

MODEL_SECONDS = 5.0


def check_model(settings: Settings, asked: Set[str] = frozenset()) -> Check:
    """Check the model that the workers ask, as they tell; if it is this environment's too, that its server has it."""
    if len(asked) > 1:
        advice = "An answer depends on the worker that takes the turn: set all workers alike."
        return Check("model", Verdict.WARN, f"the workers ask several: {', '.join(sorted(asked))}", advice)
    if asked and asked != {asked_model(settings)}:
        detail = f"the workers ask {min(asked)}; this environment has {asked_model(settings)}, so it was not checked"
        if asked == {STAND_IN}:
            return Check(
                "model", Verdict.WARN, detail, "For real answers set OPENAI_API_KEY or OPENAI_BASE_URL for the workers."
            )
        return Check("model", Verdict.OK, detail)
    return _check_own(settings)


def _check_own(settings: Settings) -> Check:
    """Check that the model's server accepts the key and lists the model."""
    if settings.chain:
        return Check("model", Verdict.OK, f"asked by {settings.chain}, which is not checked")
    if settings.offline:
        advice = "For real answers set OPENAI_API_KEY, or OPENAI_BASE_URL for another server."
        return Check("model", Verdict.WARN, "no key and no base URL: the offline stand-in answers", advice)
    try:
        known = _models(settings)
    except urllib.error.HTTPError as error:
        return _refused(settings, error.code)
    except (OSError, ValueError) as error:
        if isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
            advice = "Check the host in OPENAI_BASE_URL, or add the certificate's authority to this machine's."
            return Check("model", Verdict.FAIL, f"the certificate of {_model_server(settings)} is not trusted", advice)
        advice = "Check OPENAI_BASE_URL, the network, and any proxy in between."
        return Check("model", Verdict.FAIL, f"{_model_server(settings)} does not answer", advice)
    unlisted = [model for model in settings.chain_models if model not in known and model not in settings.servers_by_model]
    if unlisted:
        named = "TURNSTILE_MODEL, TURNSTILE_CHAINS, and TURNSTILE_MODEL_SERVERS for models that are elsewhere"
        advice = f"It lists {len(known)} others: check {named}."
        return Check("model", Verdict.WARN, f"{_model_server(settings)} does not list {', '.join(unlisted)}", advice)
    return Check("model", Verdict.OK, f"{settings.model} at {_model_server(settings)}")


def _refused(settings: Settings, status: int) -> Check:
    detail = f"{_model_server(settings)} answers {status}"
    if status in (401, 403):
        return Check("model", Verdict.FAIL, detail, "It rejected the key: check OPENAI_API_KEY.")
    return Check("model", Verdict.WARN, detail, f"It does not list its models, so {settings.model} could not be checked.")


def _model_server(settings: Settings) -> str:
    return urlsplit(settings.openai_base_url or OPENAI_URL).netloc.rpartition("@")[2]


def _models(settings: Settings) -> list[str]:
    url = (settings.openai_base_url or OPENAI_URL).rstrip("/") + "/models"
    key = settings.openai_api_key.get_secret_value() or "none"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310 - the scheme is checked
    with urllib.request.urlopen(request, timeout=MODEL_SECONDS) as response:  # noqa: S310 - the scheme is checked
        listed = json.load(response)
    models = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(models, list):
        raise ValueError("no list of models")
    return [str(model.get("id")) for model in models if isinstance(model, dict)]
