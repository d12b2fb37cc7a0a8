"""Finds the embedded tritonserver in its wheel, starts it, watches it and stops it."""
