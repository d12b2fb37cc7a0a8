"""Arguments common to every tritonserver of this project, embedded or in a container."""

from __future__ import annotations

from audiocraft_triton.contract.models import AUDIO_READER, MULTIBAND_DIFFUSION

INNER_CALLS = {AUDIO_READER: 4, MULTIBAND_DIFFUSION: 16}
"""Requests that one process of another model may have in flight to each of these models: two for each process of the
reader, and for the diffusion one batch that runs and one that waits. More would only wait, each holding a thread."""
RESPONSE_THREADS = 4
"""Additional threads for the chunks of streams, which are passed on without waiting for the client to read them."""
THREADS_PER_MODEL = sum(INNER_CALLS.values()) + RESPONSE_THREADS
"""Threads that the Python backend starts for each process of a model. It takes one number for all models, so this is
the number that the busiest ones, which generate, can use."""

SERVING_ARGUMENTS = (
    f"--backend-config=python,thread-pool-size={THREADS_PER_MODEL}",
    "--model-control-mode=none",
    "--disable-auto-complete-config",
    "--strict-readiness=true",
)
