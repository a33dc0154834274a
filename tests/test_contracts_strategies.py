"""Every shipped strategy keeps the contract that is asked of those from outside."""

from __future__ import annotations

from typing import Any

import pytest
from contract_classes import TINY_CELLS, contracts_of

from nasbench_ecg.plugin.component import Component
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.plugin.specs import StrategySpec

SEED_UNUSED = "scikit-learn's libsvm draws a seed from numpy's generator that it does not use"

TINY_SEARCH = {"stem_filters": 4, "beats": 60}


def tiny(component: Component) -> dict[str, dict[str, Any]]:
    """Return options for small cells and, where the strategy trains a network, a small one."""
    own = component.options_model().model_fields
    return {**TINY_CELLS, "strategy": {n: v for n, v in TINY_SEARCH.items() if n in own}}


options = {
    component.name: tiny(component)
    for component in load_registry().components("strategy")
    if component.distribution == "nasbench-ecg"
    and isinstance(component.spec, StrategySpec)
    and component.spec.space == "conv-cells"
}
options["given"] = {
    **TINY_CELLS,
    "strategy": {
        "architecture": {
            "format": 1,
            "space": "conv-cells",
            "genotype": {
                cell: [[["conv-3", 0], ["skip", 1]], [["conv-5", 1], ["conv-3", 2]]]
                for cell in ("normal", "reduction")
            },
        }
    },
}
exempt = {
    "itersvr": {
        "leaves-global-generators-unchanged": SEED_UNUSED,
        "keeps-a-budget-of-seconds": "its few rounds are not cut short",
    },
    "svm-rbf": {"leaves-global-generators-unchanged": SEED_UNUSED},
}
contracts = contracts_of("strategy", options=options, exempt=exempt)
for contract in contracts.values():
    # One of the searches that train a network of all candidates is tried with every commit.
    trains = contract.name != "darts" and "stem_filters" in contract.options.get("strategy", {})
    if trains or contract.name == "gp":
        pytest.mark.slow(contract)
globals().update(contracts)
