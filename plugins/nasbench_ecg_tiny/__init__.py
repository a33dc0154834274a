"""Networks small enough for a wearable: the search space ``tiny-cells`` and its builder."""

from collections.abc import Iterable

from nasbench_ecg.api import BuilderSpec, SearchSpaceSpec, hookimpl

PLUGIN_API_VERSION = "1.0"


@hookimpl
def nasbench_ecg_search_spaces() -> Iterable[SearchSpaceSpec]:
    """Yield ``tiny-cells``."""
    yield SearchSpaceSpec(
        name="tiny-cells",
        target="nasbench_ecg_tiny.space:TinyCells",
        options="nasbench_ecg_tiny.options:TinyCellsOptions",
        builder="tiny-network",
        evaluator="train",
        summary="One small cell of three edges, its width and number: 1,935 tiny networks",
    )


@hookimpl
def nasbench_ecg_builders() -> Iterable[BuilderSpec]:
    """Yield ``tiny-network``."""
    yield BuilderSpec(
        name="tiny-network",
        target="nasbench_ecg_tiny.network:TinyNetwork",
        space="tiny-cells",
        min_samples=16,
        summary="Three stages of one tiny cell, with 221 to 220,709 parameters",
    )
