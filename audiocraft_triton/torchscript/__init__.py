"""Eager audiocraft modules rebuilt so that TorchScript can hold them, and the proof that nothing changed."""
