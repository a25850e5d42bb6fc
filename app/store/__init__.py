"""Where sessions and lessons lie on disk."""
