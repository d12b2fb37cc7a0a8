"""Bounds of all that callers may send, except the generation parameters. Each bound is defined only here."""

# A clip, generated or sent.
MIN_SECONDS = 0.1
MAX_SECONDS = 300
MIN_CHUNK_SECONDS = 0.1
MAX_CHUNK_SECONDS = 10
MAX_TEXT_CHARACTERS = 2_000
MAX_SEED = 2**63 - 1
# Seconds: the longest deadline of a request, and the longest drain of a server.
MAX_TIMEOUT = 86_400
DRAIN_SECONDS = 330
"""The default drain: the longest clip at real time, plus half a minute."""

# Audio files.
MEBIBYTE = 2**20
MAX_FILE_BYTES = 64 * MEBIBYTE
MAX_CHANNELS = 8
# Frames × channels, 240 MB as float32. The bound is needed because half a megabyte of FLAC silence can unpack to
# gigabytes.
MAX_SAMPLES = 60_000_000
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 4_000, 192_000
# Float files may exceed full scale a little; values of ±32768 come from an integer file read as floats.
MAX_AMPLITUDE = 100.0

# EnCodec tokens. A checkpoint's own bounds are lower.
MAX_CODEBOOKS = 64
MAX_FRAMES = 60_000
"""The longest clip at 200 frames a second."""
MAX_CODES_BYTES = 64 * MEBIBYTE
"""Largest size of a codes file when unpacked; without it, a small file of zeros could fill all memory."""

# Requests as a whole.
MAX_BODY_BYTES = 90 * MEBIBYTE
"""The gateway's default, which fits an audio file of MAX_FILE_BYTES in base64."""
MAX_TRITON_REQUEST_BYTES = 96 * MEBIBYTE
"""Triton's own limit over HTTP: MAX_BODY_BYTES plus the tensors' framing."""
