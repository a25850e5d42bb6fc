"""Learning from corrections, with no screen and no app: usable from a notebook."""
