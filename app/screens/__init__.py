"""The full screens that the program shows."""
