"""Errors of the embedded server."""

from turnstile.turns.errors import TurnstileError


class ServerNotStarted(TurnstileError):
    """The embedded server did not start; the message ends with its log's last lines."""


class FolderInUse(ServerNotStarted):
    """Another embedded server is running on the folder."""
