"""The state of all slots on the device, and the one step that advances every slot at once.

A slot has two rows in the caches of keys and values, 2·slot for its conditions and 2·slot + 1 for none (guidance).
All that a step reads and writes are tensors of fixed shape and address, so that it can be captured as a CUDA graph;
what decides over a request (its tokens so far, random keys, sampling parameters) lies in its slot's entries alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F  # noqa: N812

from audiocraft_triton.engine.conditioning.conditioner import MAX_CONDITION_LENGTH, Conditions
from audiocraft_triton.engine.lm.delay_pattern import UNKNOWN
from audiocraft_triton.engine.lm.kernels.cpu import StepOperations
from audiocraft_triton.engine.lm.randomness import exponential_draws
from audiocraft_triton.engine.lm.sampling import SamplingParameters, guide, sample
from audiocraft_triton.engine.lm.transformer import EPSILON, DecoderTransformer, Norm


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one request samples; as in GenerationRequest, but top_k is never 0."""

    temperature: float
    top_k: int
    top_p: float
    cfg_coef: float

    @property
    def guided(self) -> bool:
        """Whether the second row is needed."""
        return self.cfg_coef != 1.0

    def filtered(self, card: int) -> bool:
        """Whether the candidates are restricted."""
        return self.temperature > 0.0 and (self.top_p > 0.0 or self.top_k < card)


class Slots:
    """Caches, sequences and parameters of a fixed number of requests.

    Args:
        transformer: the model.
        operations: how this device computes a step.
        slots: requests at once.
        columns: most columns of one window.
        prefix: most positions that conditions may take before the first column.
    """

    def __init__(
        self, transformer: DecoderTransformer, operations: StepOperations, slots: int, columns: int, prefix: int
    ) -> None:
        self._transformer = transformer
        self._operations = operations
        self.count = slots
        layers, heads, width = len(transformer.layers), transformer.heads, transformer.head_dim
        device, dtype = transformer.device, transformer.dtype
        # Zeros, not garbage: what a mask hides is multiplied by 0, and 0 · NaN is NaN.
        positions = operations.capacity(prefix + columns)
        self._cache = torch.zeros(layers, 2, 2 * slots, positions, heads, width, device=device, dtype=dtype)
        length = operations.capacity(MAX_CONDITION_LENGTH) if transformer.cross else 0
        self._cross = torch.zeros(layers, 2, 2 * slots, length, heads, width, device=device, dtype=dtype)

        def integers(*shape: int) -> torch.Tensor:
            return torch.zeros(*shape, device=device, dtype=torch.int64)

        self._sequence = integers(slots, columns, transformer.codebooks)
        self._keys = integers(slots, columns, transformer.codebooks)
        self._column = integers(slots) + 1  # the next one to fill
        self._active = integers(slots)
        self._rows = integers(slots, 2)  # 1 where a row is in use
        self._prefix = integers(slots)
        self._cross_length = integers(slots)
        self._top_k = integers(slots, 1, 1) + 1
        self._temperature, self._top_p, self._cfg_coef = (
            torch.zeros(slots, 1, 1, device=device, dtype=torch.float32) for _ in range(3)
        )
        self._index = torch.arange(slots, device=device)
        self._halves = [0] * slots  # rows in use, known to the host

    @staticmethod
    def bytes_per_slot(transformer: DecoderTransformer, columns: int, prefix: int) -> int:
        """Memory that each slot's caches take."""
        positions = prefix + columns + (MAX_CONDITION_LENGTH if transformer.cross else 0)
        return 2 * 2 * len(transformer.layers) * positions * transformer.dim * transformer.dtype.itemsize

    def occupy(self, slot: int, sampling: Sampling, conditions: Conditions) -> None:
        """Sets what holds for a request as long as it stays: parameters, and what cross-attention reads."""
        self._temperature[slot] = sampling.temperature
        self._top_k[slot] = sampling.top_k
        self._top_p[slot] = sampling.top_p
        self._cfg_coef[slot] = sampling.cfg_coef
        self._rows[slot, 0] = 1
        self._rows[slot, 1] = int(sampling.guided)
        self._halves[slot] = 2 if sampling.guided else 1
        if conditions.cross is not None:
            length = conditions.cross.shape[1]
            rows = slice(2 * slot, 2 * slot + self._halves[slot])
            source = conditions.cross[: self._halves[slot]]
            if source.is_cuda:  # another stream made it, and must not reuse its memory before it is read here
                source.record_stream(torch.cuda.current_stream())
            self._cross[:, :, rows, :length] = self._transformer.cross_keys_values(source)
            self._cross_length[slot] = length

    def begin(self, slot: int, sequence: torch.Tensor, keys: torch.Tensor, column: int, conditions: Conditions) -> None:
        """Starts a window in an occupied slot.

        Args:
            sequence: int64 [columns, codebooks], UNKNOWN where sampling decides.
            keys: int64 [columns, codebooks], see `randomness`.
            column: the first one with something unknown; those before it are run through the model here.
            conditions: as given to `occupy`.
        """
        device = self._sequence.device
        self._sequence[slot, : len(sequence)] = _to(sequence, device)
        self._keys[slot, : len(keys)] = _to(keys, device)
        prefix = 0 if conditions.prepended is None else conditions.prepended.shape[1]
        if prefix + column > 1:
            self._prefill(slot, self._sequence[slot, : column - 1], conditions)
        self._prefix[slot] = prefix
        self._column[slot] = column
        self._active[slot] = 1

    def release(self, slot: int) -> None:
        """Frees a slot."""
        self._active[slot] = 0
        self._rows[slot] = 0
        # A step computes free slots too, and after a full window this one stands behind the last column.
        self._column[slot] = 1
        self._prefix[slot] = 0

    def sequence(self, slot: int) -> torch.Tensor:
        """A slot's columns, int64 [columns, codebooks]; a view that the next step writes to."""
        return self._sequence[slot]

    def step(self, used: int, *, guided: bool = True, filtered: bool = True) -> None:
        """Fills the next column of every active slot.

        Args:
            used: only the first so many slots are computed.
            guided: False where no active slot needs its second row.
            filtered: False where no active slot has a top_k or top_p.
        """
        transformer, halves = self._transformer, 2 if guided else 1
        index, column = self._index[:used], self._column[:used]
        positions = column - 1 + self._prefix[:used]
        residual = transformer.embed(self._sequence[index, column - 1]) + transformer.position(positions)
        residual = residual.repeat_interleave(halves, dim=0)
        in_use = self._rows[:used, :halves]
        spans = self._operations.spans(((positions + 1)[:, None] * in_use).flatten())
        cross_spans = self._operations.spans((self._cross_length[:used, None] * in_use).flatten())
        rows = slice(0, 2 * used, 3 - halves)
        normed = self._layers(residual, rows, spans, cross_spans)
        logits = transformer.logits(normed).view(used, halves, transformer.codebooks, transformer.card)
        guided_logits = guide(logits, self._cfg_coef[:used]) if guided else logits[:, 0]
        parameters = SamplingParameters(self._temperature[:used], self._top_k[:used], self._top_p[:used])
        draws = exponential_draws(self._keys[index, column], transformer.card)
        sampled = sample(guided_logits, parameters, draws, filtered=filtered)
        given = self._sequence[index, column]
        self._sequence[index, column] = torch.where(given == UNKNOWN, sampled, given)
        column += self._active[:used]

    def _layers(self, residual: torch.Tensor, rows: slice, spans: object, cross_spans: object) -> torch.Tensor:
        """One new position through all layers: float32 [R, dim] -> normed [R, dim]."""
        transformer, operations = self._transformer, self._operations
        update: torch.Tensor | None = None
        for layer, cache, cross in zip(transformer.layers, self._cache, self._cross, strict=True):
            normed = operations.add_and_norm(residual, update, layer.self_norm)
            qkv = layer.qkv(normed).view(-1, 3, transformer.heads, transformer.head_dim)
            update = layer.self_out(operations.append(qkv, cache[0, rows], cache[1, rows], spans))
            if layer.cross is not None:
                normed = operations.add_and_norm(residual, update, layer.cross.norm)
                query = layer.cross.query(normed).view(-1, transformer.heads, transformer.head_dim)
                update = layer.cross.out(operations.attend(query, cross[0, rows], cross[1, rows], cross_spans))
            normed = operations.add_and_norm(residual, update, layer.feed_norm)
            update = layer.feed_out(layer.activation(layer.feed_in(normed)))
        return operations.add_and_norm(residual, update, transformer.out_norm)

    def _prefill(self, slot: int, tokens: torch.Tensor, conditions: Conditions) -> None:
        """Fills a slot's caches with what precedes its first unknown column, all positions at once."""
        transformer, halves = self._transformer, self._halves[slot]
        residual = transformer.embed(tokens).expand(halves, -1, -1)
        if conditions.prepended is not None:
            residual = torch.cat([conditions.prepended[:halves].float(), residual], dim=1)
        length = residual.shape[1]
        residual = residual + transformer.position(torch.arange(length, device=residual.device))
        rows = slice(2 * slot, 2 * slot + halves)
        cross_length = 0 if conditions.cross is None else conditions.cross.shape[1]
        for layer, cache, cross in zip(transformer.layers, self._cache, self._cross, strict=True):
            normed = _normed(residual, layer.self_norm, transformer.dtype)
            qkv = layer.qkv(normed).view(halves, length, 3, transformer.heads, transformer.head_dim)
            query, keys, values = qkv.unbind(dim=2)
            cache[0, rows, :length] = keys
            cache[1, rows, :length] = values
            if layer is transformer.layers[-1]:
                break  # what comes after it would only be needed to sample
            residual = residual + layer.self_out(_attend(query, keys, values, is_causal=True))
            if layer.cross is not None:
                normed = _normed(residual, layer.cross.norm, transformer.dtype)
                query = layer.cross.query(normed).view(halves, length, transformer.heads, transformer.head_dim)
                keys, values = cross[0, rows, :cross_length], cross[1, rows, :cross_length]
                residual = residual + layer.cross.out(_attend(query, keys, values, is_causal=False))
            normed = _normed(residual, layer.feed_norm, transformer.dtype)
            residual = residual + layer.feed_out(layer.activation(layer.feed_in(normed)))


def _normed(residual: torch.Tensor, norm: Norm, dtype: torch.dtype) -> torch.Tensor:
    return F.layer_norm(residual, residual.shape[-1:], norm.weight, norm.bias, EPSILON).to(dtype)


def _attend(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, *, is_causal: bool) -> torch.Tensor:
    """[rows, length, heads, head_dim] each -> [rows, length, heads · head_dim]."""
    query, keys, values = (tensor.transpose(1, 2) for tensor in (query, keys, values))
    attended = F.scaled_dot_product_attention(query, keys, values, is_causal=is_causal)
    return attended.transpose(1, 2).flatten(2)


def _to(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """To the device without waiting for it."""
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)
