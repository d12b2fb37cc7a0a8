"""Generates the table of the generation parameters in the README and the docs."""

from __future__ import annotations

from collections.abc import Sequence

from audiocraft_triton.contract.parameters import Parameter
from contract_files import words


def table(parameters: Sequence[Parameter]) -> str:
    """Returns a Markdown table with a row for each parameter."""
    rows = ["| input | type | default | bound | meaning |", "| --- | --- | --- | --- | --- |"]
    for parameter in parameters:
        only = "" if parameter.frontend == "both" else f" {parameter.frontend.capitalize()} models only."
        cells = [f"`{parameter.name}`", parameter.datatype, _default(parameter), _bound(parameter)]
        rows.append(f"| {' | '.join([*cells, parameter.description + only])} |")
    return "\n".join(rows)


def _default(parameter: Parameter) -> str:
    if parameter.required:
        return "required"
    default = words.default(parameter)
    return f"`{default}`" if parameter.choices else default


def _bound(parameter: Parameter) -> str:
    return ", ".join(f"`{choice}`" for choice in parameter.choices) or words.bound(parameter)
