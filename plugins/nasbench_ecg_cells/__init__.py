"""The search space of Heart-DARTS, cells of 1-D convolutions, and networks of stacked cells."""

from collections.abc import Iterable

from nasbench_ecg.api import BuilderSpec, SearchSpaceSpec, hookimpl

PLUGIN_API_VERSION = "1.0"


@hookimpl
def nasbench_ecg_search_spaces() -> Iterable[SearchSpaceSpec]:
    """Yield ``conv-cells``."""
    yield SearchSpaceSpec(
        name="conv-cells",
        target="nasbench_ecg_cells.space:ConvCells",
        options="nasbench_ecg_cells.options:ConvCellsOptions",
        builder="stacked-cells-shortcut",
        evaluator="train",
        summary="Normal and reduction cells of 1-D convolutions, poolings and skips (Heart-DARTS)",
    )


@hookimpl
def nasbench_ecg_builders() -> Iterable[BuilderSpec]:
    """Yield ``stacked-cells-shortcut`` and ``stacked-cells``."""
    yield BuilderSpec(
        name="stacked-cells-shortcut",
        target="nasbench_ecg_cells.network:StackedCellsShortcut",
        options="nasbench_ecg_cells.options:StackedCellsShortcutOptions",
        space="conv-cells",
        min_samples=16,
        summary="Stacked cells with two shortcuts, each up to a reduction cell (Heart-DARTS)",
    )
    yield BuilderSpec(
        name="stacked-cells",
        target="nasbench_ecg_cells.network:StackedCells",
        options="nasbench_ecg_cells.options:StackedCellsOptions",
        space="conv-cells",
        min_samples=16,
        summary="Stacked cells without shortcuts (ablation of Heart-DARTS)",
    )
