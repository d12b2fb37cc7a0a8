"""Converts text and melody to the vectors that the language model attends to."""
