"""Builds the demo checkpoints' training data, trains the checkpoints and measures them."""
