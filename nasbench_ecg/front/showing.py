"""The summary of a run, as text and for a notebook."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from nasbench_ecg.errors import PluginError
from nasbench_ecg.front.results import Runs, one_run
from nasbench_ecg.plugin.registry import Registry, load_registry
from nasbench_ecg.plugin.specs import DatasetSpec
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.request import DEFAULT_OUT

if TYPE_CHECKING:
    from rich.console import RenderableType

_WIDTH = 80


class RunSummary:
    """What a run found, how good and how costly it is, and what to run next.

    A notebook shows it; ``print`` writes it as text.

    Attributes:
        record: The run.
        renderable: The summary for a ``rich.console.Console``.
    """

    def __init__(self, record: RunRecord, renderable: RenderableType) -> None:
        self.record = record
        self.renderable = renderable

    def __str__(self) -> str:
        from nasbench_ecg.report.render.terminal import as_text

        return as_text([self.renderable], width=_WIDTH)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def show(
    run: Runs | RunRecord | pd.Series[Any] | str,
    out: Path | str = DEFAULT_OUT,
    *,
    registry: Registry | None = None,
) -> RunSummary:
    """Return the summary of a run: architecture, scores, costs, and what to run next.

    Args:
        run: A table of one run, a row of a table, a record, or the first characters of a run key.
        out: Folder of results, for a record or a key.
        registry: The available components, which draw architectures; by default those installed.

    Raises:
        NasbenchError: There is no such run.
    """
    from nasbench_ecg.models.draw import draw
    from nasbench_ecg.report.summary.run import run_summary

    record, folder = one_run(run, out)
    registry = registry or load_registry()
    drawing, protocols = draw(record, registry), _protocols(record, registry)
    return RunSummary(record, run_summary(record, drawing=drawing, out=folder, protocols=protocols))


def _protocols(record: RunRecord, registry: Registry) -> tuple[str, ...]:
    """Return the protocols of the dataset; none if it is not installed."""
    try:
        spec = registry.get("dataset", record.dataset_name).spec
    except PluginError:
        return ()
    return spec.protocols if isinstance(spec, DatasetSpec) else ()
