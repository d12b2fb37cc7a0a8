"""Bounds of what callers may send: audio files, in bytes, seconds and samples."""

MAX_FILE_BYTES = 64 * 2**20
MAX_SECONDS = 300.0
MAX_CHANNELS = 8
# Frames × channels, 240 MB as float32: half a megabyte of FLAC silence can unpack to gigabytes.
MAX_SAMPLES = 60_000_000
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 4_000, 192_000
# Float files may exceed full scale a little; ±32768 is an integer file read as floats.
MAX_AMPLITUDE = 100.0
