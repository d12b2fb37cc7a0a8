"""Client for AudioCraft models served by Triton: music, sound, codecs and discriminators.

from audiocraft_client import Client

with Client("localhost:8001") as client:
    client.music("calm piano", duration=5, seed=7).save("out.wav")
"""

from audiocraft_client.aio import AsyncClient
from audiocraft_client.calls import AudioSource, GenerationOptions
from audiocraft_client.client import Client
from audiocraft_client.errors import (
    AudioCraftError,
    Cancelled,
    DeadlineExceeded,
    InvalidRequest,
    Overloaded,
    ServerFailure,
    ServerUnreachable,
)
from audiocraft_client.results import Analysis, Audio, Chunk, Codes, FeatureLayer, Health

__version__ = "0.1.0"

__all__ = [
    "Analysis",
    "AsyncClient",
    "Audio",
    "AudioCraftError",
    "AudioSource",
    "Cancelled",
    "Chunk",
    "Client",
    "Codes",
    "DeadlineExceeded",
    "FeatureLayer",
    "GenerationOptions",
    "Health",
    "InvalidRequest",
    "Overloaded",
    "ServerFailure",
    "ServerUnreachable",
    "__version__",
]
