"""The practice model: weights, tokenizer, curriculum, trainer."""
