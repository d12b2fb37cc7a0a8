"""The language model: its weights, its state in slots, and the sampling of tokens."""
