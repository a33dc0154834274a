"""What the options of every component must do."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import ValidationError

from nasbench_ecg.options import PROFILE_NAMES, Options, resolve
from nasbench_ecg.testing.fixtures import Subject
from nasbench_ecg.testing.harness import Broken, Check, claims, expect

_NO_OPTION = "no_such_option"


@claims()
def every_profile_is_valid(subject: Subject, seed: int) -> None:
    """The options have a default in every profile and protocol, and all are allowed."""
    for _ in _all_options(subject):
        pass


@claims()
def unknown_options_are_refused(subject: Subject, seed: int) -> None:
    """An option that there is none of is refused."""
    options = subject.options()
    try:
        type(options)(**{**options.model_dump(), _NO_OPTION: 1})
    except ValidationError:
        return
    raise Broken(f"the options model takes {_NO_OPTION!r}: keep extra='forbid'")


@claims()
def options_are_json(subject: Subject, seed: int) -> None:
    """Options survive a round trip through JSON, as run records and run keys need."""
    for options in _all_options(subject):
        text = options.model_dump_json()
        read = type(options).model_validate_json(text)
        expect(read == options, f"{text} is read as {read!r}")
        dumped = json.dumps(options.model_dump(mode="json"), sort_keys=True, allow_nan=False)
        again = json.dumps(read.model_dump(mode="json"), sort_keys=True, allow_nan=False)
        expect(dumped == again, f"{dumped} becomes {again}")


@claims()
def every_option_says_what_it_is(subject: Subject, seed: int) -> None:
    """Every option has a description, which 'nasbench-ecg info' shows."""
    silent = [
        name
        for name, field in type(subject.options()).model_fields.items()
        if not (field.description or "").strip()
    ]
    expect(not silent, f"no docstring stands under {', '.join(silent)}")


@claims()
def it_is_made_of_its_options_alone(subject: Subject, seed: int) -> None:
    """It is created by its options and nothing else, as often as wanted, and leaves them alone."""
    options = subject.options()
    before = options.model_dump_json()
    expect(subject.component.create(options) is not None, "creating it gives None")
    subject.component.create(options)
    expect(options.model_dump_json() == before, "creating it changes its options")


def _all_options(subject: Subject) -> Iterator[Options]:
    model = subject.component.options_model()
    role = subject.spec.kind.removeprefix("search-")
    for profile in PROFILE_NAMES:
        for protocol in ("", *model.PROTOCOLS):
            yield resolve(
                model,
                component=f"{role} {subject.component.name}",
                profile=profile,
                protocol=protocol,
                overrides=subject.overrides.get(role),
            )


CHECKS: tuple[Check, ...] = (
    every_profile_is_valid,
    unknown_options_are_refused,
    options_are_json,
    every_option_says_what_it_is,
    it_is_made_of_its_options_alone,
)
