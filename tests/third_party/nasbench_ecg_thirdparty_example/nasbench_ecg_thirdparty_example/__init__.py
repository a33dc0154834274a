"""A plugin from outside: the strategy ``best-of-n`` and the dataset ``toy-2lead``."""

from collections.abc import Iterator

from nasbench_ecg.api import DatasetSpec, StrategySpec, hookimpl

PLUGIN_API_VERSION = "1.0"


@hookimpl
def nasbench_ecg_strategies() -> Iterator[StrategySpec]:
    yield StrategySpec(
        name="best-of-n",
        target="nasbench_ecg_thirdparty_example.strategy:BestOfN",
        options="nasbench_ecg_thirdparty_example.options:BestOfNOptions",
        space="conv-cells",
        budgets=("evaluations",),
        summary="The best of N random architectures",
    )


@hookimpl
def nasbench_ecg_datasets() -> Iterator[DatasetSpec]:
    yield DatasetSpec(
        name="toy-2lead",
        target="nasbench_ecg_thirdparty_example.dataset:Toy",
        options="nasbench_ecg_thirdparty_example.options:ToyOptions",
        summary="Bumps whose width and sign tell the class",
        generated=True,
    )
