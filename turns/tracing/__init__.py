"""Traces by OpenTelemetry, for those who have it: the trace of a turn goes with it from its producer to its workers."""
