"""Celery's own connection while Redis is away."""

import pytest
from kombu.exceptions import OperationalError

from tests.support.ports import lasting_port
from turnstile.workers.app import app

TRIES = 8


def test_a_worker_tries_again_every_second_however_long_the_outage() -> None:
    pauses: list[float] = []
    with app.connection_for_read(f"redis://127.0.0.1:{lasting_port()}/0") as connection, pytest.raises(OperationalError):
        connection.ensure_connection(lambda _, pause: pauses.append(pause), TRIES)
    assert len(pauses) == TRIES
    assert all(pause <= 1 for pause in pauses)
