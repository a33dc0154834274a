"""The contracts: what a component of each kind must do.

Each module holds the checks of one kind; :mod:`~nasbench_ecg.testing.checks.options` holds those
that apply to all kinds.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from nasbench_ecg.plugin.specs import Kind
from nasbench_ecg.testing.check import Check

_MODULES: dict[Kind, str] = {
    "strategy": "strategies",
    "dataset": "datasets",
    "search-space": "spaces",
    "builder": "builders",
    "evaluator": "evaluators",
    "executor": "executors",
}


def checks_of(kind: Kind) -> Sequence[Check]:
    """Return the contract of a kind: the checks of its options, then its own."""
    modules = [
        importlib.import_module(f"{__name__}.{name}") for name in ("options", _MODULES[kind])
    ]
    return tuple(
        value for module in modules for value in vars(module).values() if isinstance(value, Check)
    )
