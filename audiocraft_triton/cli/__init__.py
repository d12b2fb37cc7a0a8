"""The `audiocraft-triton` command."""
