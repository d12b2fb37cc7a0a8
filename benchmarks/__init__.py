"""Benchmarks the engine alone and through Triton against audiocraft's and transformers' own generation."""
