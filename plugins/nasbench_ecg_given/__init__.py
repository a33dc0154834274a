"""The strategy ``given``: trains a known architecture without a search."""

from collections.abc import Iterable

from nasbench_ecg.api import StrategySpec, hookimpl


@hookimpl
def nasbench_ecg_strategies() -> Iterable[StrategySpec]:
    """Yield ``given``."""
    yield StrategySpec(
        name="given",
        target="nasbench_ecg_given.strategy:Given",
        options="nasbench_ecg_given.strategy:GivenOptions",
        searches=False,
        summary="Searches nothing: takes the architecture it is given, be it from another dataset",
    )
