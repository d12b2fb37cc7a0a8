"""Finds, fetches, reads, converts and loads checkpoints without running foreign code."""
