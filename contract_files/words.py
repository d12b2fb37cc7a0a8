"""Formats bounds and defaults in words, for the docs, `--help` and comments."""

from __future__ import annotations

from audiocraft_triton.contract.limits import MAX_SEED
from audiocraft_triton.contract.parameters import Parameter


def number(value: float) -> str:
    """Formats a number: 300, 0.1, 2,000, 2⁶³−1."""
    return "2⁶³−1" if value == MAX_SEED else f"{value:,}"


def bound(parameter: Parameter) -> str:
    """Returns the allowed values, such as `0.1 to 300 seconds`; empty if only the datatype bounds them."""
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
    """Returns the value that applies when none is sent, or what the server does then."""
    if parameter.default is None:
        return parameter.unset
    if isinstance(parameter.default, bool):
        return str(parameter.default).lower()
    words = f"{parameter.default:g}" if isinstance(parameter.default, float) else str(parameter.default)
    return f"{words}, or the {parameter.limit} if that is less" if parameter.limit else words


def sentence(parameter: Parameter) -> str:
    """Returns the description with the bound."""
    words = bound(parameter)
    return f"{parameter.description.removesuffix('.')} ({words})." if words else parameter.description
