"""The offline stand-in for the model."""
