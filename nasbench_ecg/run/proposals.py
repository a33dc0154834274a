"""Check what a strategy passes to its context, so that an error names the call and not the harness.

A strategy is written by others, and an error inside of the harness would not say what to change.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Fidelity, SearchSpace
from nasbench_ecg.errors import OptionError, PluginError
from nasbench_ecg.run.evaluations import check_not_modified


def candidates_of(architectures: object, fidelity: object) -> list[Architecture]:
    """Return the candidates that a strategy passed to ``ctx.evaluate_many`` as a list.

    Raises:
        PluginError: They are no architectures, or ``fidelity`` is neither a Fidelity nor None.
    """
    if fidelity is not None and not isinstance(fidelity, Fidelity):
        raise PluginError(
            f"ctx.evaluate_many was called with fidelity={fidelity!r:.60}.",
            fix="Pass a Fidelity, such as Fidelity(epochs=1), or None.",
        )
    if not isinstance(architectures, Iterable):
        raise PluginError(
            f"ctx.evaluate_many was called with {_kind(architectures)}, not with a list of "
            "architectures.",
            fix="Pass a list, also of one: ctx.evaluate_many([architecture]).",
        )
    candidates = list(architectures)
    if wrong := [one for one in candidates if not isinstance(one, Architecture)]:
        raise PluginError(
            f"ctx.evaluate_many was called with {_kind(wrong[0])} among the architectures.",
            where=f"{wrong[0]!r:.80}",
            fix="Pass what the search space returns, or Architecture(space, genotype).",
        )
    return candidates


def check_candidate(arch: Architecture, space: SearchSpace) -> None:
    """Check that a candidate is valid in the search space, and was not changed.

    Raises:
        PluginError: It is not, or was.
    """
    try:
        check_valid(arch, space)
    except OptionError as error:
        raise PluginError(
            "The search asks for the evaluation of an architecture that is not valid in the "
            f"search space {space.name!r}: {error.what}",
            where=error.where or f"architecture {arch.hash[:12]}",
            fix=error.fix,
        ) from error
    check_not_modified(arch)


def check_valid(arch: Architecture, space: SearchSpace) -> None:
    """Check that an architecture is valid in a search space.

    Raises:
        OptionError: It is not.
        PluginError: The method ``validate`` of the space returns a value, which says nothing.
    """
    answer: object = space.validate(arch)  # type: ignore[func-returns-value]
    if answer is False:
        raise PluginError(
            f"The search space {space.name!r} returns False from 'validate', which must raise "
            "OptionError for an architecture that is not valid.",
            where=f"{type(space).__module__}.{type(space).__qualname__}.validate",
            fix="Correct its code; 'nasbench-ecg plugin check' shows all faults.",
        )


def number_of(name: str, value: Any) -> float:
    """Return a number that a strategy logs, also one of NumPy or a tensor of one value.

    Raises:
        PluginError: It is no number.
    """
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise PluginError(
            f"ctx.log was called with {name}={value!r:.60}, which is no number.",
            fix="Log single numbers, and leave out what was not measured.",
        ) from error


def _kind(value: object) -> str:
    return "None" if value is None else f"a value of the type {type(value).__name__}"
