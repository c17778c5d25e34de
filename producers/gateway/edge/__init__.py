"""The edge of every request: its id, the API key, the bound on its body, and the form of errors."""
