"""/admin/…: what the page for operators shows and does; the edge lets operators alone through."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from turnstile.producers.gateway.dependencies import CurrentBackend
from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.producers.gateway.edge.request_log import note_turn
from turnstile.producers.overview.turn import turn_facts
from turnstile.turns.errors import MissingRight
from turnstile.turns.ids import check_turn

router = APIRouter(prefix="/admin", include_in_schema=False)


def _turn(turn_id: str) -> str:
    note_turn(check_turn(turn_id))
    return turn_id


Turn = Annotated[str, Depends(_turn)]


@router.get("/overview")
async def overview(request: Request) -> dict[str, Any]:
    """Return the deployment at a glance, of which every gateway tells the same."""
    state = request.app.state
    try:
        found: dict[str, Any] = await asyncio.to_thread(state.overview.get)
    except MissingRight as error:
        raise ApiError(503, str(error), None, "missing_right") from None
    return found | {"flower": state.backend.settings.flower_url}


@router.get("/turns/{turn_id}")
async def look(turn: Turn, backend: CurrentBackend) -> dict[str, Any]:
    """Return what is known of a turn, of any tenant."""
    return turn_facts(await backend.store.status(turn), show_content=backend.settings.show_content)


@router.post("/turns/{turn_id}/cancel")
async def cancel(turn: Turn, backend: CurrentBackend) -> dict[str, str]:
    """Cancel a turn, and return the state that stands."""
    return {"turn": turn, "state": await backend.store.cancel(turn)}


@router.post("/turns/{turn_id}/retry")
async def retry(turn: Turn, backend: CurrentBackend) -> dict[str, str]:
    """Requeue a failed turn, and return the state that stands."""
    return {"turn": turn, "state": await backend.store.retry(turn)}
