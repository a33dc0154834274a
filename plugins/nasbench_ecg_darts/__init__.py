"""Differentiable architecture search (DARTS) over 1-D convolutional cells."""

from collections.abc import Iterable

from nasbench_ecg.api import StrategySpec, hookimpl


@hookimpl
def nasbench_ecg_strategies() -> Iterable[StrategySpec]:
    """Yield ``darts``."""
    yield StrategySpec(
        name="darts",
        target="nasbench_ecg_darts.strategy:Darts",
        options="nasbench_ecg_darts.options:DartsOptions",
        summary="Gradient descent on relaxed cells, first or second order (DARTS, Heart-DARTS)",
    )
