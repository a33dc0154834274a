"""An options model as plain data: what ``nasbench-ecg info`` shows of it."""

from __future__ import annotations

import types
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from nasbench_ecg.options import PROFILE_NAMES, Options, defaults

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_SYMBOLS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "multiple_of": "multiple of"}


def describe_options(model: type[Options]) -> list[dict[str, Any]]:
    """Return name, type, description, and defaults by profile and protocol of every option.

    ``defaults`` holds one value for each profile. ``protocols`` holds only what a protocol changes;
    it wins over the profile.
    """
    return [
        {
            "name": name,
            "type": type_text(field),
            "description": " ".join((field.description or "").split()),
            "defaults": {
                profile: plain(defaults(model, profile=profile).get(name, _own_default(field)))
                for profile in PROFILE_NAMES
            },
            "protocols": {
                protocol: plain(changes[name])
                for protocol, changes in model.PROTOCOLS.items()
                if name in changes
            },
        }
        for name, field in model.model_fields.items()
    ]


def type_text(field: FieldInfo) -> str:
    """Return the type of an option with its bounds, as a user would say it."""
    bounds = [
        f"{symbol} {getattr(rule, bound)}"
        for rule in field.metadata
        for bound, symbol in _SYMBOLS.items()
        if getattr(rule, bound, None) is not None
    ]
    return " ".join([_type_name(field.annotation), ", ".join(bounds)]).strip()


def plain(value: Any) -> Any:
    """Return ``value`` as JSON data."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else getattr(value, "value", value)


def _own_default(field: FieldInfo) -> Any:
    return "required" if field.is_required() else field.get_default(call_default_factory=True)


def _type_name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(str(argument) for argument in arguments)
    if origin in (Union, types.UnionType):
        return " | ".join(_type_name(argument) for argument in arguments)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is not None:
        inner = ", ".join("..." if a is Ellipsis else _type_name(a) for a in arguments)
        return f"{_type_name(origin)}[{inner}]"
    if annotation is types.NoneType:
        return "none"
    return getattr(annotation, "__name__", str(annotation))
