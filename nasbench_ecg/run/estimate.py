"""How long a run will take here, estimated from a few timed steps."""

from __future__ import annotations

import numpy as np

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import EstimatesEvaluation, EstimatesSearch
from nasbench_ecg.plugin.specs import StrategySpec
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.calls import describe
from nasbench_ecg.run.contexts import ValidationContext
from nasbench_ecg.run.prepare import PreparedRun
from nasbench_ecg.training.seeding import seeded


def estimate(prepared: PreparedRun) -> dict[str, float]:
    """Estimate the seconds that search and evaluation will take here, from a few timed steps.

    Returns:
        ``search`` and ``evaluation``; a stage whose component offers no estimate is absent.
    """
    seconds = {}
    ctx = prepared.search_context()
    ctx.progress = Silent()
    if isinstance(prepared.strategy, EstimatesSearch):
        with prepared.calls.of(describe(prepared.config.strategy.component)), seeded(0):
            estimated = prepared.strategy.estimate(
                prepared.task, prepared.space, prepared.builder, ctx
            )
        if estimated is not None:
            seconds["search"] = float(estimated)
    if isinstance(prepared.evaluator, EstimatesEvaluation):
        validation = ValidationContext(prepared.task, prepared.config.device, Silent())
        with prepared.calls.of(describe(prepared.config.evaluator.component)), seeded(0):
            arch = _example_architecture(prepared)
            seconds["evaluation"] = float(
                prepared.evaluator.estimate(arch, prepared.task, prepared.builder, validation)
            )
    return seconds


def _example_architecture(prepared: PreparedRun) -> Architecture:
    """Return a random architecture, or the architecture of a strategy that does not search."""
    spec = prepared.config.strategy.component.spec
    if isinstance(spec, StrategySpec) and not spec.searches:
        ctx = prepared.search_context()
        task, space, builder = prepared.task, prepared.space, prepared.builder
        return prepared.strategy.search(task, space, builder, ctx).architecture
    return prepared.space.sample(np.random.default_rng(0))
