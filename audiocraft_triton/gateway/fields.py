"""Makes pydantic fields from the contract's parameters, with their bounds, defaults and descriptions."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema, create_model

from audiocraft_triton.contract.limits import MAX_FILE_BYTES
from audiocraft_triton.contract.parameters import BY_NAME, PARAMETERS, Parameter

Model = TypeVar("Model", bound=BaseModel)


def _from_base64(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        decoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("must be an audio file in base64") from error
    if len(decoded) > MAX_FILE_BYTES:
        raise ValueError(f"has {len(decoded):,} bytes, at most {MAX_FILE_BYTES:,} are allowed")
    return decoded


def _whole(value: object) -> object:
    """Accepts 7.0 as 7, since JSON has only one kind of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WholeNumber = BeforeValidator(_whole)
AudioFile = Annotated[
    bytes,
    BeforeValidator(_from_base64),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "description": "An audio file in base64."}),
]
# The types of parameters by Triton datatype; choices and audio files have types of their own.
_TYPES: dict[str, Any] = {
    "BYTES": str,
    "FP32": float,
    "INT32": Annotated[int, WholeNumber],
    "INT64": Annotated[int, WholeNumber],
    "BOOL": bool,
}


def field(parameter: Parameter, description: str = "", **options: Any) -> Any:
    """Makes a field with a parameter's bounds and default.

    Args:
        description: replaces the parameter's own.
        options: other arguments of `pydantic.Field`, such as examples.
    """
    if parameter.datatype == "BYTES":
        bounds: dict[str, Any] = {"max_length": parameter.high}
    else:
        bounds = {"ge": parameter.low, "le": parameter.high}
    default = ... if parameter.required else parameter.default
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    return Field(default, description=description or _described(parameter), **given, **options)


def with_parameters(model: type[Model]) -> type[Model]:
    """Adds to a model every parameter that both frontends take and that the model does not declare."""
    missing = [row for row in PARAMETERS if row.frontend == "both" and row.name not in model.model_fields]
    fields: dict[str, Any] = {row.name: (_annotation(row), field(row)) for row in missing}
    return create_model(model.__name__, __base__=model, __doc__=model.__doc__, __module__=model.__module__, **fields)


def _described(parameter: Parameter) -> str:
    unit = f" In {parameter.unit}." if parameter.unit else ""
    limit = f" At most the {parameter.limit}, which bounds the default too." if parameter.limit else ""
    return parameter.description + unit + limit


def _annotation(parameter: Parameter) -> Any:
    if parameter.choices:
        annotation: Any = Literal[parameter.choices]
    else:
        annotation = AudioFile if parameter.audio else _TYPES[parameter.datatype]
    return annotation if parameter.required or parameter.default is not None else annotation | None


Seed = Annotated[
    Annotated[int, Field(ge=BY_NAME["seed"].low, le=BY_NAME["seed"].high), WholeNumber] | None,
    Field(description=BY_NAME["seed"].description),
]
