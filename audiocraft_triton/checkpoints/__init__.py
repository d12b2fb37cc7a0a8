"""Checkpoints: finding, fetching, reading, converting and loading them without running foreign code."""
