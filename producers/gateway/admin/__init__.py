"""The page for operators: what is there now, and the turns that it cancels and retries."""
