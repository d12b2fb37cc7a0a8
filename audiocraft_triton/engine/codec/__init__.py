"""Decodes tokens to sound: EnCodec as a stream, MultiBand Diffusion at the end of a clip."""
