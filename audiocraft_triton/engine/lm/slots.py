"""The state of all slots on the device, and the one step that advances every slot at once.

A slot has two rows in the KV cache, 2·slot with its conditions and 2·slot + 1 without them (for guidance). A step reads
and writes only tensors of fixed shape and address, so that it can be captured as a CUDA graph. All that determines a
request (its tokens so far, draw keys, sampling parameters) is in its own slot's entries.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from audiocraft_triton.engine.lm.delay_pattern import UNKNOWN
from audiocraft_triton.engine.lm.kv_cache import KVCache
from audiocraft_triton.engine.lm.randomness import exponential_draws
from audiocraft_triton.engine.lm.sampling import SamplingParameters, guide, sample
from audiocraft_triton.engine.lm.transformer import DecoderTransformer


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of one request; row 0 has the request's own, row 1 the empty condition (for guidance).

    Attributes:
        cross: [2, length, dim], read by cross-attention; None if the model has no cross-attention.
        prepended: [2, length, dim], put before the first column; None if the model prepends no condition.
    """

    cross: torch.Tensor | None
    prepended: torch.Tensor | None


class Slots:
    """Caches, sequences and parameters of a fixed number of requests.

    Args:
        transformer: the model.
        slots: number of requests that can run at once.
        columns: most columns of one window.
        prefix: most positions that conditions may take before the first column.
    """

    def __init__(self, transformer: DecoderTransformer, slots: int, columns: int, prefix: int) -> None:
        self._transformer = transformer
        self.count = slots
        self._cache = KVCache(transformer, 2 * slots, prefix + columns)
        self._sampling = SamplingParameters(slots, transformer.weights.card, transformer.device)
        codebooks, device = transformer.weights.codebooks, transformer.device

        def integers(*shape: int) -> torch.Tensor:
            return torch.zeros(*shape, device=device, dtype=torch.int64)

        self._sequence = integers(slots, columns, codebooks)
        self._draw_keys = integers(slots, columns, codebooks)
        self._column = integers(slots) + 1  # the next column to fill
        self._active = integers(slots)
        self._rows = integers(slots, 2)  # 1 where a row is in use
        self._prefix = integers(slots)
        self._condition_length = integers(slots)
        self._index = torch.arange(slots, device=device)
        self._occupied: set[int] = set()

    def tensors(self) -> dict[str, torch.Tensor]:
        """Returns all tensors that a step reads or writes, except the model's weights, by name."""
        parts = {"": vars(self), "cache.": vars(self._cache), "sampling.": vars(self._sampling)}
        return {
            prefix + name.lstrip("_"): value
            for prefix, part in parts.items()
            for name, value in part.items()
            if isinstance(value, torch.Tensor)
        }

    def occupy(
        self, slot: int, conditions: Conditions, *, temperature: float, top_k: int, top_p: float, cfg_coef: float
    ) -> None:
        """Sets what stays the same for a whole request: its conditions and its sampling parameters."""
        self._sampling.set(slot, temperature=temperature, top_k=top_k, top_p=top_p, cfg_coef=cfg_coef)
        self._occupied.add(slot)
        rows = self._rows_of(slot)
        self._rows[slot, 0] = 1
        self._rows[slot, 1] = rows.stop - rows.start - 1
        if conditions.cross is not None:
            source = conditions.cross[: rows.stop - rows.start]
            if source.is_cuda:  # another CUDA stream made it, and must not reuse its memory before it is read here
                source.record_stream(torch.cuda.current_stream())
            self._cache.store_conditions(rows, source)
            self._condition_length[slot] = source.shape[1]

    def begin(
        self, slot: int, sequence: torch.Tensor, draw_keys: torch.Tensor, column: int, conditions: Conditions
    ) -> None:
        """Starts a window in an occupied slot.

        Args:
            sequence: int64 [columns, codebooks], UNKNOWN for tokens to be sampled.
            draw_keys: int64 [columns, codebooks], see `randomness`.
            column: the first column with an unknown token; those before it are prefilled here.
            conditions: as given to `occupy`.
        """
        device = self._sequence.device
        self._sequence[slot, : len(sequence)] = _to(sequence, device)
        self._draw_keys[slot, : len(draw_keys)] = _to(draw_keys, device)
        prefix = 0 if conditions.prepended is None else conditions.prepended.shape[1]
        if prefix + column > 1:
            self._prefill(slot, self._sequence[slot, : column - 1], conditions)
        self._prefix[slot] = prefix
        self._column[slot] = column
        self._active[slot] = 1

    def release(self, slot: int) -> None:
        """Frees a slot."""
        self._occupied.discard(slot)
        self._active[slot] = 0
        self._rows[slot] = 0
        # A step computes free slots too, and after a full window this slot's column would be past the last one.
        self._column[slot] = 1
        self._prefix[slot] = 0

    def sequence(self, slot: int) -> torch.Tensor:
        """Returns a slot's columns, int64 [columns, codebooks], as a view that the next step writes to."""
        return self._sequence[slot]

    def step(self) -> None:
        """Fills the next column of every active slot. It computes free slots too, so that all steps have one shape."""
        self._step(self.count, guided=True, filtered=True)

    def step_occupied(self) -> None:
        """Does the same, without what no occupied slot needs: later slots, guidance, the sorting.

        Call it only if a row's bits do not depend on how many rows are computed together.
        """
        used = max(self._occupied) + 1
        guided = any(self._sampling.guided[slot] for slot in self._occupied)
        filtered = any(self._sampling.filtered[slot] for slot in self._occupied)
        self._step(used, guided=guided, filtered=filtered)

    def _step(self, used: int, *, guided: bool, filtered: bool) -> None:
        transformer, halves = self._transformer, 2 if guided else 1
        index, column = self._index[:used], self._column[:used]
        positions = column - 1 + self._prefix[:used]
        in_use = self._rows[:used, :halves]
        attention = self._cache.decode(
            slice(0, 2 * used, 3 - halves),
            ((positions + 1)[:, None] * in_use).flatten(),
            (self._condition_length[:used, None] * in_use).flatten(),
        )
        residual = transformer.embed(self._sequence[index, column - 1], positions)
        normed = transformer.forward(residual.repeat_interleave(halves, dim=0), attention)
        logits = transformer.logits(normed).view(used, halves, -1, transformer.weights.card)
        sampling = self._sampling.first(used)
        guided_logits = guide(logits, sampling.cfg_coef) if guided else logits[:, 0]
        draws = exponential_draws(self._draw_keys[index, column], transformer.weights.card)
        sampled = sample(guided_logits, sampling, draws, filtered=filtered)
        given = self._sequence[index, column]
        self._sequence[index, column] = torch.where(given == UNKNOWN, sampled, given)
        column += self._active[:used]

    def _prefill(self, slot: int, tokens: torch.Tensor, conditions: Conditions) -> None:
        """Fills a slot's caches with all positions before its first unknown column, at once."""
        transformer, rows = self._transformer, self._rows_of(slot)
        halves = rows.stop - rows.start
        prefix = 0 if conditions.prepended is None else conditions.prepended.shape[1]
        length = prefix + len(tokens)
        positions = torch.arange(length, device=tokens.device)
        residual = transformer.embed(tokens, positions[prefix:]).expand(halves, -1, -1)
        if conditions.prepended is not None:
            prepended = conditions.prepended[:halves].float() + transformer.embed_positions(positions[:prefix])
            residual = torch.cat([prepended, residual], dim=1)
        condition_length = 0 if conditions.cross is None else conditions.cross.shape[1]
        attention = self._cache.prefill(rows, length, condition_length)
        transformer.forward(residual.flatten(0, 1).contiguous(), attention)

    def _rows_of(self, slot: int) -> slice:
        """Returns the rows of the cache that a slot uses."""
        return slice(2 * slot, 2 * slot + 1 + self._sampling.guided[slot])


def _to(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copies a tensor to the device without waiting for the copy."""
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)
