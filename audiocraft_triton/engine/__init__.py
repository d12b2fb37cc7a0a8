"""The generation engine: torch and audiocraft, no Triton."""
