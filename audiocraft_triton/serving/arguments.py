"""What every tritonserver of ours is told, embedded or in a container."""

from __future__ import annotations

SERVING_ARGUMENTS = (
    # How many requests of one model may wait for another model's answer; 32 by default, fewer than the generation
    # models admit.
    "--backend-config=python,thread-pool-size=160",
    "--model-control-mode=none",
    "--disable-auto-complete-config",
    "--strict-readiness=true",
)
