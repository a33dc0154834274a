"""The report in Markdown, and the figures that it shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from statistics import fmean

import features_report
import figures
import within_report
from checks import check_claims
from evidence import Claim
from experiment import (
    ACCURACY,
    BALANCE,
    IEMMC,
    K_MEANS,
    METHODS,
    SUITE,
    Experiment,
    experiment_of,
    option_of,
    percent,
)
from within import SUITE as WITHIN
from within import Within

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Task
from nasbench_ecg.data.cache import load_beats
from nasbench_ecg.data.protocols import protocol_options, split
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg_immune.clustering import clustered_beats
from nasbench_ecg_immune.space import from_architecture

_TEXT = """\
# IEMMC: which claims of the paper held

The claims of Zhu et al. 2013, tested on our runs of `nasbench-ecg suite run iemmc`. Written by
`python benchmarks/claims` from {provenance}

**{tally}** of {total} claims.

| claim | test | outcome | values |
|---|---|---|---|
{claims}

The test of each claim and its values are those of the pooled reading at l = {balance:g}. A claim
that compares means is shown to hold, or not to, only where a permutation test over the repetitions
has p < 0.05 for its comparisons, after Holm's correction for all of them. Fewer than six
repetitions cannot reach that, so such a claim holds, or does not, in the mean of these runs. C is
chosen for each method by the accuracy that is compared. The last three claims are counts of runs,
without a test.

## Both readings

The paper does not say whether the beats of its records are clustered together. In the first reading
they are, in five clusters; in the second each record, which is one person, is clustered on its own,
N against all others ([report](../iemmc-records/README.md)).

{both}

## What was run

{data}
As in the paper, each method takes the C with the best accuracy, which the labels decide; the other
settings are those of the profile `paper`. A cluster stands for the class that most of its beats
have. "Clustered" are the {clustered:,} beats that a method was given (the SVM was trained on one
fifth of their labels). "Held out" are the other {held_out:,}; functions fitted on the clustered
beats assign them to clusters.

{methods}

J is the objective by beat of the first split at the C of the row. Values of J are comparable at
one C only.

### Every C

{by_c}

### Every balance bound

Accuracy of the clustered beats. The table above has l = {balance:g}, the default.

{by_bound}

### Other features

{features}

## Objective by generation

![objective](figures/convergence.svg)

The first split of all beats; a line is one repetition. The lines of IEMMC show the best antibody in
memory, and end before the polish by single flips, which lowers J further. The paper does not say
how random antibodies are drawn. Ours are the signs of random functions in leading directions of the
kernel; for "labels one by one", every label is drawn independently.

## Classes

![scores by class](figures/classes.svg)

{by_class}

## Clusters

![clusters](figures/clusters.svg)

The clustered beats on the first two principal components of their 18 features. IEMMC and k-means
are shown by their repetition with the best accuracy.

## Differences from the paper

The text that we have lacks the paper's tables, the names of its seven records, the number of beats
of each class, the balance bound, the kernel width and the population sizes. The records and counts
(`nasbench-ecg info iemmc-beats`) and the defaults of `iemmc` are our choice, so a claim that did
not hold here may have held on the paper's beats. The paper does not say how a method for two
clusters makes five; here, one cluster after another is split.
"""


def render(
    pooled: list[RunRecord], within: Within, features: list[RunRecord], source: LocalSource
) -> dict[str, str]:
    """Return the text of each file of both reports by name.

    Args:
        pooled: The runs of the suite ``iemmc``.
        within: Those of ``iemmc-records``.
        features: Those of ``iemmc-features``.
        source: The ECG records.

    Raises:
        NasbenchError: The ECG records are missing.
    """
    found = experiment_of(pooled, BALANCE)
    task = _task(found, source)
    best = {method.label: found.best(method) for method in (IEMMC, K_MEANS)}
    labelings = {}
    for label, cell in best.items():
        run = cell.runs[figures.best_run(cell, ACCURACY)]
        labelings[label] = from_architecture(Architecture.from_dict(run.architecture or {}))
    names = [task.train.classes[i] for part in (task.train, task.validation) for i in part.labels]
    return {
        f"{SUITE}/figures/convergence.svg": figures.convergence(found),
        f"{SUITE}/figures/classes.svg": figures.classes(found),
        f"{SUITE}/figures/clusters.svg": figures.clusters(clustered_beats(task), names, labelings),
        f"{SUITE}/README.md": _text(found, check_claims([found])[0], pooled, within, features),
        f"{WITHIN}/README.md": within_report.text(
            within, _task(within.at(within.claimed[0]), source), features
        ),
    }


def _task(found: Experiment, source: LocalSource) -> Task:
    """Return the task that the strategies were given."""
    record = found.best(IEMMC).runs[0]
    recorded = record.components["dataset"]
    component = load_registry().get("dataset", recorded.name)
    options = component.options_model()(**recorded.options)
    dataset = component.create(options)
    beats = load_beats(
        name=recorded.name,
        revision=component.spec.revision,
        options=options,
        dataset=dataset,
        source=source,
        progress=Silent(),
    ).beats
    chosen = protocol_options(record.protocol)(**record.protocol_options)
    parts = split(record.protocol, chosen, beats, dataset)
    return Task(beats.take(parts.train), beats.take(parts.validation), parts.macro_classes)


def _text(
    found: Experiment,
    claims: list[Claim],
    pooled: list[RunRecord],
    within: Within,
    features: list[RunRecord],
) -> str:
    record = found.best(IEMMC).runs[0]
    assert record.split is not None
    counts = record.split.counts
    outcomes = Counter(claim.outcome for claim in claims)
    return _TEXT.format(
        provenance=_provenance(pooled),
        both=within_report.both_readings(claims, within),
        by_bound=_by_bound(pooled),
        features=features_report.text(features, features_report.POOLED),
        tally=", ".join(f"{n} {outcome}" for outcome, n in outcomes.items()),
        total=len(claims),
        balance=BALANCE,
        claims="\n".join(
            f"| {claim.words} | {claim.test} | {_bold(claim)} | {claim.figures} |"
            for claim in claims
        ),
        data=_data(found),
        clustered=sum(counts["train"].values()) + sum(counts["validation"].values()),
        held_out=sum(counts["test"].values()),
        methods=_methods(found),
        by_c=_by_c(found),
        by_class=_by_class(found),
    )


def _bold(claim: Claim) -> str:
    return f"**{claim.outcome}**" + claim.verdict.removeprefix(claim.outcome)


def _provenance(records: list[RunRecord]) -> str:
    machines = sorted({str(run.provenance.get("cpu", "?")) for run in records})
    versions = sorted({str(run.provenance.get("nasbench_ecg", "?")) for run in records})
    days = sorted({str(run.provenance.get("started", ""))[:10] for run in records})
    return (
        f"{len(records)} runs, {' to '.join(dict.fromkeys((days[0], days[-1])))}, nasbench-ecg "
        f"{', '.join(versions)}, on {', '.join(machines)}."
    )


def _data(found: Experiment) -> str:
    run = found.best(IEMMC).runs[0]
    dataset = run.dataset
    assert dataset is not None
    counts = ", ".join(f"{name} {dataset.counts[name]:,}" for name in run.classes)
    n_beats, records = sum(dataset.counts.values()), ", ".join(dataset.records)
    return (
        f"{n_beats:,} beats of the MIT-BIH records {records} ({counts}), {dataset.n_samples} "
        f"features each of lead {', '.join(dataset.leads)}."
    )


def _methods(found: Experiment) -> str:
    rows = ["| method | best C | accuracy, clustered | F1 of macros | accuracy, held out | J | "
            "search, s |", "|---|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for method in METHODS:
        cell = found.best(method)
        objectives = cell.objectives()
        rows.append(
            f"| {method.label} | {'–' if cell.C is None else f'{cell.C:g}'} "
            f"| {cell.percent(ACCURACY)} | {cell.percent('clustered_f1_of_macro')} "
            f"| {cell.percent('accuracy')} "
            f"| {f'{fmean(objectives):.4f}' if objectives else '–'} "
            f"| {fmean(run.seconds['search'] for run in cell.runs):.1f} |"
        )
    return "\n".join(rows)


def _by_c(found: Experiment) -> str:
    methods = [method for method in METHODS if len(found.of(method)) > 1]
    cs = [cell.C for cell in found.of(IEMMC)]
    head = " | ".join(f"C = {C:g}" for C in cs if C is not None)
    rows = [f"| accuracy, clustered | {head} |", "|---|" + "---:|" * len(cs)]
    rows += [
        f"| {method.label} | {' | '.join(cell.percent(ACCURACY) for cell in found.of(method))} |"
        for method in methods
    ]
    rows += ["", f"| J of the first split | {head} |", "|---|" + "---:|" * len(cs)]
    for method in methods:
        ranges = [_range(cell.objectives()) for cell in found.of(method)]
        if any(ranges):
            rows.append(f"| {method.label} | {' | '.join(ranges)} |")
    return "\n".join(rows)


def _by_bound(pooled: list[RunRecord]) -> str:
    bounds = sorted({b for run in pooled if (b := option_of(run, "balance")) is not None})
    experiments = {bound: experiment_of(pooled, bound) for bound in bounds}
    cs = [cell.C for cell in experiments[BALANCE].of(IEMMC)]
    head = " | ".join(f"C = {C:g}" for C in cs if C is not None)
    rows = [f"| method | l | {head} |", "|---|---:|" + "---:|" * len(cs)]
    for method in METHODS:
        for bound, found in experiments.items():
            cells = {cell.C: cell for cell in found.of(method)}
            if cells and option_of(found.of(method)[0].runs[0], "balance") is not None:
                values = [cells[C].percent(ACCURACY) if C in cells else "–" for C in cs]
                rows.append(f"| {method.label} | {bound:g} | {' | '.join(values)} |")
    return "\n".join(rows)


def _range(values: list[float]) -> str:
    return f"{min(values):.4f}–{max(values):.4f}" if values else ""


def _by_class(found: Experiment) -> str:
    names = found.best(IEMMC).runs[0].classes
    head: Mapping[str, str] = {"se": "Se", "spe": "Spe", "acc": "Acc"}
    titles = " | ".join(f"{name} {label}" for name in names for label in head.values())
    rows = [f"| method | {titles} |", "|---|" + "---:|" * (len(names) * len(head))]
    for method in METHODS:
        cell = found.best(method)
        cells = [
            percent(cell.values(f"clustered_{score}_{name.lower()}"))
            for name in names
            for score in head
        ]
        rows.append(f"| {method.label} | {' | '.join(cells)} |")
    return "\n".join(rows)
