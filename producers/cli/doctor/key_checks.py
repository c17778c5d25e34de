"""The check of the gateway's API keys."""

from pathlib import Path

from turnstile.producers.cli.doctor.check import Check, Verdict
from turnstile.turns.errors import SettingError
from turnstile.turns.keyring import Keyring, exposure
from turnstile.turns.settings import Settings


def check_keys(settings: Settings) -> Check:
    """Check that the API keys can be read, and that others on this machine cannot."""
    try:
        keys = Keyring(settings)
    except SettingError as error:
        return Check("API keys", Verdict.FAIL, str(error), "`turnstile key NAME` makes an entry of the right form.")
    if not keys.enforced:
        return Check("API keys", Verdict.OK, "none: a gateway answers its own machine only")
    count = f"{len(keys.ids()):,} set"
    if settings.api_keys_file and (exposed := exposure(Path(settings.api_keys_file))):
        return Check("API keys", Verdict.WARN, count, exposed)
    return Check("API keys", Verdict.OK, count)
