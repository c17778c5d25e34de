"""A version that stores by the next schema: `celery -A tests.support.newer worker`."""

from turnstile.turns.store import schema

schema.SCHEMA += 1

from turnstile.workers.app import app  # noqa: E402 - the schema comes first

__all__ = ["app"]
