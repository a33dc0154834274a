"""The effect of the features on IEMMC and k-means, from the suite ``iemmc-features``."""

from __future__ import annotations

from collections.abc import Sequence

from experiment import ACCURACY, IEMMC, K_MEANS, method_of, percent

from nasbench_ecg.run.record import RunRecord

SUITE = "iemmc-features"
METHODS = (IEMMC, K_MEANS)
POOLED = "iemmc-beats"
WITHIN = "iemmc-records"
_NO_EFFECT = (
    "Each record is standardized on its own, so division by a value of the record has no effect."
)
_VARIANTS = {
    (None, None, None): "18: of the beat and of the beat before (default)",
    ("record", None, None): "18, each divided by its mean absolute value in the record",
    (None, "nine", None): "9: of the beat alone",
    ("record", "nine", None): "9, divided likewise",
    (None, None, "missing"): "18, those of absent P waves replaced by the median of the record",
}


def text(runs: Sequence[RunRecord], dataset: str) -> str:
    """Return a Markdown table of the accuracies on one dataset, with a sentence above."""
    own = [run for run in runs if run.dataset_name == dataset]
    rows = ["| features | " + " | ".join(m.label for m in METHODS) + " |", "|---|---:|---:|"]
    repetitions = set()
    for variant, words in _VARIANTS.items():
        cells = []
        for method in METHODS:
            chosen = [r for r in own if method_of(r) == method and _variant(r) == variant]
            cells.append(percent([run.metrics[ACCURACY] for run in chosen]))
            repetitions.add(len(chosen))
        rows.append(f"| {words} | {' | '.join(cells)} |")
    n = ", ".join(map(str, sorted(repetitions)))
    return "\n".join([
        "The paper calls its nine features normalized, and does not say by what. Accuracy of the",
        f"clustered beats with C = 1, {n} repetitions of each (suite `{SUITE}`).", "", *rows,
        *(["", _NO_EFFECT] if dataset == WITHIN else []),
    ])  # fmt: skip


def _variant(run: RunRecord) -> tuple[str | None, ...]:
    options = run.components["dataset"].options
    return tuple(options.get(name) for name in ("normalize", "features", "absent_p"))
