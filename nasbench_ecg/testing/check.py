"""A check: one requirement of a contract, and the function that tests it.

The function takes the component under test and a seed, and raises :class:`ContractViolation` if the
component breaks the contract.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nasbench_ecg.testing.fixtures import ComponentUnderTest

CheckFunction = Callable[["ComponentUnderTest", int], None]


class ContractViolation(AssertionError):  # noqa: N818 - named like other failed assertions
    """A component breaks its contract; the message says what was found."""


class NotApplicable(Exception):  # noqa: N818 - an outcome, not an error
    """A check does not apply to this component, or cannot run here; the message says why."""


@dataclass(frozen=True)
class Check:
    """One requirement of a contract.

    Attributes:
        name: Its name in tables and in the identifiers of tests.
        claim: What is true of a component that keeps the contract.
        function: Takes the component and a seed, and raises if the claim is false.
        seeds: Number of seeds that it is tried with outside pytest; 1 if the seed does not matter.
    """

    name: str
    claim: str
    function: CheckFunction
    seeds: int = 1

    def __str__(self) -> str:
        return self.name

    def run(self, component: ComponentUnderTest, seed: int = 0) -> None:
        """Run the check with one seed.

        Raises:
            ContractViolation: The claim is false. Any other error of the component means the same.
            NotApplicable: The check does not apply to this component.
        """
        self.function(component, seed)


def check(*, seeds: int = 1) -> Callable[[CheckFunction], Check]:
    """Make a check of a function: its name becomes the check's name, its docstring the claim."""

    def decorate(function: CheckFunction) -> Check:
        claim = (function.__doc__ or "").strip().splitlines()[0]
        return Check(function.__name__.replace("_", "-"), claim, function, seeds)

    return decorate


def expect(condition: object, found: str) -> None:
    """Raise ContractViolation with what was found unless ``condition`` is true."""
    if not condition:
        raise ContractViolation(found)
