"""The chat history, kept in Redis."""
