"""The gateway: OpenAI's Responses, Conversations and Chat Completions API over turns and sessions.

uvicorn turnstile.producers.gateway:app
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """Return the application, made when a server first asks for `app`."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from turnstile.producers.gateway.asgi import app

    return app
