"""The `audiocraft-triton` command: export, serve, demo."""
