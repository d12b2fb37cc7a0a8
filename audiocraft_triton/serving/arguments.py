"""What every tritonserver of ours is told, embedded or in a container."""

from __future__ import annotations

from audiocraft_triton.contract.models import AUDIO_READER, MULTIBAND_DIFFUSION

INNER_CALLS = {AUDIO_READER: 4, MULTIBAND_DIFFUSION: 16}
"""How many requests to each of these models one process of another model may have under way: two for each process of
the reader, a batch that is computed and one that waits for the diffusion. More would wait, and hold a thread each."""
RESPONSE_THREADS = 4
"""Beside those: for the chunks of a stream, which are handed on without waiting for their reader."""
THREADS_PER_MODEL = sum(INNER_CALLS.values()) + RESPONSE_THREADS
"""The Python backend starts so many threads for each process of a model. It takes one number for all models, so this is
what the models with the most to do can use: those that generate."""

SERVING_ARGUMENTS = (
    f"--backend-config=python,thread-pool-size={THREADS_PER_MODEL}",
    "--model-control-mode=none",
    "--disable-auto-complete-config",
    "--strict-readiness=true",
)
