"""Units of the history."""
