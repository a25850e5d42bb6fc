"""Named fakes that stand at an edge of the program."""
