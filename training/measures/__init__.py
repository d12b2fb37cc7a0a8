"""Measures of the trained checkpoints: one command computes them on a CPU, from the shipped files."""
