"""The form of a probe's answer."""

from typing import Literal

from turnstile.producers.gateway.schemas import Answer


class Health(Answer):
    """The gateway's health."""

    status: Literal["ok"]
