"""Textual widgets that take plain values and post messages; they know nothing of the app."""
