"""Decodes EnCodec tokens by MultiBand Diffusion."""

from __future__ import annotations

import secrets
from collections import defaultdict
from typing import Any

import numpy as np

from audiocraft_triton.contract.codes import check_codes
from audiocraft_triton.contract.limits import MAX_SEED
from audiocraft_triton.contract.parameters import BY_NAME
from audiocraft_triton.engine.codec.multiband_diffusion import MultiBandDiffusion
from audiocraft_triton.serving.adapters import tensors
from audiocraft_triton.serving.adapters.metrics import InFlightGauge
from audiocraft_triton.serving.adapters.settings import Settings


class TritonPythonModel:
    """Decodes a batch's clips of equal length together; a bad request fails alone."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Loads the codec and the diffusion bands, and decodes once, so that READY means that the model works."""
        settings = Settings(args)
        self._diffusion = MultiBandDiffusion(
            settings.get("checkpoint"), settings.get("diffusion_checkpoint"), device=settings.device
        )
        codec = self._diffusion.codec
        self._bounds = (codec.num_codebooks, codec.cardinality, codec.frame_rate)
        self._diffusion.decode(np.zeros((1, codec.num_codebooks, 10), np.int32), [0])
        self._in_flight = InFlightGauge(
            "audiocraft_diffusing_requests", "Requests that are decoded by diffusion", settings.model
        )

    def execute(self, requests: list[Any]) -> list[Any]:
        """Returns one response per request, in order."""
        with self._in_flight.counting(len(requests)):
            return self._answers(requests)

    def finalize(self) -> None:
        """Makes the server delete the metric."""
        del self._in_flight

    def _answers(self, requests: list[Any]) -> list[Any]:
        responses: dict[int, Any] = {}
        clips: dict[int, tuple[Any, list[int]]] = {}
        for index, request in enumerate(requests):
            try:
                clips[index] = self._read(request)
            except Exception as error:  # a bad request fails alone
                responses[index] = tensors.error_response(error, request)
        by_length: dict[int, list[int]] = defaultdict(list)
        for index, (codes, _) in clips.items():
            by_length[codes.shape[2]].append(index)
        for members in by_length.values():
            try:
                responses.update(self._decode(requests, clips, members))
            except Exception as error:  # for example out of memory: requests of other lengths still get their answers
                responses.update({index: tensors.error_response(error, requests[index]) for index in members})
        return [responses[index] for index in range(len(requests))]

    def _read(self, request: Any) -> tuple[Any, list[int]]:
        """Returns codes [clips, codebooks, frames] and one seed per clip."""
        codes = tensors.array(request, "codes")
        check_codes(codes, *self._bounds)
        given = tensors.array(request, "seed")
        if given is None:
            return codes, [secrets.randbelow(MAX_SEED + 1) for _ in codes]
        seeds = [int(seed) for seed in given.reshape(-1)]
        for seed in seeds:
            BY_NAME["seed"].check(seed)
        return codes, seeds

    def _decode(
        self, requests: list[Any], clips: dict[int, tuple[Any, list[int]]], members: list[int]
    ) -> dict[int, Any]:
        codes = np.concatenate([clips[index][0] for index in members])
        seeds = [seed for index in members for seed in clips[index][1]]
        waveforms = self._diffusion.decode(codes, seeds)
        responses, start = {}, 0
        for index in members:
            stop = start + len(clips[index][1])
            outputs = {
                "waveform": tensors.tensor("waveform", waveforms[start:stop], "FP32"),
                "sample_rate": tensors.tensor("sample_rate", [[self._diffusion.sample_rate]] * (stop - start), "INT32"),
                "seed": tensors.tensor("seed", [[seed] for seed in seeds[start:stop]], "INT64"),
            }
            responses[index] = tensors.response(requests[index], outputs)
            start = stop
        return responses
