"""Runs Triton, embedded or in a container, and adapts its models to the engine."""
