"""Options of a component, declared once: command line, validation, info and records use them.

The defaults of the fields are the published settings, which are the profile ``paper``. ``PROFILES``
and ``PROTOCOLS`` hold what other profiles and protocols change. Options that the user sets override
both.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Sized
from types import UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    runtime_checkable,
)

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
)
from pydantic_core import ErrorDetails

from nasbench_ecg.errors import OptionError, first_invalid, nearest

PROFILE_SUMMARIES = {
    "paper": "The published settings; days on a CPU, so use a GPU",
    "standard": "A serious comparison; darts on mitbih-2lead takes about 15 minutes on two cores",
    "quick": "Meaningful scores; darts on mitbih-2lead takes about 8 minutes; the default",
    "smoke": "To test that everything works; seconds",
}
"""Presets of options, from largest to smallest."""

PROFILE_NAMES = tuple(PROFILE_SUMMARIES)
"""Names of the presets."""

PROTOCOL_SUMMARIES = {
    "intra-patient": "Beats at random: patients of the test part are in the training part too",
    "inter-patient": "Training and test records that the dataset fixes, of different patients",
    "inter-patient-strict": "As inter-patient, without records of patients who are in both parts",
    "patient-kfold": "k folds of patients; each patient is in one part only",
}
"""How beats are split; :mod:`nasbench_ecg.data.protocols` does it."""

_FALLBACK = {"standard": "quick"}
"""The profile used where a model does not define another one."""

O = TypeVar("O", bound="Options")  # noqa: E741


class Options(BaseModel):
    """Base of every options model.

    Example:
        >>> from typing import ClassVar
        >>> from nasbench_ecg.api import Options
        >>> class MyOptions(Options):
        ...     PROFILES: ClassVar = {"quick": {"epochs": 5}}
        ...     epochs: int = 100
        ...     '''Epochs.'''
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,
    )

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    PROTOCOLS: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    FOLLOWS_DATA: ClassVar[frozenset[str]] = frozenset()
    """Options that state a property of the beats. A suite may set them for one method only."""

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where a number belongs, which would count as 1 and 0."""
        if _has_truth_for_number(value, _types(cls.model_fields[str(info.field_name)].annotation)):
            raise ValueError("it is a number" if isinstance(value, bool) else "it holds numbers")
        return value

    @field_serializer("*", mode="wrap", when_used="json")
    def _sets_in_order(self, value: Any, dump: SerializerFunctionWrapHandler) -> Any:
        """Return sets as sorted lists: their own order differs between processes."""
        return _sets_sorted(value, dump(value))


class NoOptions(Options):
    """Options of a component that has none."""


@runtime_checkable
class KnowsLength(Protocol):
    """Options of a dataset that determine the length of its beats, before any are read."""

    @property
    def n_samples(self) -> int:
        """Samples of a beat in each lead."""


def defaults(model: type[O], *, profile: str = "paper", protocol: str = "") -> dict[str, Any]:
    """Return the field defaults that ``profile`` and ``protocol`` change.

    A model without a profile ``standard`` uses its profile ``quick`` instead.
    """
    if profile not in model.PROFILES:
        profile = _FALLBACK.get(profile, profile)
    return {**model.PROFILES.get(profile, {}), **model.PROTOCOLS.get(protocol, {})}


def resolve(
    model: type[O],
    *,
    component: str,
    profile: str = "paper",
    protocol: str = "",
    overrides: Mapping[str, Any] | None = None,
) -> O:
    """Return the options of a component under a profile and protocol, with the user's overrides.

    Args:
        model: The component's options model.
        component: Its name in errors, for example ``strategy darts``.
        profile: One of :data:`PROFILE_NAMES`.
        protocol: Name of the protocol of the run.
        overrides: Options that the user set, by name; strings are converted.

    Raises:
        OptionError: An option is unknown or its value is not allowed.
    """
    overrides = dict(overrides or {})
    unknown = sorted(set(overrides) - set(model.model_fields))
    if unknown:
        raise OptionError(
            f"{component} has no option {unknown[0]!r}.",
            fix=nearest(unknown[0], model.model_fields)
            if model.model_fields
            else "It takes no options.",
        )
    try:
        return model(**{**defaults(model, profile=profile, protocol=protocol), **overrides})
    except ValidationError as error:
        first, (name, reason) = error.errors()[0], first_invalid(error)
        if first["type"] == "tuple_type":
            reason = 'Input should be a JSON list such as ["a", "b"]'
        if name:
            reason = f"option {name!r} is not allowed: {reason}, not {first['input']!r}"
        fixes = (_null_for_none(model, first), _where_options_are_listed(component))
        fix = " ".join(filter(None, fixes))
        raise OptionError(f"{component}: {reason}.", fix=fix) from None


def changed_options(
    options: Options, names: Iterable[str], *, profile: str = "paper", protocol: str = ""
) -> dict[str, Any]:
    """Return those of the options ``names`` that differ from the profile's, as JSON data.

    Options that change no result, which a model leaves out of its data, are not among them.
    """
    model = type(options)
    usual = model(**defaults(model, profile=profile, protocol=protocol)).model_dump(mode="json")
    own = options.model_dump(mode="json")
    stored = [name for name in names if name in own]
    return {name: own[name] for name in stored if json.dumps(own[name]) != json.dumps(usual[name])}


def unstored_options(options: Options) -> dict[str, Any]:
    """Return the options that change no result, so that no record has them, if they were set."""
    return {
        name: getattr(options, name)
        for name, field in type(options).model_fields.items()
        if field.exclude and getattr(options, name) != field.get_default(call_default_factory=True)
    }


def _types(annotation: Any) -> set[Any]:
    """Return the types that an annotation joins with ``|`` or ``Annotated``."""
    parts = get_args(annotation)
    joins = isinstance(annotation, UnionType) or get_origin(annotation) in (Union, Annotated)
    return set().union(*map(_types, parts)) if joins and parts else {annotation}


def _has_truth_for_number(value: Any, allowed: set[Any]) -> bool:
    """Return whether a value of one of the types ``allowed`` has true or false for a number."""
    if isinstance(value, bool):
        return bool not in allowed and bool(allowed & {int, float})
    if isinstance(value, Mapping):
        values, first = list(value.values()), 1  # the type of a mapping's names comes before
    elif isinstance(value, list | tuple):
        values, first = list(value), 0
    else:
        return False
    containers = [kind for kind in allowed if get_origin(kind) in _CONTAINERS]
    inner = set().union(*(_types(part) for kind in containers for part in get_args(kind)[first:]))
    return any(_has_truth_for_number(inside, inner) for inside in values)


_CONTAINERS = (list, tuple, set, frozenset, dict, Mapping, Sequence)


def _sets_sorted(value: Any, data: Any) -> Any:
    """Return JSON data of a value with the sets in it, at any depth, as sorted lists."""
    if isinstance(value, BaseModel) and isinstance(data, dict):
        return {name: _sets_sorted(getattr(value, name, None), data[name]) for name in data}
    if not isinstance(data, dict | list) or not isinstance(value, Sized) or len(value) != len(data):
        return data
    if isinstance(value, Mapping) and isinstance(data, dict):
        inner = zip(data, value.values(), data.values(), strict=True)
        return {name: _sets_sorted(part, dumped) for name, part, dumped in inner}
    if isinstance(value, list | tuple | set | frozenset) and isinstance(data, list):
        found = [_sets_sorted(*pair) for pair in zip(value, data, strict=True)]
        return sorted(found, key=json.dumps) if isinstance(value, set | frozenset) else found
    return data


def _null_for_none(model: type[Options], error: ErrorDetails) -> str:
    """Return what to do if ``none`` was given to an option whose word for that is ``null``."""
    field = model.model_fields.get(str(error["loc"][0])) if error["loc"] else None
    meant = str(error["input"]).strip().lower() in ("none", "")
    if field is None or not meant or type(None) not in _types(field.annotation):
        return ""
    return "Give null, in Python None, to leave it out."


def _where_options_are_listed(component: str) -> str:
    kind, _, name = component.rpartition(" ")
    return "" if kind == "protocol" else f"See 'nasbench-ecg info {name}'."


def parse_assignments(assignments: list[str]) -> dict[str, dict[str, Any]]:
    """Return ``{"strategy": {"epochs": 10}}`` for ``["strategy.epochs=10"]``.

    Values are read as JSON where they are JSON, and as text otherwise.

    Raises:
        OptionError: An assignment is not of the form ``component.option=value``, one option or one
            name in a value is given twice, or a text is not Unicode.
    """
    kinds = ("strategy", "space", "builder", "dataset", "evaluator", "protocol", "executor")
    parsed: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        kind, dot, option = key.strip().partition(".")
        if not equals or not dot or not option:
            raise OptionError(
                f"--set {assignment!r} is not of the form component.option=value.",
                fix="For example: --set strategy.epochs=10",
            )
        if kind not in kinds:
            raise OptionError(
                f"--set {assignment!r}: there is no component {kind!r}.", fix=nearest(kind, kinds)
            )
        options = parsed.setdefault(kind, {})
        if option in options:
            raise OptionError(f"--set {kind}.{option} is given twice.", fix="Give it only once.")
        options[option] = _value(value, f"{kind}.{option}")
    return parsed


def _value(text: str, option: str) -> Any:
    """Return JSON data or, where it is none, the text."""

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise OptionError(
                f"--set {option} has the name {twice!r} twice.", fix="Give it only once."
            )
        return found

    try:
        value = json.loads(text, object_pairs_hook=object_of)
    except (ValueError, RecursionError):
        value = text
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise OptionError(
            f"--set {option} has a text that is not Unicode: {text!a}.",
            fix="Give it in the encoding of the terminal.",
        ) from None
    return value


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Return the option of each ``component.option``, in full where two components have it."""
    names = list(names)
    short = {name: name.partition(".")[2] for name in names}
    count = Counter(short.values())
    return {name: option if count[option] == 1 else name for name, option in short.items()}
