"""The bench of continual learning: what each way of learning from corrections gives and costs."""
