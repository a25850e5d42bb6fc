"""The user's repository: confined files, diffs, git."""
