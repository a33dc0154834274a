"""Black-box searches: they see only the scores and costs of architectures, in any search space."""

from collections.abc import Iterable

from nasbench_ecg.api import StrategySpec, hookimpl

PLUGIN_API_VERSION = "1.0"


@hookimpl
def nasbench_ecg_strategies() -> Iterable[StrategySpec]:
    """Yield ``random``, ``local-search``, ``nsga2`` and others."""
    yield StrategySpec(
        name="random",
        target="nasbench_ecg_blackbox.random_search:RandomSearch",
        options="nasbench_ecg_blackbox.options:RandomSearchOptions",
        space="conv-cells",
        evaluations_option="samples",
        role="random-search",
        summary="Best of N random architectures: the baseline that every search must beat",
    )
    yield StrategySpec(
        name="regularized-evolution",
        target="nasbench_ecg_blackbox.evolution:RegularizedEvolution",
        options="nasbench_ecg_blackbox.options:RegularizedEvolutionOptions",
        space="conv-cells",
        evaluations_option="models",
        summary="Mutates tournament winners, removes the oldest member (Real et al. 2019)",
    )
    yield StrategySpec(
        name="successive-halving",
        target="nasbench_ecg_blackbox.halving:SuccessiveHalving",
        options="nasbench_ecg_blackbox.options:SuccessiveHalvingOptions",
        space="conv-cells",
        evaluations_option="candidates",
        summary="Trains many candidates briefly, the best longer (Jamieson & Talwalkar 2016)",
    )
    yield StrategySpec(
        name="nsga2",
        target="nasbench_ecg_blackbox.nsga2:Nsga2",
        options="nasbench_ecg_blackbox.options:Nsga2Options",
        space="conv-cells",
        evaluations_option="models",
        revision=2,  # networks that diverged rank below all others
        summary="Evolves a Pareto front of score and parameters, MACs or ms (Deb et al. 2002)",
    )
    yield StrategySpec(
        name="local-search",
        target="nasbench_ecg_blackbox.local_search:LocalSearch",
        options="nasbench_ecg_blackbox.options:LocalSearchOptions",
        space="conv-cells",
        summary="Moves to better neighbors, restarts at local optima (White et al. 2021)",
    )
    yield StrategySpec(
        name="hyperband",
        target="nasbench_ecg_blackbox.hyperband:Hyperband",
        options="nasbench_ecg_blackbox.options:HyperbandOptions",
        space="conv-cells",
        summary="Brackets of successive halving, from broad to long (Li et al. 2018)",
    )
    yield StrategySpec(
        name="asha",
        target="nasbench_ecg_blackbox.asha:Asha",
        options="nasbench_ecg_blackbox.options:AshaOptions",
        space="conv-cells",
        summary="Random search with early stopping by asynchronous halving (Li et al. 2020)",
    )
