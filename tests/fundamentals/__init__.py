"""Tier: fundamentals."""
