"""The generalization report as tables: F1 of all datasets, scores and classes of each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from nasbench_ecg.options import short_names
from nasbench_ecg.report.leaderboard.grouping import differing
from nasbench_ecg.report.leaderboard.overlap import Overlap, shares_text
from nasbench_ecg.report.leaderboard.published import Published, published_scores
from nasbench_ecg.report.measures import COSTS, RANKED_BY
from nasbench_ecg.report.measures import SCORES as MEASURES
from nasbench_ecg.report.statistics.seeds import Summary
from nasbench_ecg.report.studies.generalization import (
    SCORES,
    Generalization,
    Method,
    Result,
    Target,
)
from nasbench_ecg.report.table import Cell, Table, text_table
from nasbench_ecg.run.option_text import value_text
from nasbench_ecg.text import amount, counted, difference, percent

_F1_NOTE = (
    "F1 (harmonic mean of macro Se and macro +P) in percent, mean ± standard deviation over runs. "
    "With a sign: difference from the dataset's own best in points. The own best is the method "
    "with the highest F1 among those that were run on the dataset directly and have the most runs."
)

_NESTED = (
    "runs: several runs train one architecture. They do not show what other searches find: the "
    "deviation over the runs is not that over searches."
)

_OWN_BEST_NOTE = (
    "The own best is the best of several means, so on average its own mean is above what it would "
    "have in other runs: differences from it are biased against the transferred architectures."
)

_SHARED = (
    "Scores on records of persons on whom the architecture was searched do not show that it "
    "applies to other persons. Percentages are of the beats of the class in all records. Published "
    "scores are of all records."
)


def tables(report: Generalization) -> list[Table]:
    """Return the F1 of all datasets, then the scores and the classes of each dataset."""
    labels = _labels(report.methods)
    found = [_f1_table(report, labels), *_person_table(report)]
    for target in report.targets:
        title = _title(target, report.targets)
        found += [_score_table(target, labels, title), *_class_table(target, labels, title)]
    return found


def as_data(report: Generalization) -> dict[str, Any]:
    """Return the report as JSON data."""
    labels = _labels(report.methods)
    return {
        "methods": [
            {"label": labels[method], **asdict(method), "options": json.loads(method.options)}
            for method in report.methods
        ],
        "source_f1": {labels[m]: asdict(summary) for m, summary in report.source_f1.items()},
        "datasets": [
            {
                "track": asdict(target.track),
                "beats": target.beats,
                "split": target.split,
                "macro_classes": list(target.macro_classes),
                "own_best": labels[target.own_best] if target.own_best else None,
                "records": target.n_records,
                "excluded": list(target.excluded),
                "shared_persons": [asdict(overlap) for overlap in target.overlaps],
                "results": {labels[m]: asdict(result) for m, result in target.results.items()},
            }
            for target in report.targets
        ],
    }


def _labels(methods: Sequence[Method]) -> dict[Method, str]:
    """Return the shortest unique name of each method, written as leaderboards write it."""
    labels = {}
    for method in methods:
        details = []
        same = [other for other in methods if other.label == method.label]
        if len({other.builder for other in same}) > 1:
            details.append(method.builder)
        same = [other for other in same if other.builder == method.builder]
        if len({other.space for other in same}) > 1:
            details.append(method.space)
        same = [other for other in same if other.space == method.space]
        if len({other.device for other in same}) > 1:
            details.append(method.device)
        same = [other for other in same if other.device == method.device]
        if method.submitted_by:
            details.append(f"submitted by {method.submitted_by}")
        same = [other for other in same if other.submitted_by == method.submitted_by]
        details += _distinguishing_options(method, same)
        labels[method] = f"{method.label} ({', '.join(details)})" if details else method.label
    return labels


def _distinguishing_options(method: Method, same_name: Sequence[Method]) -> list[str]:
    """Return the options that distinguish a method from others of the same name."""
    options = json.loads(method.options)
    names = differing([json.loads(other.options) for other in same_name])
    short = short_names(names)
    return [f"{short[key]}={value_text(options[key])}" for key in sorted(names & options.keys())]


def _f1_table(report: Generalization, labels: Mapping[Method, str]) -> Table:
    headings = [_heading(target, report.targets) for target in report.targets]
    rows: list[tuple[Cell | str, ...]] = []
    for method in report.methods:
        source = report.source_f1.get(method)
        cells = [_f1_cell(target.results.get(method)) for target in report.targets]
        rows.append((labels[method], _summary_cell(source), *cells))
    own_best = [
        f"Own best of {heading}: {labels[target.own_best]}, "
        f"{percent(target.results[target.own_best].f1)} "
        f"({_runs(len(target.results[target.own_best].run_keys))})."
        for heading, target in zip(headings, report.targets, strict=True)
        if target.own_best is not None
    ]
    headings = ["method", "on source dataset and protocol", *headings]
    chosen = any(map(_chooses_best, report.targets))
    nested = any(_is_nested(one) for target in report.targets for one in target.results.values())
    notes = [_F1_NOTE, *([_NESTED] if nested else []), *([_OWN_BEST_NOTE] if chosen else [])]
    notes += own_best
    return text_table("F1 of transferred architectures", headings, rows, notes)


def _chooses_best(target: Target) -> bool:
    """Return whether the own best was chosen among several methods."""
    if target.own_best is None:
        return False
    most = len(target.results[target.own_best].run_keys)
    alike = [m for m, r in target.results.items() if not m.found_on and len(r.run_keys) == most]
    return len(alike) > 1


def _heading(target: Target, targets: Sequence[Target]) -> str:
    """Return dataset and protocol, with the parts of the track that distinguish it from others."""
    track = target.track
    alike = [
        other
        for other in targets
        if (other.track.dataset, other.track.protocol, other.excluded)
        == (track.dataset, track.protocol, target.excluded)
    ]
    names = [_dataset(target), track.protocol]
    names += [
        getattr(track, part)
        for part in ("profile", "evaluator")
        if len({getattr(other.track, part) for other in alike}) > 1
    ]
    return " · ".join([*names, *_data(target, targets)])


def _data(target: Target, targets: Sequence[Target]) -> Iterator[str]:
    """Yield what tells a target from others of the same track."""
    same = [
        other
        for other in targets
        if (other.track, other.excluded) == (target.track, target.excluded)
    ]
    if len({(other.beats, other.split) for other in same}) > 1:
        yield f"beats {target.beats[:6]}, split {target.split[:6]}"
    if len({other.macro_classes for other in same}) > 1:
        yield f"macro scores over {', '.join(target.macro_classes)}"


def _dataset(target: Target) -> str:
    """Return the name of a dataset, with the number of records that are left out."""
    name, n = target.track.dataset, len(target.excluded)
    return f"{name} without {counted(n, 'record')}" if n else name


def _title(target: Target, targets: Sequence[Target]) -> str:
    track = str(replace(target.track, dataset=_dataset(target)))
    return " · ".join([track, *_data(target, targets)])


def _person_table(report: Generalization) -> Iterator[Table]:
    """Yield the records of persons on whom architectures were searched; nothing without any."""
    rows: list[tuple[Cell | str, ...]] = []
    for target in report.targets:
        for overlap in target.overlaps:
            where = f"{overlap.dataset} · {overlap.protocol}"
            shared = overlap.shared
            if not shared:
                row = (_heading(target, report.targets), where, "none", "")
            else:
                n = f"{len(shared)} of {overlap.n_records}"
                row = (
                    _heading(target, report.targets),
                    where,
                    f"{n}, {_left_out(overlap)}: {', '.join(shared)}",
                    shares_text(overlap) or "not recorded",
                )
            rows.append(row)
    if rows:
        headings = ["dataset", "searched on", "records of the same persons", "beats in them"]
        title = "Persons on whom the architecture was searched"
        yield text_table(title, headings, rows, [_SHARED], words=headings)


def _left_out(overlap: Overlap) -> str:
    if not overlap.kept:
        return "left out"
    return f"{len(overlap.excluded)} left out" if overlap.excluded else "kept"


def _runs(n: int) -> str:
    return "one run" if n == 1 else f"{n} runs"


def _f1_cell(result: Result | None) -> Cell:
    if result is None:
        return Cell()
    note = "" if result.drop is None else difference(-result.drop)
    return _summary_cell(result.scores[RANKED_BY], note)


def _summary_cell(summary: Summary | None, note: str = "") -> Cell:
    if summary is None:
        return Cell()
    spread = "" if summary.sd is None else f"± {percent(summary.sd)}"
    return Cell(percent(summary.mean), summary.mean, spread=spread, note=note)


def _is_nested(result: Result) -> bool:
    return result.n_searches < len(result.run_keys)


def _score_table(target: Target, labels: Mapping[Method, str], title: str) -> Table:
    """Return the scores of one dataset, each method followed by its published scores.

    Published scores that belong to none of our methods come last.
    """
    rows: list[tuple[Cell | str, ...]] = []
    track = target.track
    others = published_scores(track.dataset, track.protocol) if target.all_records else []
    for method, result in target.results.items():
        size = "" if result.parameters is None else amount(result.parameters)
        scores = [_summary_cell(result.scores.get(name)) for name in SCORES]
        n = str(len(result.run_keys))
        runs = f"{n} of {counted(result.n_searches, 'architecture')}" if _is_nested(result) else n
        rows.append((labels[method], runs, size, *scores))
        if result.published:
            rows.append(_published_row(result.published))
            others = [published for published in others if published != result.published]
    rows += map(_published_row, others)
    headings = ["method", "runs", COSTS["parameters"].heading]
    headings += [MEASURES[name].heading for name in SCORES]
    return text_table(title, headings, rows, ["params: trainable parameters."])


def _published_row(published: Published) -> tuple[str, ...]:
    scores = (
        percent(published.scores[name]) if name in published.scores else "" for name in SCORES
    )
    return (f"  published: {published.label} ({published.citation})", "", "", *scores)


def _class_table(target: Target, labels: Mapping[Method, str], title: str) -> Iterator[Table]:
    """Yield the F1 of each class, as differences from the own best; nothing without one."""
    if target.own_best is None:
        return
    best = target.results[target.own_best]
    names = [name for name in target.classes if name in best.classes]
    if not names:
        return
    own = (best.classes[name] for name in names)
    rows = [
        (
            f"{labels[target.own_best]} (own best)",
            *(percent(scores["f1"]) if "f1" in scores else "" for scores in own),
        )
    ]
    for method, result in target.results.items():
        if result.class_differences:
            cells = (_class_cell(result.class_differences.get(name, {})) for name in names)
            rows.append((labels[method], *cells))
    title = f"{title}: F1 of each class, and differences from the own best in points"
    notes = [_OWN_BEST_NOTE] if _chooses_best(target) else []
    yield text_table(title, ["method", *names], rows, notes)


def _class_cell(differences: Mapping[str, float]) -> str:
    return difference(differences["f1"]) if "f1" in differences else ""
