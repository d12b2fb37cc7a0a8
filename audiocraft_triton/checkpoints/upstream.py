"""Makes everything that this package uses of audiocraft and transformers importable with current packages.

Import those names from here, in any order. Code outside this package that imports audiocraft itself must import this
module first.

audiocraft 1.3.0 pins torch 2.1 and packages that no longer install. It works with current ones if
- torchaudio's compiled extension, built against CUDA libraries, is not loaded on a CPU-only torch;
- transformers is imported before the stand-ins below exist (it probes for optional packages);
- `av`, `spacy` and `librosa` (m4a reading, the whitespace tokenizer, melody chroma: 700 MB together) may be absent:
  stand-ins take their names while audiocraft is imported, and raise an ImportError that names the package when used.

If audiocraft is not installed, importing this module raises AudiocraftMissing, which says how to install it.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import warnings
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from audiocraft_triton.checkpoints.audiocraft_installation import AudiocraftMissing, requirements

OPTIONAL_PACKAGES = ("av", "spacy", "librosa")


class _Absent:
    """A member of a package that is not installed. It may be imported and passed around; any use of it raises."""

    def __init__(self, package: str, member: str) -> None:
        self._error = (
            f"this part of audiocraft needs the package {package!r}, which is not installed "
            f"(wanted: {package}.{member}); install it with: pip install {package}"
        )

    def __call__(self, *_args: Any, **_kwargs: Any) -> Any:
        raise ImportError(self._error)

    def __getattr__(self, attribute: str) -> Any:
        raise ImportError(self._error)


class _AbsentPackage(ModuleType):
    """Stands in for a package that is not installed while audiocraft is imported."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return _Absent(self.__name__, attribute)


def _bypass_torchaudio_extension() -> None:
    """Replaces `torchaudio._extension` if torch has no CUDA: torchaudio's Python code works without it."""
    import torch

    if torch.version.cuda is not None or "torchaudio" in sys.modules:
        return
    extension = ModuleType("torchaudio._extension")

    def fail_if_no_align(function: Any) -> Any:
        return function

    extension._IS_TORCHAUDIO_EXT_AVAILABLE = False  # type: ignore[attr-defined]
    extension._IS_ALIGN_AVAILABLE = False  # type: ignore[attr-defined]
    extension.fail_if_no_align = fail_if_no_align  # type: ignore[attr-defined]
    extension._check_cuda_version = lambda: None  # type: ignore[attr-defined]
    sys.modules["torchaudio._extension"] = extension


def _import_audiocraft() -> None:
    absent = [name for name in OPTIONAL_PACKAGES if importlib.util.find_spec(name) is None]
    for name in absent:
        sys.modules[name] = _AbsentPackage(name)
    # xformers warns that its compiled kernels are absent, but audiocraft only uses one plain function of it.
    logging.getLogger("xformers").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import audiocraft.models
            import audiocraft.solvers  # noqa: F401
    except ModuleNotFoundError as error:
        absent_package = str(error.name).partition(".")[0]
        if absent_package in {requirement.name for requirement in requirements()}:
            raise AudiocraftMissing(absent_package) from error
        raise
    finally:
        for name in absent:
            del sys.modules[name]


_bypass_torchaudio_extension()
import transformers  # noqa: E402

transformers.utils.logging.disable_progress_bar()
# audiocraft builds its convolutions with the older of torch's two weight norms, which warns once per layer.
warnings.filterwarnings("ignore", message=".*torch.nn.utils.weight_norm.* is deprecated", category=FutureWarning)
_import_audiocraft()

from audiocraft.adversarial.discriminators import (  # noqa: E402
    MultiPeriodDiscriminator,
    MultiScaleDiscriminator,
    MultiScaleSTFTDiscriminator,
)
from audiocraft.adversarial.discriminators.mpd import PeriodDiscriminator  # noqa: E402
from audiocraft.adversarial.discriminators.msd import ScaleDiscriminator  # noqa: E402
from audiocraft.adversarial.discriminators.msstftd import DiscriminatorSTFT  # noqa: E402
from audiocraft.models import builders  # noqa: E402
from audiocraft.models.builders import get_wrapped_compression_model  # noqa: E402
from audiocraft.models.encodec import (  # noqa: E402
    CompressionModel,
    EncodecModel,
    HFEncodecCompressionModel,
    InterleaveStereoCompressionModel,
)
from audiocraft.models.lm import LMModel  # noqa: E402
from audiocraft.modules.codebooks_patterns import DelayedPatternProvider  # noqa: E402
from audiocraft.modules.conditioners import (  # noqa: E402
    ClassifierFreeGuidanceDropout,
    ConditioningAttributes,
    T5Conditioner,
    WavCondition,
)
from audiocraft.modules.conv import (  # noqa: E402
    NormConv1d,
    NormConv2d,
    NormConvTranspose1d,
    StreamableConv1d,
    StreamableConvTranspose1d,
)
from audiocraft.modules.diffusion_schedule import NoiseSchedule  # noqa: E402
from audiocraft.modules.lstm import StreamableLSTM  # noqa: E402
from audiocraft.modules.seanet import SEANetDecoder, SEANetEncoder, SEANetResnetBlock  # noqa: E402
from audiocraft.modules.transformer import StreamingMultiheadAttention, create_sin_embedding  # noqa: E402
from audiocraft.quantization import ResidualVectorQuantizer  # noqa: E402
from transformers.models.encodec.modeling_encodec import (  # noqa: E402
    EncodecConv1d,
    EncodecConvTranspose1d,
    EncodecLSTM,
    EncodecResnetBlock,
)

__all__ = [
    "OPTIONAL_PACKAGES",
    "ClassifierFreeGuidanceDropout",
    "CompressionModel",
    "ConditioningAttributes",
    "DelayedPatternProvider",
    "DiscriminatorSTFT",
    "EncodecConv1d",
    "EncodecConvTranspose1d",
    "EncodecLSTM",
    "EncodecModel",
    "EncodecResnetBlock",
    "HFEncodecCompressionModel",
    "InterleaveStereoCompressionModel",
    "LMModel",
    "MultiPeriodDiscriminator",
    "MultiScaleDiscriminator",
    "MultiScaleSTFTDiscriminator",
    "NoiseSchedule",
    "NormConv1d",
    "NormConv2d",
    "NormConvTranspose1d",
    "PeriodDiscriminator",
    "ResidualVectorQuantizer",
    "SEANetDecoder",
    "SEANetEncoder",
    "SEANetResnetBlock",
    "ScaleDiscriminator",
    "StreamableConv1d",
    "StreamableConvTranspose1d",
    "StreamableLSTM",
    "StreamingMultiheadAttention",
    "T5Conditioner",
    "WavCondition",
    "builders",
    "create_sin_embedding",
    "get_wrapped_compression_model",
]
