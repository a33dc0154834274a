"""The folds of one method and seed as one result: a pooled confusion matrix and its scores.

Each fold is an ordinary run, whose test part no other fold has. Together they test every beat once.
So the confusion matrices are summed, and the scores of the sum are those of the whole dataset. The
mean of the folds' own scores is another figure, because each is over fewer beats and perhaps fewer
classes; it is shown beside the pooled score with its standard deviation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np

from nasbench_ecg.architecture import canonical_json, digest
from nasbench_ecg.data.protocols import choose_macro_classes
from nasbench_ecg.metrics import class_table, scores, without_macro_scores
from nasbench_ecg.report.leaderboard.grouping import seed_of
from nasbench_ecg.report.leaderboard.types import FoldSpread, RowFolds
from nasbench_ecg.report.measures import RANKED_BY
from nasbench_ecg.run.key import KEY_LENGTH
from nasbench_ecg.run.record import ComponentRecord, RunRecord, SplitRecord


@dataclass(frozen=True)
class FoldSet:
    """The runs of one method and seed on the folds of a protocol.

    Attributes:
        k: Number of folds.
        runs: The runs by fold; of several of one fold, one with a result.
        pooled: One record of all: with status ``ok``, the summed confusion matrix and its scores if
            every fold has a result, else without scores. Costs, durations and scores that do not
            follow from the matrix are means over the folds.
    """

    k: int
    runs: Mapping[int, RunRecord]
    pooled: RunRecord

    @property
    def finished(self) -> dict[int, RunRecord]:
        """The runs with a result, by fold."""
        return {fold: run for fold, run in self.runs.items() if run.status == "ok"}

    @property
    def missing(self) -> tuple[int, ...]:
        """The folds without a result."""
        return tuple(fold for fold in range(self.k) if fold not in self.finished)


def pool_folds(records: Iterable[RunRecord]) -> tuple[list[RunRecord], dict[str, FoldSet]]:
    """Return the records with the folds of each method and seed replaced by one pooled record.

    Returns:
        The records, and the sets of folds by the run key of their pooled record.
    """
    single: list[RunRecord] = []
    grouped: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        if fold_of(record) is None:
            single.append(record)
        else:
            grouped[_set_key(record)].append(record)
    groups = [group for key in sorted(grouped) for group in _by_beats(grouped[key])]
    splits = _splits(groups)
    sets = [
        _fold_set(group, split_digest) for group, split_digest in zip(groups, splits, strict=True)
    ]
    return [*single, *(one.pooled for one in sets)], {one.pooled.run_key: one for one in sets}


def fold_of(record: RunRecord) -> tuple[int, int] | None:
    """Return the test fold of a run and the number of folds; None if its protocol has none."""
    fold, k = (record.protocol_options.get(name) for name in ("fold", "k"))
    if isinstance(fold, int) and isinstance(k, int) and 0 <= fold < k:
        return fold, k
    return None


def row_folds(sets: Sequence[FoldSet]) -> RowFolds | None:
    """Return what a row of a leaderboard shows of its folds; None if it has none."""
    if not sets:
        return None
    return RowFolds(
        k=sets[0].k,
        missing=tuple(sorted((seed_of(one.pooled), one.missing) for one in sets if one.missing)),
        spread=fold_spread([run for one in sets for run in one.finished.values()]),
        from_matrix=all(one.missing or one.pooled.confusion is not None for one in sets),
    )


def fold_spread(folds: Iterable[RunRecord]) -> dict[str, FoldSpread]:
    """Return the spread over folds of every score; a fold of several seeds counts with its mean."""
    values: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in folds:
        for name, value in record.metrics.items():
            values[name][record.protocol_options["fold"]].append(value)
    spreads = {}
    for name, by_fold in values.items():
        means = sorted(map(fmean, by_fold.values()))
        sd = stdev(means) if len(means) > 1 else None
        spreads[name] = FoldSpread(len(means), fmean(means), sd)
    return spreads


# Which records are folds of one method and seed


def _set_key(record: RunRecord) -> str:
    """Return what the folds of one set share: all that determines a result, without the fold."""
    return canonical_json(
        [
            {role: _identity(part) for role, part in record.components.items()},
            record.track,
            _shared_options(record),
            record.search_seed,
            record.evaluation_seed,
            record.device,
            dict(record.budget),
            record.submitted_by,
        ]
    )


def _identity(component: ComponentRecord) -> list[Any]:
    given = {name: value for name, value in component.options.items() if value is not None}
    return [component.name, component.revision, given]


def _shared_options(record: RunRecord) -> dict[str, Any]:
    options = record.protocol_options.items()
    return {name: value for name, value in options if value is not None and name != "fold"}


def _by_beats(records: Sequence[RunRecord]) -> list[list[RunRecord]]:
    """Return the records by fingerprint of their beats; the largest group gets those without."""
    found: dict[str, list[RunRecord]] = defaultdict(list)
    for record in sorted(records, key=lambda r: (r.status != "ok", r.run_key, r.suite)):
        found[record.dataset.fingerprint if record.dataset else ""].append(record)
    without = found.pop("", [])
    groups = [found[name] for name in sorted(found, key=lambda name: (-len(found[name]), name))]
    if not groups:
        return [without]
    groups[0] += without
    return groups


def _splits(groups: Sequence[Sequence[RunRecord]]) -> list[str]:
    """Return the split of each group as one fingerprint: a digest of those of the folds.

    A group that lacks folds gets the digest of a group that has them, where the two agree.
    """
    by_fold = [
        {record.protocol_options["fold"]: record.split.fingerprint for record in group
         if record.split}
        for group in groups
    ]  # fmt: skip
    families: list[tuple[str, dict[int, str]]] = []
    of_group: dict[int, dict[int, str]] = {}
    order = sorted(range(len(groups)), key=lambda i: (-len(by_fold[i]), canonical_json(by_fold[i])))
    for i in order:
        shared = canonical_json([_beats_of(groups[i]), _shared_options(groups[i][0])])
        own = by_fold[i]
        for name, family in families:
            if name == shared and all(family.get(fold, own[fold]) == own[fold] for fold in own):
                family |= own
                of_group[i] = family
                break
        else:
            of_group[i] = dict(own)
            families.append((shared, of_group[i]))
    return [digest(sorted(of_group[i].items())) for i in range(len(groups))]


def _beats_of(records: Sequence[RunRecord]) -> str:
    return next((r.dataset.fingerprint for r in records if r.dataset), "")


# One record of all folds


def _fold_set(records: Sequence[RunRecord], split_digest: str) -> FoldSet:
    """Return the set of some records, those with a result first."""
    runs: dict[int, RunRecord] = {}
    for record in records:
        runs.setdefault(record.protocol_options["fold"], record)
    k = int(records[0].protocol_options["k"])
    runs = {fold: runs[fold] for fold in sorted(runs)}
    return FoldSet(k, runs, _pooled(runs, k, split_digest))


def _pooled(runs: Mapping[int, RunRecord], k: int, split_digest: str) -> RunRecord:
    first = next(iter(runs.values()))
    with_data = next((run for run in runs.values() if run.dataset and run.split), first)
    counts = with_data.dataset.counts if with_data.dataset else {}
    macro_classes = choose_macro_classes(
        first.protocol, counts, first.protocol_options.get("macro_min_beats")
    )
    complete = len(runs) == k and all(run.status == "ok" for run in runs.values())
    return RunRecord(
        run_key=_pooled_key(list(runs.values())),
        suite=first.suite,
        status="ok" if complete else "interrupted",
        command=first.command,
        profile=first.profile,
        protocol=first.protocol,
        protocol_options={n: v for n, v in first.protocol_options.items() if n != "fold"},
        components=first.components,
        search_seed=first.search_seed,
        evaluation_seed=first.evaluation_seed,
        device=first.device,
        budget=first.budget,
        submitted_by=first.submitted_by,
        dataset=with_data.dataset,
        split=(
            SplitRecord(
                fingerprint=split_digest,
                counts={"test": counts},
                records={"test": with_data.dataset.records if with_data.dataset else []},
            )
            if with_data.split
            else None
        ),
        classes=with_data.classes,
        macro_classes=list(macro_classes),
        **(_results(list(runs.values()), macro_classes) if complete else {}),
    )


def _pooled_key(runs: Sequence[RunRecord]) -> str:
    """Return a key of a set of folds; sets of the same runs by two people have two keys."""
    by = runs[0].submitted_by
    return digest([*sorted(run.run_key for run in runs), *([by] if by else [])])[:KEY_LENGTH]


def _results(runs: Sequence[RunRecord], macro_classes: Sequence[str]) -> dict[str, Any]:
    """Return the pooled scores of all folds, and the means of what cannot be pooled."""
    matrices = [np.asarray(run.confusion, np.int64) for run in runs if run.confusion is not None]
    metrics = _means([run.metrics for run in runs])
    found: dict[str, Any] = {
        "costs": _means([run.costs for run in runs]),
        "seconds": _means([run.seconds for run in runs]),
        "trajectory": _last_points(runs),
    }
    if len(matrices) == len(runs):
        total = np.sum(matrices, axis=0)
        pooled = scores(total, runs[0].classes, macro_classes)
        metrics |= pooled if len(macro_classes) > 1 else without_macro_scores(pooled)
        found["confusion"] = total.tolist()
        found["per_class"] = class_table(total, runs[0].classes)
        if all(run.per_record for run in runs):
            found["per_record"] = {n: m for run in runs for n, m in run.per_record.items()}
    own = [run.score for run in runs if run.score is not None]
    by_f1 = all(run.score is None or run.score == run.metrics.get(RANKED_BY) for run in runs)
    return {**found, "metrics": metrics, "score": metrics.get(RANKED_BY) if by_f1 else fmean(own)}


def _last_points(runs: Sequence[RunRecord]) -> list[dict[str, float]]:
    """Return one point with the mean number of evaluations; a run without trajectory made none."""
    n = [run.trajectory[-1].get("evaluations", 0.0) if run.trajectory else 0.0 for run in runs]
    return [{"evaluations": fmean(n)}] if any(n) else []


def _means(figures_by_run: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of every figure that all runs have."""
    names = set.intersection(*(set(figures) for figures in figures_by_run))
    return {name: fmean(figures[name] for figures in figures_by_run) for name in sorted(names)}
