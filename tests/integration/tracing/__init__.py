"""Traces and log lines of real processes."""
