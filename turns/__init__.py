"""What a turn is and how it moves."""
