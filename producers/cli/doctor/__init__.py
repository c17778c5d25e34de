"""`turnstile doctor`: checks of everything that a turn needs, each with advice."""
