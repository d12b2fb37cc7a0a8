"""Generates the fields of the engine's `GenerationRequest`."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from audiocraft_triton.contract.parameters import Parameter
from contract_files import words

_TYPES = {"BYTES": "str", "FP32": "float", "INT32": "int", "INT64": "int", "BOOL": "bool"}


def fields(parameters: Sequence[Parameter]) -> str:
    """Returns dataclass fields, each below its description. Unary inputs are left out: they only shape the answer."""
    rows = [parameter for parameter in parameters if parameter.frontend != "unary"]
    return "\n".join(f"{_comment(row)}\n{row.name}: {_annotation(row)} = {_default(row)}" for row in rows)


def _comment(parameter: Parameter) -> str:
    return textwrap.fill(words.sentence(parameter), 114, initial_indent="# ", subsequent_indent="# ")


def _annotation(parameter: Parameter) -> str:
    annotation = "NDArray[np.float32]" if parameter.audio else _TYPES[parameter.datatype]
    return annotation if _default(parameter) != "None" else f"{annotation} | None"


def _default(parameter: Parameter) -> str:
    if parameter.limit:
        return "None"  # the engine lowers the default to its checkpoint's limit
    if isinstance(parameter.default, str):
        return f'"{parameter.default}"'
    return '""' if parameter.required else repr(parameter.default)
