"""The role of limits: what an API key may ask and spend, over all gateway processes."""

from dataclasses import dataclass

from turnstile.turns.store.acceptance import over_quota
from turnstile.turns.store.replies import OneOf, always, raising
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

    @operation
    def spend_tokens(self, tenant: str, tokens: int, cost: int, quotas: str = "") -> Call[bool]:
        """Count tokens that a request spent which is no turn, and their cost in millionths; True while no quota is used up.

        Raises:
            QuotaExceeded: a quota of the tenant is used up by now. What was spent is counted.
        """
        return script_call("spend_tokens", _SPENT, tenant=tenant, tokens=tokens, cost=cost, quotas=quotas)


_OPENED = OneOf("open_stream", opened=always(True), refused=always(False))
_SPENT = OneOf("spend_tokens", left=always(True), over_quota=raising(over_quota))
_ADMISSION = OneOf(
    "count_request",
    admitted=lambda left, tokens, reset: Admission(True, left=int(left), tokens=int(tokens), reset=int(reset) / 1000),
    refused=lambda wait: Admission(False, wait=int(wait) / 1000),
)
