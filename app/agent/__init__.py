"""The conversation with the model and the proposals parsed out of it."""
