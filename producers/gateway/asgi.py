"""The gateway's ASGI application, made of its resources."""
# ruff: noqa: E402 - a missing extra is named before anything of it is imported

from turnstile.turns.extras import need

need("gateway")

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from redis.exceptions import ResponseError
from starlette.types import Receive, Scope, Send

from turnstile.producers.gateway.admin import routes as admin
from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.batches import routes as batches
from turnstile.producers.gateway.batches.service import BatchService
from turnstile.producers.gateway.chat import routes as chat
from turnstile.producers.gateway.conversations import routes as conversations
from turnstile.producers.gateway.edge import error_handlers
from turnstile.producers.gateway.edge.auth import Authenticator
from turnstile.producers.gateway.edge.connections import watch_connections
from turnstile.producers.gateway.edge.middleware import EdgeMiddleware
from turnstile.producers.gateway.edge.preflights import Preflights
from turnstile.producers.gateway.edge.request_log import open_log
from turnstile.producers.gateway.edge.request_trace import trace_requests
from turnstile.producers.gateway.files import routes as files
from turnstile.producers.gateway.metrics import routes as metrics
from turnstile.producers.gateway.model_server import routes as model_server
from turnstile.producers.gateway.models import routes as models
from turnstile.producers.gateway.page import routes as page
from turnstile.producers.gateway.probes import routes as probes
from turnstile.producers.gateway.probes.readiness import Readiness, drain_first
from turnstile.producers.gateway.responses import routes as responses
from turnstile.producers.gateway.schedules import routes as schedules
from turnstile.producers.metrics.reading import Reading
from turnstile.producers.metrics.reading import metrics as all_metrics
from turnstile.producers.overview.look import look
from turnstile.turns.asyncio_tasks import end_all
from turnstile.turns.errors import LoginRefused, QueueUnreachable, SettingError
from turnstile.turns.hosts import listed
from turnstile.turns.service_manager import READY, tell
from turnstile.turns.settings import Settings
from turnstile.turns.settings import settings as read_settings
from turnstile.turns.store.registry import oddities
from turnstile.turns.tracing.switch import start, stop

log = logging.getLogger(__name__)

_ABOUT = "OpenAI's Responses and Conversations API, background mode included: the unmodified `openai` SDKs are its clients."

_RESOURCES = (responses, conversations, schedules, chat, model_server, models, metrics, admin, probes, page)
_METHODS = ("GET", "POST", "DELETE")
_EXPOSED = ("x-request-id", "retry-after", "retry-after-ms", "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests")
_NO_TELEMETRY: Any = {"tracing": False, "metrics": False, "logs": False}
"""FastAPI's own would tell paths, which hold names, and the text of errors; versions before 0.140 pass this over."""
_WRONG_USE = 2
_CHECK_SECONDS = 2.0


class Gateway(FastAPI):
    """FastAPI whose server watches its connections, and whose OpenAPI document lacks an error that the gateway never sends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the application's life."""
        if scope["type"] == "lifespan" and not watch_connections(send):
            log.warning("this server is not uvicorn: time-outs and limits of connections are left to it")
        await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        document = super().openapi()
        for operations in document["paths"].values():
            for operation in operations.values():
                if operation["responses"].get("422", {}).get("description") == "Validation Error":
                    del operation["responses"]["422"]
        return document


def build(settings: Settings) -> FastAPI:
    """Return the application for these settings."""

    authenticator = Authenticator(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        backend = app.state.backend = Backend(settings)
        app.state.metrics, app.state.overview = all_metrics(settings), Reading(settings, look)
        open_log(settings.log_level, settings.log_format)
        await _check(backend)
        backend.check_rights()
        readiness = app.state.readiness = Readiness(backend)
        drain_first(readiness, settings.drain_seconds)
        batch_service = BatchService(backend)
        services = [authenticator.end_removed(), readiness.watch()]
        if settings.batches:
            services.append(batch_service.work())
        tasks = [asyncio.create_task(work) for work in services]
        tell(READY)
        yield
        await end_all(tasks)
        await batch_service.release()
        await backend.close()
        await asyncio.to_thread(stop)

    app = Gateway(
        title="Turnstile",
        version="1",
        description=_ABOUT,
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        telemetry=_NO_TELEMETRY,
    )
    offered = (files.router, files.uploads, batches.router) if settings.batches else ()
    for router in (*(resource.router for resource in _RESOURCES), *offered):
        app.include_router(router)
    error_handlers.install(app)
    app.add_middleware(EdgeMiddleware, authenticator=authenticator)
    if origins := listed(settings.cors_origins):
        # Outside: a browser asks beforehand without a key.
        app.add_middleware(
            Preflights, allow_origins=origins, allow_methods=_METHODS, allow_headers=["*"], expose_headers=_EXPOSED
        )
    return app


async def _check(backend: Backend) -> None:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await backend.check()
            workers = await backend.store.workers(1)
            for difference in oddities(backend.settings, workers):
                log.warning("%s", difference)
    except (SettingError, LoginRefused) as error:
        sys.stderr.write(f"turnstile: {error}\n")
        sys.stderr.flush()
        # An exception would show its traceback, and end the server with another exit status.
        os._exit(_WRONG_USE)
    except QueueUnreachable as error:
        log.warning("%s", error)
    except (ResponseError, TimeoutError):
        log.debug("the workers' settings could not be read yet")


def _start() -> FastAPI:
    try:
        settings = read_settings()
        if settings.log_format == "json":
            # The server's own lines come before the lifespan.
            open_log(settings.log_level, settings.log_format)
        if start(settings, "turnstile-gateway"):
            trace_requests()
        return build(settings)
    except SettingError as error:
        sys.stderr.write(f"turnstile: {error}\n")
        raise SystemExit(_WRONG_USE) from None


app = _start()
