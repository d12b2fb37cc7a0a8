"""Data and training of the demo checkpoints, and what measures them."""
