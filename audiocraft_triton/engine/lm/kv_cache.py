"""The KV cache of all slots, and attention to it: for one new position per row, or for a whole prefix at once."""

from __future__ import annotations

import torch
from torch.nn import functional as F  # noqa: N812

from audiocraft_triton.engine.lm.kernels import StepOperations
from audiocraft_triton.engine.lm.memory import MAX_CONDITION_LENGTH
from audiocraft_triton.engine.lm.transformer import DecoderTransformer


class KVCache:
    """Keys and values of the sequences and of the conditions of a fixed number of rows.

    Args:
        transformer: the transformer that computes the keys and values.
        rows: number of sequences that the cache holds at once.
        positions: length of the longest sequence.
    """

    def __init__(self, transformer: DecoderTransformer, rows: int, positions: int) -> None:
        self._transformer = transformer
        self._operations = transformer.operations
        weights, device = transformer.weights, transformer.device
        conditions = 0 if weights.cross_key_value is None else MAX_CONDITION_LENGTH

        def zeros(length: int) -> torch.Tensor:
            # Masked values are multiplied by 0, so they must not be garbage: 0 · NaN is NaN.
            shape = (len(weights.layers), 2, rows, self._operations.capacity(length), weights.heads)
            return torch.zeros(*shape, transformer.head_dim, device=device, dtype=weights.dtype)

        self._sequences = zeros(positions)
        self._conditions = zeros(conditions)

    def store_conditions(self, rows: slice, conditions: torch.Tensor) -> None:
        """Projects the conditions of rows, [rows, length, dim], and stores them for the rows' whole stay."""
        projected = self._transformer.condition_keys_values(conditions)
        self._conditions[:, :, rows, : conditions.shape[1]] = projected

    def decode(self, rows: slice, lengths: torch.Tensor, condition_lengths: torch.Tensor) -> DecodeAttention:
        """Makes the attention of one new position in each of R rows.

        Args:
            rows: R rows of the cache.
            lengths: int64 [R], positions of each row's sequence, including the new one; 0 where a row is idle.
            condition_lengths: int64 [R], positions of each row's conditions.
        """
        return DecodeAttention(
            self._operations, self._sequences[:, :, rows], self._conditions[:, :, rows], lengths, condition_lengths
        )

    def prefill(self, rows: slice, length: int, condition_length: int) -> PrefillAttention:
        """Makes the attention of the first `length` positions of some rows, one row after the other."""
        sequences, conditions = self._sequences[:, :, rows, :length], self._conditions[:, :, rows, :condition_length]
        return PrefillAttention(sequences, conditions)


class DecodeAttention:
    """Implements `transformer.Attention` for one new position in each row, with this device's kernels."""

    def __init__(
        self,
        operations: StepOperations,
        sequences: torch.Tensor,
        conditions: torch.Tensor,
        lengths: torch.Tensor,
        condition_lengths: torch.Tensor,
    ) -> None:
        self._operations = operations
        self._sequences = sequences
        self._conditions = conditions
        self._spans = operations.spans(lengths)
        self._condition_spans = operations.spans(condition_lengths)

    def over_sequence(self, layer: int, qkv: torch.Tensor) -> torch.Tensor:
        keys, values = self._sequences[layer]
        return self._operations.append(qkv, keys, values, self._spans)

    def over_conditions(self, layer: int, query: torch.Tensor) -> torch.Tensor:
        keys, values = self._conditions[layer]
        return self._operations.attend(query, keys, values, self._condition_spans)


class PrefillAttention:
    """Implements `transformer.Attention` for all positions of new sequences, with plain causal attention."""

    def __init__(self, sequences: torch.Tensor, conditions: torch.Tensor) -> None:
        self._sequences = sequences
        self._conditions = conditions
        self._rows, self._length = sequences.shape[2:4]

    def over_sequence(self, layer: int, qkv: torch.Tensor) -> torch.Tensor:
        query, keys, values = qkv.view(self._rows, self._length, *qkv.shape[1:]).unbind(dim=2)
        self._sequences[layer, 0] = keys
        self._sequences[layer, 1] = values
        return _attend(query, keys, values, is_causal=True)

    def over_conditions(self, layer: int, query: torch.Tensor) -> torch.Tensor:
        query = query.view(self._rows, self._length, *query.shape[1:])
        return _attend(query, *self._conditions[layer], is_causal=False)


def _attend(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, *, is_causal: bool) -> torch.Tensor:
    """Attends: [rows, length, heads, head_dim] each -> [rows · length, heads · head_dim]."""
    query, keys, values = (tensor.transpose(1, 2) for tensor in (query, keys, values))
    attended = F.scaled_dot_product_attention(query, keys, values, is_causal=is_causal)
    return attended.transpose(1, 2).flatten(2).flatten(0, 1)
