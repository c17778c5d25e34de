"""The chat page, and the page of the API."""
