"""Units of deployment."""
