"""The agent's six tools and their registry."""
