"""Metrics in Prometheus' form: of the whole deployment, read from Redis, so one process that tells them is enough."""
