"""Tier: integration."""
