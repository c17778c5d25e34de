"""Histories on a real server."""
