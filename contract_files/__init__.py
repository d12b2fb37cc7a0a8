"""Generates the files that derive from `audiocraft_triton/contract` but can't import it, and finds outdated ones."""
