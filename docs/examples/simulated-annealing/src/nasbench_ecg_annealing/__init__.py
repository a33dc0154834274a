"""Simulated annealing of architectures."""

from collections.abc import Iterator

from nasbench_ecg.api import StrategySpec, hookimpl

PLUGIN_API_VERSION = "1.0"


@hookimpl
def nasbench_ecg_strategies() -> Iterator[StrategySpec]:
    """Yield ``simulated-annealing``."""
    yield StrategySpec(
        name="simulated-annealing",
        target="nasbench_ecg_annealing.strategy:SimulatedAnnealing",
        options="nasbench_ecg_annealing.strategy:SimulatedAnnealingOptions",
        space="conv-cells",
        budgets=("evaluations", "seconds"),
        summary="Accepts worse neighbors with a probability that falls (Kirkpatrick et al. 1983)",
    )
