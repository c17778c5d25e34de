"""Tier: unit."""
