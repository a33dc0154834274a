"""The options of a component as JSON data: names, types, descriptions and defaults."""

from __future__ import annotations

import types
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from nasbench_ecg.options import Options

_SYMBOLS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "multiple_of": "multiple of"}


def describe_options(model: type[Options]) -> list[dict[str, Any]]:
    """Return name, type, description and defaults of every option, as JSON data.

    ``defaults`` holds one value for each profile. ``protocols`` holds only the defaults that a
    protocol changes; they replace those of the profile.
    """
    from nasbench_ecg.options import PROFILE_NAMES, defaults

    return [
        {
            "name": name,
            "type": _type_text(field),
            "description": " ".join((field.description or "").split()),
            "defaults": {
                profile: _plain(defaults(model, profile=profile).get(name, _field_default(field)))
                for profile in PROFILE_NAMES
            },
            "protocols": {
                protocol: _plain(changes[name])
                for protocol, changes in model.PROTOCOLS.items()
                if name in changes
            },
        }
        for name, field in model.model_fields.items()
    ]


def _type_text(field: FieldInfo) -> str:
    """Return the type of an option with its bounds: ``int >= 1``, ``first | second``."""
    bounds = [
        f"{symbol} {getattr(rule, bound)}"
        for rule in field.metadata
        for bound, symbol in _SYMBOLS.items()
        if getattr(rule, bound, None) is not None
    ]
    return " ".join([_type_name(field.annotation), ", ".join(bounds)]).strip()


def _type_name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(str(argument) for argument in arguments)
    if origin in (Union, types.UnionType):
        return " | ".join(_type_name(argument) for argument in arguments)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return f"list of {_type_name(arguments[0])}"
    if origin is not None:
        inner = ", ".join("..." if a is Ellipsis else _type_name(a) for a in arguments)
        return f"{_type_name(origin)}[{inner}]"
    if annotation is types.NoneType:
        return "null"
    return getattr(annotation, "__name__", str(annotation))


def _field_default(field: FieldInfo) -> Any:
    return "required" if field.is_required() else field.get_default(call_default_factory=True)


def _plain(value: Any) -> Any:
    """Return ``value`` as JSON data."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else getattr(value, "value", value)
