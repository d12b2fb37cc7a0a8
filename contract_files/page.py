"""Generates the studio page's copy of the contract, a JavaScript module without imports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from audiocraft_triton.contract.limits import MAX_FILE_BYTES, MAX_SECONDS
from audiocraft_triton.contract.parameters import THRESHOLD, Parameter

_HEADER = (
    "/** The server's parameters and limits. `make contract` writes this: edit audiocraft_triton/contract instead. */\n"
)
_EXACT_INTEGERS = 2**53


def module(parameters: Sequence[Parameter]) -> str:
    """Returns the source of contract.js. Numbers that JavaScript can't represent become strings of digits."""
    exports = {
        "PARAMETERS": [_row(parameter) for parameter in parameters if parameter.frontend == "both"],
        "THRESHOLD": _row(THRESHOLD),
        "LIMITS": {"fileBytes": MAX_FILE_BYTES, "seconds": MAX_SECONDS},
    }
    constants = [f"\nexport const {name} = {json.dumps(value, indent=2)};\n" for name, value in exports.items()]
    return _HEADER + "".join(constants)


def _row(parameter: Parameter) -> dict[str, Any]:
    row = {
        "name": parameter.name,
        "help": parameter.description,
        "value": parameter.default,
        "min": _number(parameter.low),
        "max": _number(parameter.high),
        "whole": parameter.datatype in ("INT32", "INT64") or None,
        "unit": parameter.unit,
        "choices": parameter.choices,
        "control": asdict(parameter.control) if parameter.control else None,
    }
    return {name: value for name, value in row.items() if value not in (None, "", ())}


def _number(value: float | None) -> float | str | None:
    return str(value) if value is not None and value > _EXACT_INTEGERS else value
