"""Every shipped search space and builder keeps the contract that is asked of those from outside."""

from __future__ import annotations

from contract_classes import TINY_CELLS, contracts_of

LABELINGS = {"space": {"beats": 60}}

spaces = contracts_of("search-space", options={"labelings": LABELINGS}, exempt={})
builders = contracts_of(
    "builder",
    options={
        "clustering": LABELINGS,
        "stacked-cells": TINY_CELLS,
        "stacked-cells-shortcut": TINY_CELLS,
    },
    exempt={},
)
globals().update(spaces)
globals().update({f"{title}Builder": tests for title, tests in builders.items()})
del spaces, builders
