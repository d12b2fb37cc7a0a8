"""How real a clip sounds: the discriminators, and what their logits mean."""
