"""The role of budgets: calls of a model, counted over all workers before they are made, and settled after."""

from dataclasses import dataclass

from turnstile.turns.ids import tenant_of
from turnstile.turns.question import Options
from turnstile.turns.redis.scripts import budget_ahead_ms
from turnstile.turns.settings import Settings
from turnstile.turns.store.replies import OneOf
from turnstile.turns.store.runner import Call, Runner, operation, script_call
from turnstile.turns.turn import Claim

_ANY = "*"


@dataclass(frozen=True, slots=True)
class CallLimits:
    """The most of a model that may be begun in a minute, or be under way at once; 0 where no limit is known."""

    requests: int = 0
    tokens: int = 0
    concurrent: int = 0

    def __bool__(self) -> bool:
        return bool(self.requests or self.tokens or self.concurrent)


class Limits:
    """The limits that the settings give models."""

    def __init__(self, settings: Settings) -> None:
        self._by_model = {model: CallLimits(**limits) for model, limits in settings.budgets_by_model.items()}

    def of(self, model: str) -> CallLimits:
        """Return a model's limits."""
        return self._by_model.get(model) or self._by_model.get(_ANY) or CallLimits()


@dataclass(frozen=True, slots=True)
class OtherBudget:
    """The budget of a model that may answer in the place of another."""

    name: str
    limits: CallLimits

    def encode(self) -> str:
        """Return the word that is stored."""
        return f"{self.name}={self.limits.requests},{self.limits.tokens},{self.limits.concurrent}"


@dataclass(frozen=True, slots=True)
class Passing:
    """A request that is no turn, which a gateway passes to the model's server; its session tells the tenant."""

    token: str
    session: str
    id: str = "-"


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A call of a model by an attempt: `number` tells its calls apart, `tokens` is what it is thought to take."""

    claim: Claim | Passing
    number: int
    model: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Slot:
    """Leave to make a call `wait` seconds from now, or none; then `wait` is a guess, and None where another must end first."""

    granted: bool
    wait: float | None = 0.0
    passed: bool = False
    """True where the turn has waited for long, and was sent for a slot of another model."""


@dataclass(frozen=True, slots=True)
class CallEnd:
    """The end of a call: `how` is `answered`, `failed` or `limited`; `tokens` is what it took.

    `pause`: seconds of patience that the server asks for; 0 where it names none. Its limits and what is left are what it tells.
    """

    how: str
    tokens: int = 0
    pause: float = 0.0
    limit_requests: int | None = None
    limit_tokens: int | None = None
    left_requests: int | None = None
    left_tokens: int | None = None


class ModelBudgets(Runner):
    """Operations on the budgets of models."""

    @operation
    def reserve_call(
        self, call: ModelCall, limits: CallLimits, *, falls_back: bool = False, ahead: float | None = None
    ) -> Call[Slot]:
        """Reserve a call, to be made now or in a moment: `ahead` seconds at most. `falls_back`: another model may answer."""
        return script_call(
            "reserve_call",
            _RESERVED,
            **_named(call),
            tokens=call.tokens,
            ahead=budget_ahead_ms(self.settings) if ahead is None else round(ahead * 1000),
            requests=limits.requests,
            minute_tokens=limits.tokens,
            most=limits.concurrent,
            falls_back=int(falls_back),
            kind=_kind(call.claim.options) if isinstance(call.claim, Claim) and call.number == 1 and not falls_back else "",
        )

    @operation
    def settle_call(self, call: ModelCall, end: CallEnd) -> Call[float]:
        """Settle a call, reserved or not; seconds for which the model now pauses."""
        told = {
            "told_requests": _word(end.limit_requests),
            "told_tokens": _word(end.limit_tokens),
            "left_requests": _word(end.left_requests),
            "left_tokens": _word(end.left_tokens),
        }
        spent: dict[str, str | int] = {
            "estimated": call.tokens,
            "used": end.tokens,
            "how": end.how,
            "pause": round(end.pause * 1000),
        }
        return script_call("settle_call", _SETTLED, **_named(call), **spent, **told)


def _named(call: ModelCall) -> dict[str, str | int]:
    tenant = tenant_of(call.claim.session)
    return {"id": call.claim.id, "token": call.claim.token, "number": call.number, "tenant": tenant, "model": call.model}


def _kind(options: Options) -> str:
    """Return the options by which it is known, before a turn is dispatched, of which model its first call is."""
    return f"{options.chain or ''} {options.model or ''}"


def _word(number: int | None) -> str | int:
    return "" if number is None else number


def _slot(granted: bool, wait: int, passed: int = 0) -> Slot:
    return Slot(granted, None if wait < 0 else wait / 1000, bool(passed))


_RESERVED = OneOf[Slot](
    "reserve_call",
    granted=lambda wait: _slot(True, int(wait)),
    over=lambda wait, passed: _slot(False, int(wait), int(passed)),
)
_SETTLED = OneOf[float]("settle_call", settled=lambda paused: int(paused) / 1000)
