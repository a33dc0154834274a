"""Weight sharing: a random search and an evaluator that use the weights of one supernet."""

from collections.abc import Iterable

from nasbench_ecg.api import EvaluatorSpec, StrategySpec, hookimpl

PLUGIN_API_VERSION = "1.0"


@hookimpl
def nasbench_ecg_strategies() -> Iterable[StrategySpec]:
    """Yield ``random-ws``."""
    yield StrategySpec(
        name="random-ws",
        target="nasbench_ecg_weight_sharing.strategy:RandomSearchWithSharing",
        options="nasbench_ecg_weight_sharing.options:RandomWsOptions",
        space="conv-cells",
        spaces=("conv-cells",),
        budgets=("seconds",),
        summary="Random search with shared weights (Li & Talwalkar 2020)",
    )


@hookimpl
def nasbench_ecg_evaluators() -> Iterable[EvaluatorSpec]:
    """Yield ``shared-weights``."""
    yield EvaluatorSpec(
        name="shared-weights",
        target="nasbench_ecg_weight_sharing.evaluator:SharedWeights",
        options="nasbench_ecg_weight_sharing.options:SharedWeightsOptions",
        space="conv-cells",
        score="f1_of_macro",
        summary="Scores an architecture with the weights of one supernet (Bender et al. 2018)",
    )
