"""Chains that answer: the default one and the user's own."""
