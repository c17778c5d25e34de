"""How many requests an API key may make."""

from dataclasses import dataclass

from turnstile.turns.store.turns import AsyncTurnStore, Call, operation


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a request may go on; `left` requests may follow it at once, or `wait` seconds must pass first."""

    admitted: bool
    left: int = 0
    wait: float = 0.0


class AsyncRateStore(AsyncTurnStore):
    """The counted requests of every key, over all gateway processes."""

    @operation
    def admit(self, key: str, per_minute: int) -> Call[Admission]:
        """Count one request of a key that may make so many in a minute."""

        def read(reply: list[bytes | int]) -> Admission:
            number = int(reply[1])
            return Admission(True, left=number) if reply[0] == b"admitted" else Admission(False, wait=number / 1000)

        return Call("admit", (key, per_minute), read)
