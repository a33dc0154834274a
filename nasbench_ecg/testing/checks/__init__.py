"""The contracts as lists of checks: what a component of each kind must do.

A check is a function that takes the component under test and a seed, and raises
:class:`ContractViolation` if the component breaks the contract. Each module of this package holds
the checks of one kind; :mod:`~nasbench_ecg.testing.checks.options` holds those of all kinds.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nasbench_ecg.plugin.specs import Kind

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


_MODULES: dict[Kind, str] = {
    "strategy": "strategies",
    "dataset": "datasets",
    "search-space": "spaces",
    "builder": "builders",
    "evaluator": "evaluators",
}


def checks_of(kind: Kind) -> Sequence[Check]:
    """Return the contract of a kind: the checks of its options, then its own."""
    modules = [
        importlib.import_module(f"{__name__}.{name}") for name in ("options", _MODULES[kind])
    ]
    return tuple(
        value for module in modules for value in vars(module).values() if isinstance(value, Check)
    )
