"""Batches: requests in a file, answered when there is room, with their results in another file."""
