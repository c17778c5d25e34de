"""Metrics for Prometheus, for keys of operators."""
