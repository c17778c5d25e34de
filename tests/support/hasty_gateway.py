"""The gateway with short deadlines: `uvicorn tests.support.hasty_gateway:app`."""

from turnstile.producers.gateway import app, sse
from turnstile.producers.gateway.edge import body, connections, large_answers

connections.HEAD_SECONDS = 1.0
connections.WRITE_SECONDS = 2.0
body.BODY_SECONDS = 2.0
sse.KEEP_ALIVE_SECONDS = 0.05
body.BODIES_OF_A_KEY = 3_000_000
large_answers.ANSWERS_OF_A_KEY = 9_000_000

__all__ = ["app"]
