"""Changes of a running deployment under load: restarts one after another, an upgrade, scaling to zero and back."""
