"""What only this application has: its command, its agent, its screens."""
