"""Units of the gateway."""
