"""Connections of a pool's kind that stand beside the pool: for what must not wait for the pool, or keep one from it."""

from typing import Any


def open_beside(pool: Any, **changed: Any) -> Any:
    """Return a new connection as the pool would make it, but for some options; it is not connected yet."""
    return pool.connection_class(**{**pool.connection_kwargs, **changed})
