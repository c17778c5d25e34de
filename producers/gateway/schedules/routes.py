"""/v1/schedules: responses that are asked at each tick of a cron rule."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.dependencies import CurrentBackend, IdempotencyKey
from turnstile.producers.gateway.edge.api_errors import missing
from turnstile.producers.gateway.edge.body import BodyRoute
from turnstile.producers.gateway.edge.caller import Caller, CurrentCaller
from turnstile.producers.gateway.edge.documentation import documented
from turnstile.producers.gateway.paging import Limit, listed
from turnstile.producers.gateway.repeats import repeat_key
from turnstile.producers.gateway.responses.submission import read_request
from turnstile.producers.gateway.schedules.schemas import ScheduleList, ScheduleObject, ScheduleRequest, shown
from turnstile.producers.gateway.schemas import Deleted
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.ids import tenant_of
from turnstile.turns.schedules import Schedule

router = APIRouter(prefix="/v1/schedules", tags=["Schedules"], route_class=BodyRoute)

_SCHEDULE: dict[str, Any] = {"model": ScheduleObject}


async def _find(backend: Backend, caller: Caller, id: str, param: str = "schedule_id") -> Schedule:
    """Return the caller's schedule of this id. Raises ApiError."""
    try:
        schedule = await backend.store.read_schedule(id)
    except InvalidTurn:
        schedule = None
    if schedule is None or tenant_of(schedule.session) != caller.tenant:
        raise missing(param, "Schedule", id)
    return schedule


async def own_schedule(schedule_id: str, backend: CurrentBackend, caller: CurrentCaller) -> Schedule:
    """Return the caller's schedule in the path. Raises ApiError."""
    return await _find(backend, caller, schedule_id)


OwnSchedule = Annotated[Schedule, Depends(own_schedule)]


@router.post("", responses=documented(_SCHEDULE, 404, 413, 415, 422), response_class=JSONResponse)
async def create(
    request: Request,
    body: ScheduleRequest,
    backend: CurrentBackend,
    caller: CurrentCaller,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Have a response asked at each tick of a cron rule, in the background and in one conversation.

    The body is that of a response, with `cron` (minute, hour, day of month, month, day of week), `time_zone`, and `missed`:
    ticks that no worker was there for are asked `once` for all of them, `all`, or `none`.
    """
    key = await repeat_key(request, backend, caller, "schedule", body.metadata, idempotency_key)
    name = caller.key("schedule", key)
    asked = await read_request(backend, caller, body, name)
    await backend.store.schedule(
        f"sched_{name}",
        asked.session,
        asked.question,
        asked.options,
        cron=body.cron,
        time_zone=body.time_zone,
        missed=body.missed,
        now=await backend.store.now(),
        **asked.terms | {"quotas": caller.scheduled_quotas},
    )
    return JSONResponse(shown(caller, await _find(backend, caller, f"sched_{name}")))


@router.get("", responses=documented({"model": ScheduleList}, 404), response_class=JSONResponse)
async def schedules(backend: CurrentBackend, caller: CurrentCaller, after: str | None = None, limit: Limit = 20) -> Response:
    """List the schedules, and the responses that are asked later, in the order of their conversations' names."""
    start = 0
    if after is not None:
        place = await backend.store.place_of_schedule(await _find(backend, caller, after, "after"))
        if place is None:
            raise missing("after", "Schedule", after)
        start = place + 1
    found = await backend.store.schedules(tenant=caller.tenant, limit=limit + 1, start=start)
    return JSONResponse(listed([shown(caller, schedule) for schedule in found[:limit]], has_more=len(found) > limit))


@router.get("/{schedule_id}", responses=documented(_SCHEDULE, 404), response_class=JSONResponse)
async def retrieve(schedule: OwnSchedule, caller: CurrentCaller) -> Response:
    """Retrieve a schedule."""
    return JSONResponse(shown(caller, schedule))


@router.delete("/{schedule_id}", responses=documented({"model": Deleted}, 404), response_class=JSONResponse)
async def delete(schedule: OwnSchedule, backend: CurrentBackend, caller: CurrentCaller) -> Response:
    """Delete a schedule: nothing more is asked. Responses that it has asked stay."""
    await backend.store.remove_schedule(schedule.id, caller.tenant)
    return JSONResponse({"id": schedule.id, "object": "schedule", "deleted": True})
