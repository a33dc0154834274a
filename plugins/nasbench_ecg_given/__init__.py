"""The strategy ``given``: trains a known architecture without a search."""

from collections.abc import Iterable

from nasbench_ecg.api import StrategySpec, hookimpl

PLUGIN_API_VERSION = "1.0"


@hookimpl
def nasbench_ecg_strategies() -> Iterable[StrategySpec]:
    """Yield ``given``."""
    yield StrategySpec(
        name="given",
        target="nasbench_ecg_given.strategy:Given",
        options="nasbench_ecg_given.strategy:GivenOptions",
        space="conv-cells",
        role="given",
        summary="Trains a given architecture, for example from another dataset, without a search",
    )
