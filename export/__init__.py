"""Checkpoints in, what Triton loads out: TorchScript models with manifests, verified against eager."""
