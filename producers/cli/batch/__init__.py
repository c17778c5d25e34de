"""`turnstile batch`: many questions from a file, answered in order within each session, safe to run again."""
