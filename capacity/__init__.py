"""Capacity planning: simulates how many pods a number of listeners needs, based on measurements."""
