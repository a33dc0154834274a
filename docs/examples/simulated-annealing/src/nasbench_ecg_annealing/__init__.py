"""Simulated annealing of architectures."""

from collections.abc import Iterator

from nasbench_ecg.api import StrategySpec, hookimpl


@hookimpl
def nasbench_ecg_strategies() -> Iterator[StrategySpec]:
    """Yield ``simulated-annealing``."""
    yield StrategySpec(
        name="simulated-annealing",
        target="nasbench_ecg_annealing.strategy:SimulatedAnnealing",
        options="nasbench_ecg_annealing.strategy:SimulatedAnnealingOptions",
        summary="Goes to worse neighbours too, ever more rarely (Kirkpatrick et al. 1983)",
    )
