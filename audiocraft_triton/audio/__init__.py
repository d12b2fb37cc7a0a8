"""Audio files to waveforms and back, within bounds."""
