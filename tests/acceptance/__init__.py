"""Tier: acceptance."""
