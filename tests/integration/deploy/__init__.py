"""The local stack, and the installed package."""
