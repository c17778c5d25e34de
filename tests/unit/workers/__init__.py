"""Units of workers."""
