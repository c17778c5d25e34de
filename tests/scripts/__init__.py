"""Tier: scripts."""
