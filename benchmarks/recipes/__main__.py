"""What recipes and inputs are worth on persons that a network was not trained on.

Usage: ``python benchmarks/recipes [--suite SUITE] [--against ROW]``. Prints a Markdown table for
each dataset of the suite, by default ``recipe-ablation``: the F1 of N, S and V of all folds
together, their mean, and the test over persons of that mean against one row, as a leaderboard makes
it of its own score, corrected for all rows. A leaderboard has no such column: its F1 also averages
over F and Q, of which the training part has few beats or almost none, so that one beat of Q changes
it by several points. And it compares no rows with other inputs, which are other beats of the same
persons.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from nasbench_ecg.report.leaderboard.build import build_report
from nasbench_ecg.report.leaderboard.folds import pool_folds
from nasbench_ecg.report.statistics.patient_permutation import paired_person_p_value
from nasbench_ecg.report.statistics.patients import PersonMatrices, person_matrices
from nasbench_ecg.run.option_text import value_text
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.record_files import read_records
from nasbench_ecg.statistics import holm
from nasbench_ecg.text import p_value

RESULTS = Path(__file__).resolve().parents[2] / "results"
CLASSES = ("N", "S", "V")
SCORE = "macro_f1"

_INPUTS = ("dataset.rhythm", "dataset.planes", "dataset.differences")


def main() -> None:
    """Run as the module describes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", default="recipe-ablation", help="the suite")
    parser.add_argument("--against", help="label of a row; default: the published recipe")
    arguments = parser.parse_args()
    records, _ = read_records(RESULTS, arguments.suite)
    report = build_report([one for one in records if one.status == "ok"], arguments.suite)
    tracks: dict[str, dict[str, list[RunRecord]]] = defaultdict(dict)
    for board in report.leaderboards:
        inputs = [
            f"{name.partition('.')[2]}={value_text(value)}"
            for name, value in board.options.items()
            if name in _INPUTS and value is not None
        ]
        for row in board.rows:
            runs, _ = pool_folds(report.finished_runs(row))
            if complete := [run for run in runs if run.status == "ok"]:
                label = " ".join([board.label(row), *inputs])
                tracks[str(board.track)][label] = complete
    against = arguments.against
    if against and not any(against in pooled for pooled in tracks.values()):
        known = "\n  ".join(sorted({label for pooled in tracks.values() for label in pooled}))
        parser.error(f"there is no row {against!r}; rows are:\n  {known}")
    for track, pooled in tracks.items():
        if against and against not in pooled:
            continue
        print(f"\n{track}\n\n{table(pooled, against)}")


def table(pooled: Mapping[str, list[RunRecord]], against: str | None) -> str:
    """Return the rows of a leaderboard, best first, each of one network or more on all persons."""
    persons: dict[str, PersonMatrices] = {}
    for label, runs in pooled.items():
        if found := person_matrices(runs):
            persons[label] = replace(found, macro_classes=CLASSES)
    published = [label for label in persons if "optimizer=default" in label]
    reference = against or min(published or persons, key=len)
    others = [
        label
        for label in persons
        if label != reference and len(persons[label].matrices) == len(persons[reference].matrices)
    ]
    p_values = [paired_person_p_value(persons[one], persons[reference], SCORE) for one in others]
    corrected = dict(zip(others, map(p_value, holm(p_values)), strict=True))
    rows = {}
    for label, found in persons.items():
        f1 = {name: _mean([run.per_class[name]["f1"] for run in pooled[label]]) for name in CLASSES}
        mean = _mean(found.scores(SCORE).tolist())
        accuracy = _mean([run.metrics["accuracy"] for run in pooled[label]])
        cells = [", ".join(f"{100 * f1[name]:.1f}" for name in CLASSES), f"{100 * mean:.1f}"]
        cells += [f"{100 * accuracy:.1f}", corrected.get(label, "")]
        rows[mean, label] = f"| {label} | {' | '.join(cells)} |"
    heading = (
        f"| row | F1 of {', '.join(CLASSES)} | their mean | accuracy | p against {reference} |"
    )
    return "\n".join([heading, "|---|---|--:|--:|--:|", *(rows[k] for k in sorted(rows)[::-1])])


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
