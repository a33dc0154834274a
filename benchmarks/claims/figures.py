"""The three figures of the report as SVG; the same runs give the same text."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from experiment import (
    IEMMC,
    IEMMC_K_MEANS,
    IEMMC_LABELS,
    ITERSVR,
    ITERSVR_K_MEANS,
    K_MEANS,
    SVM,
    Cell,
    Experiment,
    Method,
)
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLORS: Mapping[Method, str] = {
    IEMMC: "#0072b2",
    IEMMC_K_MEANS: "#56b4e9",
    IEMMC_LABELS: "#cc79a7",
    ITERSVR: "#d55e00",
    ITERSVR_K_MEANS: "#e69f00",
    K_MEANS: "#009e73",
    SVM: "#666666",
}
_GROUP_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MARKERS = "os^Dv<>"
_CLIPPED = 0.01
"""Share of the beats cut off at either end of an axis."""


def convergence(found: Experiment) -> str:
    """Return J of the first split by generation (IEMMC) or round (iterSVR), a panel for each C."""
    figure, panels = _subplots(1, len(found.of(IEMMC)), width=3.0, height=3.2)
    for number, panel in enumerate(panels):
        for method in (IEMMC, IEMMC_K_MEANS, IEMMC_LABELS, ITERSVR, ITERSVR_K_MEANS):
            cell = found.of(method)[number]
            for i, run in enumerate(cell.runs):
                steps, values = zip(*cell.curve(run), strict=True)
                panel.plot(
                    steps, values, color=_COLORS[method], linewidth=1.2, marker="o", markersize=2,
                    label=method.label if i == 0 else None,
                )  # fmt: skip
        panel.set(title=f"C = {cell.C:g}", xlabel="generation or round", yscale="log")
    panels[0].set_ylabel("J by beat, first split")
    panels[0].legend(fontsize=7, frameon=False)
    return _svg(figure)


def classes(found: Experiment) -> str:
    """Return Se, Spe and Acc of every class as bars with deviations, at each method's best C."""
    scores = {"se": "sensitivity", "spe": "specificity", "acc": "accuracy"}
    figure, panels = _subplots(len(scores), 1, width=8.5, height=2.2)
    cells = [found.best(method) for method in _COLORS]
    names = cells[0].runs[0].classes
    for panel, (score, label) in zip(panels, scores.items(), strict=True):
        for i, cell in enumerate(cells):
            values = [cell.values(f"clustered_{score}_{name.lower()}") for name in names]
            panel.bar(
                np.arange(len(names)) + (i - (len(cells) - 1) / 2) / (len(cells) + 1),
                [100 * np.mean(own) for own in values],
                1 / (len(cells) + 1),
                yerr=[100 * np.std(own, ddof=1) for own in values],
                color=_COLORS[cell.method],
                label=cell.method.label,
                error_kw={"linewidth": 0.8},
            )
        panel.set(ylabel=f"{label}, %", ylim=(0, 100), xticks=range(len(names)), xticklabels=names)
    panels[0].legend(
        fontsize=7, ncols=3, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1)
    )
    return _svg(figure)


def clusters(
    x: NDArray[np.float64], labels: Sequence[str], labelings: Mapping[str, NDArray[Any]]
) -> str:
    """Return the beats on their first two principal components, by class and by cluster.

    Args:
        x: float64 [n, d], standardized features.
        labels: Class of each beat.
        labelings: Clusters of the beats by title, uint8 [n] each.
    """
    from sklearn.decomposition import PCA

    model = PCA(2, random_state=0)
    points = model.fit_transform(x)
    share = model.explained_variance_ratio_
    low, high = np.quantile(points, [_CLIPPED, 1 - _CLIPPED], axis=0)
    figure, panels = _subplots(1, 1 + len(labelings), width=3.4, height=3.4)
    groups = {"AAMI classes": np.asarray(labels)}
    groups |= {
        title: np.array([f"cluster {c + 1}" for c in own]) for title, own in labelings.items()
    }
    for panel, (title, group) in zip(panels, groups.items(), strict=True):
        for i, name in enumerate(dict.fromkeys(sorted(group.tolist()))):
            own = points[group == name]
            panel.scatter(
                *own.T, s=7, alpha=0.6, linewidths=0, color=_GROUP_COLORS[i % len(_GROUP_COLORS)],
                marker=_MARKERS[i % len(_MARKERS)], label=f"{name} ({len(own)})",
            )  # fmt: skip
        panel.set(
            title=title,
            xlabel=f"first component ({share[0]:.0%})",
            xlim=(low[0], high[0]),
            ylim=(low[1], high[1]),
        )
        panel.legend(fontsize=6, frameon=False, loc="best")
    panels[0].set_ylabel(f"second component ({share[1]:.0%})")
    return _svg(figure)


def best_run(cell: Cell, metric: str) -> int:
    """Return the position of the repetition with the best value of a metric."""
    return int(np.argmax([run.metrics[metric] for run in cell.runs]))


def _subplots(rows: int, columns: int, *, width: float, height: float) -> tuple[Figure, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    return figure, axes


def _svg(figure: Figure) -> str:
    import matplotlib as mpl

    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "iemmc", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"
