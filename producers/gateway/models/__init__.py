"""Models: the one that answers by default."""
