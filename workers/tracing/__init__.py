"""Spans of turns at work: attempts, steps of graphs, calls of models and tools."""
