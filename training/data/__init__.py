"""Makes the training data from integer seeds: music, sounds, and the manifests that list them."""
