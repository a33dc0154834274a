"""Every shipped evaluator keeps the contract that is asked of those from outside."""

from __future__ import annotations

import pytest
from contract_classes import TINY_CELLS, contracts_of

from nasbench_ecg.plugin.registry import load_registry

TIMED = "it measures time, which differs a little from one time to the next"

options = {
    component.name: TINY_CELLS
    for component in load_registry().components("evaluator")
    if component.distribution == "nasbench-ecg" and component.name != "clustering"
}
options["latency"] = {**TINY_CELLS, "evaluator": {"repeats": 2, "batch_repeats": 2}}
exempt = {
    "latency": {
        "equal-seeds-give-equal-evaluations": TIMED,
        "resumes-after-an-interruption": TIMED,
    }
}
contracts = contracts_of("evaluator", options=options, exempt=exempt)
pytest.mark.slow(contracts["TestSharedWeights"])
globals().update(contracts)
