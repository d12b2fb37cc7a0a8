"""Bounds and defaults in words, the same in the docs, in `--help` and in comments."""

from __future__ import annotations

from audiocraft_triton.contract.limits import MAX_SEED
from audiocraft_triton.contract.parameters import Parameter


def number(value: float) -> str:
    """As people write it: 300, 0.1, 2,000, 2⁶³−1."""
    return "2⁶³−1" if value == MAX_SEED else f"{value:,}"


def bound(parameter: Parameter) -> str:
    """What is allowed, such as `0.1 to 300 seconds`; empty where the datatype says it all."""
    if parameter.choices:
        return ", ".join(parameter.choices)
    if parameter.low is None or parameter.high is None:
        return ""
    if parameter.datatype == "BYTES":
        return f"up to {number(parameter.high)} characters"
    unit = f" {parameter.unit}" if parameter.unit else ""
    high = f"the {parameter.limit}" if parameter.limit else number(parameter.high)
    return f"{number(parameter.low)} to {high}{unit}"


def default(parameter: Parameter) -> str:
    """What holds when it is not sent."""
    if parameter.default is None:
        return parameter.unset
    if isinstance(parameter.default, bool):
        return str(parameter.default).lower()
    words = f"{parameter.default:g}" if isinstance(parameter.default, float) else str(parameter.default)
    return f"{words}, or the {parameter.limit} if that is less" if parameter.limit else words


def sentence(parameter: Parameter) -> str:
    """The description with the bound."""
    words = bound(parameter)
    return f"{parameter.description.removesuffix('.')} ({words})." if words else parameter.description
