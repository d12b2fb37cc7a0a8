"""The measured contenders: the engine alone, the engine behind Triton, audiocraft and transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.contenders.contender import Contender, Job

CONTENDERS: Mapping[str, str] = {
    "engine": "benchmarks.contenders.engine_alone",
    "triton": "benchmarks.contenders.through_triton",
    "audiocraft": "benchmarks.contenders.audiocraft_batch",
    "transformers": "benchmarks.contenders.transformers_batch",
}


def contender_opener(name: str) -> Callable[[Job], AbstractContextManager[Contender]]:
    """Returns the context manager that loads a contender and frees it at the end.

    It imports the contender's module on use, so that a failing import does not affect other contenders.
    """
    opener: Callable[[Job], AbstractContextManager[Contender]] = import_module(CONTENDERS[name]).opened
    return opener
