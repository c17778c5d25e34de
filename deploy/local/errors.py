"""Errors of the local stack."""

from turnstile.turns.errors import TurnstileError


class ServerNotStarted(TurnstileError):
    """The embedded server did not start; the message ends with its log's last lines."""


class PortTaken(TurnstileError):
    """A port that was asked for by number is in use."""


class FolderInUse(ServerNotStarted):
    """Another embedded server is running on the folder."""
