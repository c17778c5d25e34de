"""The role of limits: how many requests an API key may make, over all gateway processes."""

from dataclasses import dataclass

from turnstile.turns.store.replies import OneOf, always
from turnstile.turns.store.runner import Call, Runner, operation, script_call


@dataclass(frozen=True, slots=True)
class Admission:
    """Leave to go on, or none: `left` requests may follow it at once, or `wait` seconds must pass first.

    `tokens` are left; all of a minute's worth are back in `reset` seconds.
    """

    admitted: bool
    left: int = 0
    wait: float = 0.0
    tokens: int = 0
    reset: float = 0.0


class Limits(Runner):
    """Operations on the counted requests of API keys."""

    @operation
    def count_request(self, key: str, per_minute: int, tenant: str = "", quotas: str = "{}") -> Call[Admission]:
        """Count one request of a key that may make so many in a minute (0: any), and has these quotas."""
        return script_call("count_request", _ADMISSION, name=key, per_minute=per_minute, tenant=tenant, quotas=quotas)

    @operation
    def open_stream(self, tenant: str, stream: str, most: int) -> Call[bool]:
        """Note for a minute that a tenant reads a stream; False when it has as many open as it may."""
        return script_call("open_stream", _OPENED, tenant=tenant, stream=stream, most=most)

    @operation
    def close_stream(self, tenant: str, stream: str) -> Call[bool]:
        """Note that a stream is read no more."""
        return Call("ZREM", (self.keys.streams(tenant), stream), bool)


_OPENED = OneOf("open_stream", opened=always(True), refused=always(False))
_ADMISSION = OneOf(
    "count_request",
    admitted=lambda left, tokens, reset: Admission(True, left=int(left), tokens=int(tokens), reset=int(reset) / 1000),
    refused=lambda wait: Admission(False, wait=int(wait) / 1000),
)
