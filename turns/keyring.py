"""The API keys in force: those of the settings, and those of a file, which is read again when it has changed.

A file that can no longer be read leaves the keys as they were, because a typing error must not lock everybody out; the log says
so once a minute, and the gateway is not ready. A file that is gone has no keys. Both count from the second look on: some
programs write a file in two steps.
"""

import hmac
import logging
import stat
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from time import monotonic

from turnstile.turns.api_keys import ApiKey, key_hash, key_id, read_entries
from turnstile.turns.errors import SettingError
from turnstile.turns.repeated_errors import RepeatedWarnings
from turnstile.turns.settings import Settings

log = logging.getLogger(__name__)

_VARIABLE = Settings.variable("api_keys_file")
_LOOK_SECONDS = 1.0
_warnings = RepeatedWarnings(__name__)

Entries = Mapping[str, ApiKey]


class KeysFile:
    """A file of keys. Raises SettingError if it cannot be read at first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, ...] = ()
        self.entries: Entries = {}
        self.problem = ""
        """The reason why the file is not the one in force; empty if it is."""
        self._read()

    def look(self) -> None:
        """Read the file if it has changed."""
        seen = self.problem
        try:
            self._read()
        except FileNotFoundError:
            self.problem = f"{_VARIABLE}: {self._path} is gone: none of its keys is accepted."
            if seen == self.problem:
                self.entries, self._stamp = {}, ()
        except (SettingError, OSError) as error:
            said = str(error) if isinstance(error, SettingError) else _unreadable(self._path, error)
            self.problem = f"{said} The keys that were read last are still accepted."
        if self.problem and seen == self.problem:
            _warnings.warn(self.problem)
        if seen and not self.problem:
            log.warning("%s: %s is read again", _VARIABLE, self._path)

    def _read(self) -> None:
        found = self._path.stat()
        stamp = (found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size)
        if stamp != self._stamp:
            try:
                text = self._path.read_text(encoding="utf-8")
            except UnicodeError as error:
                raise SettingError(_unreadable(self._path, error)) from None
            if self.entries and not text.strip():
                raise SettingError(f"{_VARIABLE}: {self._path} has become empty; {{}} would have no keys.")
            self.entries, self._stamp = read_entries(text, _VARIABLE), stamp
        self.problem = ""


class Keyring:
    """All keys of the settings and of their file. Raises SettingError if the entries or the file cannot be read at first."""

    def __init__(self, settings: Settings) -> None:
        self._given = read_entries(settings.api_keys.get_secret_value(), Settings.variable("api_keys"))
        path = Path(settings.api_keys_file) if settings.api_keys_file else None
        try:
            self._file = KeysFile(path) if path else None
        except OSError as error:
            assert path
            raise SettingError(_unreadable(path, error)) from None
        self._looked = monotonic()
        self._keys: Entries = {**self._given, **(self._file.entries if self._file else {})}

    @property
    def enforced(self) -> bool:
        """True if a key is asked for at all: keys are set, or a file for them, be it empty."""
        return bool(self._given or self._file)

    @property
    def problem(self) -> str:
        """The reason why the file's keys are not the ones in force; empty if they are."""
        self._look()
        return self._file.problem if self._file else ""

    def find(self, key: str) -> tuple[str, ApiKey] | None:
        """Return the id and the entry of a key, or None. Takes as long for a near miss as for any other."""
        self._look()
        wanted, found = key_hash(key), None
        for digest, entry in self._keys.items():
            if hmac.compare_digest(digest, wanted):
                found = key_id(digest), entry
        return found

    def by_id(self, id: str) -> ApiKey | None:
        """Return the entry of a key, by its id."""
        self._look()
        return next((entry for digest, entry in self._keys.items() if key_id(digest) == id), None)

    def of_tenant(self, tenant: str) -> Entries:
        """Return the entries of a tenant's keys, by their ids; the default tenant's for no name."""
        self._look()
        return {
            key_id(digest): entry
            for digest, entry in self._keys.items()
            if entry.role == "tenant" and entry.own_tenant == tenant
        }

    def ids(self) -> set[str]:
        """Return the ids of all keys."""
        self._look()
        return {key_id(digest) for digest in self._keys}

    def _look(self) -> None:
        if not self._file or monotonic() - self._looked <= _LOOK_SECONDS:
            return
        self._looked = monotonic()
        before = self._file.entries
        self._file.look()
        if self._file.entries is not before:
            self._keys = {**self._given, **self._file.entries}
            _tell_change(before, self._file.entries)


def _tell_change(before: Entries, after: Entries) -> None:
    removed = [key_id(digest) for digest in before if digest not in after]
    if removed:
        more = f" and {len(removed) - 5:,} more" if len(removed) > 5 else ""
        log.warning("%d API keys are no longer accepted: %s%s", len(removed), ", ".join(removed[:5]), more)
    if added := len(after.keys() - before.keys()):
        log.warning("%d API keys are new", added)


def exposure(path: Path) -> str:
    """Return a warning if every user of the machine may read or write a file of keys; empty if not."""
    mode = path.stat().st_mode
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        can = "write" if mode & stat.S_IWOTH else "read"
        return f"{_VARIABLE}: every user of this machine may {can} {path}, which holds webhooks' secrets: chmod o-rw."
    return ""


def _unreadable(path: Path, error: Exception) -> str:
    return f"{_VARIABLE}: {path} cannot be read ({type(error).__name__})."


@cache
def keyring(settings: Settings) -> Keyring:
    """Return the keys of these settings, read once in this process; warn if others may read their file."""
    ring = Keyring(settings)
    if settings.api_keys_file and (exposed := exposure(Path(settings.api_keys_file))):
        log.warning("%s", exposed)
    return ring
