"""Workers, whole and in parts."""
