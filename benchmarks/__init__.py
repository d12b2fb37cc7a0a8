"""How fast: the engine alone, through Triton, and beside audiocraft's and transformers' own generation."""
