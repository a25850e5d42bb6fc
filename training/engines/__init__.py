"""Models that can sample, score and learn."""
