"""The boundary that the agent's commands run behind, and the proof that it holds."""
