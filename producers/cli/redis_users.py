"""New users for Redis: the ACL file of a deployment."""

from pathlib import Path
from typing import TYPE_CHECKING

from turnstile.deploy import acl
from turnstile.turns.settings import Settings

if TYPE_CHECKING:
    from turnstile.producers.cli.terminal import Terminal

_HINT = "These passwords are shown only once. Put each into the REDIS_URL of its role, redis://USER:PASSWORD@HOST:6379/0:"


def make(terminal: "Terminal", settings: Settings, keep: Path | None) -> None:
    """Print an ACL file with new passwords, or with those of the file `keep`. Raises SettingError if it lacks one."""
    passwords = {} if keep else {user: acl.new_password() for user in acl.USERS}
    digests = acl.kept(keep.read_text()) if keep else {user: acl.digest(password) for user, password in passwords.items()}
    file = acl.text(settings, digests)
    if passwords and not terminal.as_json:
        terminal.complain("\n".join([_HINT, *(f"{user:<9} {password}" for user, password in passwords.items())]))
    terminal.result(file.rstrip("\n"), {"file": file, "passwords": passwords})
