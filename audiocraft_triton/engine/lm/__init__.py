"""The language model: its weights, its state in slots, and how the next token is drawn."""
