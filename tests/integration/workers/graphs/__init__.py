"""Graphs as chains, on a real server."""
