"""Units of turns."""
