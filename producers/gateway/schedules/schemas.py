"""The bodies of requests for schedules, and the form of a schedule."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from turnstile.producers.gateway.edge.api_errors import invalid, unsupported
from turnstile.producers.gateway.edge.caller import Caller
from turnstile.producers.gateway.responses.not_before import NOT_BEFORE
from turnstile.producers.gateway.responses.schemas import ResponseRequest
from turnstile.producers.gateway.schemas import Answer, ShortText
from turnstile.turns.schedules import UTC, Schedule


class ScheduleRequest(ResponseRequest):
    """POST /v1/schedules: a request for a response, and the rule by which it is asked."""

    cron: Annotated[str, Field(max_length=600)]
    time_zone: ShortText = UTC
    missed: Literal["once", "all", "none"] = "once"

    @model_validator(mode="after")
    def _in_the_background(self) -> "ScheduleRequest":
        unfit = {
            "stream": self.stream,
            "previous_response_id": self.previous_response_id is not None,
            f"metadata.{NOT_BEFORE}": NOT_BEFORE in (self.metadata or {}),
        }
        if names := [name for name, given in unfit.items() if given]:
            raise unsupported(*names)
        if self.background is False:
            raise invalid(
                "background", "Nobody waits for the responses of a schedule: leave `background` out.", "invalid_value"
            )
        self.background = True
        return self


class ScheduleObject(Answer):
    """A schedule. Times are in seconds since the epoch."""

    id: str
    object: Literal["schedule"]
    created_at: int
    cron: str | None = Field(description="null: a response that is asked once, at `next_at`; its id is that of the schedule.")
    time_zone: str | None
    missed: Literal["once", "all", "none"]
    conversation: dict[str, str]
    input: str | list[dict[str, Any]] | None = Field(description="The question; null in a list where it is long.")
    next_at: float
    last_at: float | None
    last_response_id: str | None
    left_out_at: float | None = Field(description="The tick that was left out last.")
    refused: str | None = Field(description="Why the tick that is due was refused so far; it is tried again.")


class ScheduleList(Answer):
    """A page of schedules."""

    object: Literal["list"]
    data: list[ScheduleObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


def shown(caller: Caller, schedule: Schedule) -> dict[str, Any]:
    """Return a schedule as the API has it."""
    return {
        "id": schedule.id,
        "object": "schedule",
        "created_at": int(schedule.created),
        "cron": schedule.cron or None,
        "time_zone": schedule.time_zone or None,
        "missed": schedule.missed,
        "conversation": {"id": caller.name(schedule.session)},
        "input": schedule.question or None,
        "next_at": schedule.next,
        "last_at": schedule.last,
        "last_response_id": schedule.last_turn,
        "left_out_at": schedule.left_out,
        "refused": schedule.refused or None,
    }
