"""A check: one claim about a component, and the function that puts it to the test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nasbench_ecg.testing.subject import Subject

Function = Callable[["Subject", int], None]


class Broken(AssertionError):  # noqa: N818 - a claim is broken, nothing erred
    """A claim does not hold; the message says what was found instead."""


class NotApplicable(Exception):  # noqa: N818 - as Broken
    """A claim does not concern this component, or cannot be tested here; the message says why."""


@dataclass(frozen=True)
class Check:
    """One claim of a contract.

    Attributes:
        name: What it is called in tables and in the identifiers of tests.
        claim: What holds of a component that keeps the contract.
        function: Takes the component and a seed; raises where the claim does not hold.
        seeds: How many seeds it is tried with outside pytest; 1: the seed does not matter.
    """

    name: str
    claim: str
    function: Function
    seeds: int = 1

    def __str__(self) -> str:
        return self.name

    def hold(self, subject: Subject, seed: int = 0) -> None:
        """Put the claim to the test.

        Raises:
            Broken: It does not hold. Any other error of the component says so too.
            NotApplicable: It does not concern this component.
        """
        self.function(subject, seed)


def claims(*, seeds: int = 1) -> Callable[[Function], Check]:
    """Make a check of a function: its name gives that of the check, its docstring the claim."""

    def made(function: Function) -> Check:
        claim = (function.__doc__ or "").strip().splitlines()[0]
        return Check(function.__name__.replace("_", "-"), claim, function, seeds)

    return made


def expect(condition: object, found: str) -> None:
    """Raise Broken with what was found unless ``condition`` holds."""
    if not condition:
        raise Broken(found)
