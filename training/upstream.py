"""Names from audiocraft and transformers that only training uses; the other modules import them from here."""

from audiocraft_triton.checkpoints import upstream  # noqa: F401, I001  (first: makes the imports below work)

import torchaudio
from audiocraft.adversarial.losses import (
    AdversarialLoss,
    FeatureMatchingLoss,
    get_adv_criterion,
    get_fake_criterion,
    get_real_criterion,
)
from audiocraft.losses import Balancer, MRSTFTLoss, MultiScaleMelSpectrogramLoss, SISNR
from audiocraft.optim import CosineLRScheduler
from audiocraft.quantization.core_vq import sample_vectors
from transformers import T5Config, T5EncoderModel, T5Tokenizer

__all__ = [
    "SISNR",
    "AdversarialLoss",
    "Balancer",
    "CosineLRScheduler",
    "FeatureMatchingLoss",
    "MRSTFTLoss",
    "MultiScaleMelSpectrogramLoss",
    "T5Config",
    "T5EncoderModel",
    "T5Tokenizer",
    "get_adv_criterion",
    "get_fake_criterion",
    "get_real_criterion",
    "sample_vectors",
    "torchaudio",
]
