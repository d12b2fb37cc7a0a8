"""Scores how real a clip sounds: the discriminators, and the calibration of their logits."""
