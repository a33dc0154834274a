"""Contract tests of all shipped components, as classes generated from the registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.plugin.specs import Kind
from nasbench_ecg.testing.contracts import (
    BuilderContract,
    Contract,
    DatasetContract,
    EvaluatorContract,
    ExecutorContract,
    SearchSpaceContract,
    StrategyContract,
)

CONTRACTS: dict[Kind, type[Contract]] = {
    "strategy": StrategyContract,
    "dataset": DatasetContract,
    "search-space": SearchSpaceContract,
    "builder": BuilderContract,
    "evaluator": EvaluatorContract,
    "executor": ExecutorContract,
}

TINY_CELLS: dict[str, dict[str, Any]] = {
    "space": {"nodes": 2, "operations": ["none", "skip", "max-pool-3", "conv-3", "conv-5"]},
    "builder": {"cells": 6, "channels": 2, "stem_filters": 4},
}


def contracts_of(
    kind: Kind,
    *,
    options: Mapping[str, Mapping[str, Any]],
    exempt: Mapping[str, Mapping[str, str]],
) -> dict[str, type[Contract]]:
    """Return a class of tests for every shipped component of ``kind``.

    Args:
        kind: Kind of the components.
        options: Options by role, by the component's name.
        exempt: Checks left out, each with its reason, by the component's name.
    """
    shipped = [c.name for c in load_registry().components(kind) if c.distribution == "nasbench-ecg"]
    assert set(options) | set(exempt) <= set(shipped)
    base = CONTRACTS[kind]
    classes = {}
    for name in shipped:
        attributes = {
            "name": name,
            "options": options.get(name, {}),
            "exempt": exempt.get(name, {}),
        }
        title = "Test" + name.title().replace("-", "")
        classes[title] = type(title, (base,), attributes)
    return classes
