"""Checks of the options of every component."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import ValidationError

from nasbench_ecg.options import PROFILE_NAMES, Options, resolve
from nasbench_ecg.testing.check import ContractViolation, check, expect
from nasbench_ecg.testing.fixtures import ComponentUnderTest

_NO_OPTION = "no_such_option"


@check()
def every_profile_is_valid(component: ComponentUnderTest, seed: int) -> None:
    """All options have a valid default in every profile and protocol."""
    for _ in _all_options(component):
        pass


@check()
def unknown_options_are_refused(component: ComponentUnderTest, seed: int) -> None:
    """Unknown options are refused."""
    options = component.options()
    try:
        type(options)(**{**options.model_dump(), _NO_OPTION: 1})
    except ValidationError:
        return
    raise ContractViolation(f"the options model accepts {_NO_OPTION!r}: keep extra='forbid'")


@check()
def options_are_json(component: ComponentUnderTest, seed: int) -> None:
    """Options survive a round trip through JSON, as run records and run keys need."""
    for options in _all_options(component):
        text = options.model_dump_json()
        read = type(options).model_validate_json(text)
        expect(read == options, f"{text} is read as {read!r}")
        dumped = json.dumps(options.model_dump(mode="json"), sort_keys=True, allow_nan=False)
        again = json.dumps(read.model_dump(mode="json"), sort_keys=True, allow_nan=False)
        expect(dumped == again, f"{dumped} becomes {again}")


@check()
def every_option_has_a_description(component: ComponentUnderTest, seed: int) -> None:
    """Every option has a description, which 'nasbench-ecg info' shows."""
    missing = [
        name
        for name, field in type(component.options()).model_fields.items()
        if not (field.description or "").strip()
    ]
    expect(not missing, f"there is no docstring below {', '.join(missing)}")


@check()
def created_from_options_alone(component: ComponentUnderTest, seed: int) -> None:
    """The component is created from its options alone, repeatedly, without changing them."""
    options = component.options()
    before = options.model_dump_json()
    expect(component.component.create(options) is not None, "creating it returns None")
    component.component.create(options)
    expect(options.model_dump_json() == before, "creating it changes its options")


def _all_options(component: ComponentUnderTest) -> Iterator[Options]:
    model = component.component.options_model()
    role = component.spec.kind.removeprefix("search-")
    for profile in PROFILE_NAMES:
        for protocol in ("", *model.PROTOCOLS):
            yield resolve(
                model,
                component=f"{role} {component.component.name}",
                profile=profile,
                protocol=protocol,
                overrides=component.overrides.get(role),
            )
