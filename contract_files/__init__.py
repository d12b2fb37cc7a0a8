"""Writes what is derived from `audiocraft_triton/contract` but can't import it, and says where such files differ."""
