"""Generates the `input` entries of the generation models' config.pbtxt."""

from __future__ import annotations

from collections.abc import Sequence

from audiocraft_triton.contract.parameters import Frontend, Parameter

_CONFIG_TYPES = {"BYTES": "TYPE_STRING"}


def inputs(parameters: Sequence[Parameter], frontend: Frontend) -> str:
    """Returns the inputs of one frontend's models, in the order of the contract."""
    rows = [_row(parameter) for parameter in parameters if parameter.frontend in ("both", frontend)]
    return "input [\n  " + ",\n  ".join(rows) + "\n]"


def _row(parameter: Parameter) -> str:
    datatype = _CONFIG_TYPES.get(parameter.datatype, f"TYPE_{parameter.datatype}")
    optional = "" if parameter.required else ", optional: true"
    return f'{{ name: "{parameter.name}", data_type: {datatype}, dims: [ 1 ]{optional} }}'
