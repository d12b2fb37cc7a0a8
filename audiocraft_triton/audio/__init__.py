"""Converts audio files to bounded waveforms, and waveforms to audio files."""
