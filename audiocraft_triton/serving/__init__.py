"""Starts a Triton: the embedded server from its Python wheel, its backend directory, the wait until it is ready."""
