"""The training data, made from integer seeds: music, sounds, and the manifests that list them."""
