"""Units of producers."""
