"""Rebuilds eager audiocraft modules so that TorchScript can hold them, and verifies that their results are the same."""
