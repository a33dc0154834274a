"""The report of the suite ``iemmc-records``, and the table of both readings, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import features_report
import numpy as np
from evidence import Claim
from experiment import (
    ACCURACY,
    IEMMC,
    ITERSVR_K_MEANS,
    K_MEANS,
    RANDOM,
    SVM,
    Experiment,
    method_of,
    option_of,
    percent,
)
from features_report import WITHIN as WITHIN_DATASET
from numpy.typing import NDArray
from within import METHODS, RULES, Within, check_within, chosen, names_of

from nasbench_ecg.contracts import Task
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.statistics import holm, paired_p_value
from nasbench_ecg.text import p_value
from nasbench_ecg_immune.clustering import record_tasks

BOUND = 0.3
"""The bound whose values the table of claims shows: it allows sides of 35 to 65%."""

_TEXT = """\
# IEMMC within one person

The second reading of Zhu et al. 2013: the beats of one record, which is one person, are clustered
on their own into two clusters, and a cluster stands for N or for all other beats by majority. The
first reading, all beats of seven records in five clusters, is in the [report](../iemmc/README.md)
of the suite `iemmc`, with the claims of both readings side by side. Written by
`python benchmarks/claims` from {n_runs} runs of `nasbench-ecg suite run iemmc-records`.

{n_beats:,} beats, 144 N and 96 others of each of {n_records} records: all of MIT-BIH that have as
many on a usable lead MLII. Values are those of all clustered beats (four in five) and their
deviation over the repetitions, in percent; where C is chosen without labels, they are means over
the records. Repetitions: {n_seeds}.

**The sample itself favors some bounds.** Two in five beats are not N, so l = 0.2 or more allows the
true classes, and l = 0.3 excludes the most unequal splits. A clinician does not know that share;
see *Another share of normal beats* below.

## Claims by balance bound

A claim that compares accuracies is shown to hold, or not to, where a permutation test over the
records has p < 0.05 for its comparisons, after Holm's correction for all comparisons of this table
at all l. It holds in the mean, or not, where the test does not show it. For each record, the mean
of the repetitions counts. The claim on N compares classes over the repetitions, which are too few
for a test. C is chosen for each method by the accuracy that is compared. The last three claims are
counts of runs, without a test.

{claims}

## Accuracy by bound and C

{by_bound}

Without a bound: {without}.

## C and l chosen without labels

{rules}

At l = {swept} IEMMC was run with random start alone.

Every row chooses, for IEMMC with random start, among the settings of its column. J falls with C and
with l whatever the beats are, so the smallest J chooses the largest C, and nearly always the
loosest bound. The share of the variance that J leaves is J/(n(1 − ȳ²)).

## Held-out beats

One in five beats is not clustered; functions fitted to the clusters of its record assign it.

{held_out}

## Each record

l = {bound:g}, for each method the C with the best mean over all records.

{records}

{paired}

## Another share of normal beats

216 N and 24 others of the same records, IEMMC with random start and C = 1. All beats in one class
would have 90.0.

{other}

## Other features

{features}
"""


def both_readings(pooled: Sequence[Claim], within: Within) -> str:
    """Return the table of claims with the outcome of both readings."""
    outcomes = _outcomes(within)
    rows = [
        "| claim | pooled: five classes, seven records | within a record: N against others, by l |",
        "|---|---|---|",
    ]
    for number, claim in enumerate(pooled):
        rows.append(f"| {claim.words} | {claim.verdict} | {_by_bound(within, outcomes, number)} |")
    return "\n".join(rows)


def text(within: Within, task: Task, features: Sequence[RunRecord]) -> str:
    """Return the report of the reading within records.

    Args:
        within: Its runs.
        task: The task that the strategies were given.
        features: The runs of the suite ``iemmc-features``.
    """
    found = within.at(BOUND)
    index = {name: own for name, _, own in record_tasks(task)}
    run = found.of(IEMMC)[0].runs[0]
    assert run.dataset is not None
    return _TEXT.format(
        n_runs=len({r.run_key for e in within.experiments for r in e.records()})
        + len(within.other_share),
        n_beats=sum(run.dataset.counts.values()),
        n_records=len(run.dataset.records),
        n_seeds=", ".join(
            f"{min(len(cell.runs) for cell in e.of(IEMMC))} at l = {bound:g}"
            for bound, e in zip(within.bounds, within.experiments, strict=True)
        ),
        claims=_claims(within),
        by_bound=_accuracies(within),
        without=", ".join(
            f"{method.label} {found.best(method).percent(ACCURACY)}"
            + (f" (C = {found.best(method).C:g})" if found.best(method).C else "")
            for method in (K_MEANS, SVM, RANDOM)
        ),
        rules=_rules(within, index),
        held_out=_held_out(within),
        bound=BOUND,
        swept=" and ".join(f"{b:g}" for b in within.bounds if b not in within.claimed),
        features=features_report.text(features, WITHIN_DATASET),
        records=_records(found),
        paired=_paired(within),
        other=_other(within),
    )


def _outcomes(within: Within) -> list[list[Claim]]:
    return check_within([within.at(bound) for bound in within.claimed])


def _by_bound(within: Within, outcomes: Sequence[Sequence[Claim]], number: int) -> str:
    """Return the outcomes of one claim with the bounds at which each occurred, and the evidence."""
    bounds: dict[str, list[str]] = {}
    evidence = [claims[number].evidence for claims in outcomes]
    for bound, claims, own in zip(within.claimed, outcomes, evidence, strict=True):
        shown = f" ({own})" if len(set(evidence)) > 1 else ""
        bounds.setdefault(claims[number].outcome, []).append(f"{bound:g}{shown}")
    if len(bounds) == 1 and len(set(evidence)) == 1:
        outcome = next(iter(bounds))
        everywhere = outcome if outcome == "not testable" else f"{outcome} at every l"
        return f"{everywhere} ({evidence[0]})" if evidence[0] else everywhere
    return "; ".join(f"{outcome} at l = {', '.join(own)}" for outcome, own in bounds.items())


def _claims(within: Within) -> str:
    outcomes = _outcomes(within)
    shown = outcomes[within.claimed.index(BOUND)]
    rows = [f"| claim | test | outcome | values at l = {BOUND:g} |", "|---|---|---|---|"]
    rows += [
        f"| {claim.words} | {claim.test} | **{_by_bound(within, outcomes, number)}** "
        f"| {claim.figures} |"
        for number, claim in enumerate(shown)
    ]
    return "\n".join(rows)


def _accuracies(within: Within) -> str:
    cs = [cell.C for cell in within.at(BOUND).of(IEMMC)]
    head = " | ".join(f"C = {C:g}" for C in cs if C is not None)
    rows = [f"| method | l | {head} |", "|---|---:|" + "---:|" * len(cs)]
    for method in METHODS[:4]:
        for bound, found in zip(within.bounds, within.experiments, strict=True):
            if not found.of(method):
                continue
            values = " | ".join(cell.percent(ACCURACY) for cell in found.of(method))
            rows.append(f"| {method.label} | {bound:g} | {values} |")
    return "\n".join(rows)


def _rules(within: Within, index: dict[str, NDArray[np.int64]]) -> str:
    columns = {f"C at l = {bound:g}": [cell.runs for cell in found.of(IEMMC)]
               for bound, found in zip(within.bounds, within.experiments, strict=True)}  # fmt: skip
    columns["C and l"] = [runs for cells in columns.values() for runs in cells]
    rows = [f"| chosen by | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    for words, rule in RULES.items():
        values = [f"{100 * chosen(cells, rule, index):.1f}" for cells in columns.values()]
        rows.append(f"| {words} | {' | '.join(values)} |")
    return "\n".join(rows)


def _held_out(within: Within) -> str:
    rows = ["| method | l | C | clustered | held out |", "|---|---:|---:|---:|---:|"]
    for method in METHODS:
        for bound, found in zip(within.bounds, within.experiments, strict=True):
            if not found.of(method):
                continue
            cell = found.best(method)
            if bound != BOUND and option_of(cell.runs[0], "balance") is None:
                continue
            has_bound = option_of(cell.runs[0], "balance") is not None
            rows.append(
                f"| {method.label} | {f'{bound:g}' if has_bound else '–'} "
                f"| {'–' if cell.C is None else f'{cell.C:g}'} | {cell.percent(ACCURACY)} "
                f"| {cell.percent('accuracy')} |"
            )
    return "\n".join(rows)


def _records(found: Experiment) -> str:
    methods = METHODS[:6]
    cells = [found.best(method) for method in methods]
    rows = [f"| record | {' | '.join(m.label for m in methods)} |", "|---|" + "---:|" * len(cells)]
    for name in names_of(cells[0].runs):
        values = " | ".join(cell.percent(f"clustered_accuracy_{name}") for cell in cells)
        rows.append(f"| {name} | {values} |")
    return "\n".join(rows)


def _paired(within: Within) -> str:
    """Return how often IEMMC is above and below other methods over the records, and p values."""
    rows: list[str] = []
    p_values: list[float] = []
    for bound in within.claimed:
        found = within.at(bound)
        ours = found.best(IEMMC)
        for method in (K_MEANS, ITERSVR_K_MEANS):
            gaps = np.array(
                [
                    ours.mean(f"clustered_accuracy_{name}")
                    - found.best(method).mean(f"clustered_accuracy_{name}")
                    for name in names_of(ours.runs)
                ]
            ).round(6)
            p_values.append(paired_p_value(gaps.tolist(), [0.0] * len(gaps)))
            rows.append(
                f"| {bound:g} | {method.label} | {100 * gaps.mean():+.1f} | {(gaps > 0).sum()} "
                f"| {(gaps < 0).sum()} | {p_value(p_values[-1])} |"
            )
    rows = [f"{row} {p_value(p)} |" for row, p in zip(rows, holm(p_values), strict=True)]
    head = "| l | IEMMC against | mean difference | records above | below | p | p (Holm) |"
    return "\n".join([
        "IEMMC with random start, record by record. p is that of a permutation test over the",
        "records, which flips the signs of differences; Holm corrects it for the rows of this",
        "table.", "",
        head, "|---:|---|---:|---:|---:|---:|---:|", *rows,
    ])  # fmt: skip


def _other(within: Within) -> str:
    groups: dict[tuple[str, str], list[RunRecord]] = {}
    for run in within.other_share:
        bound = option_of(run, "balance")
        key = (method_of(run).label, "–" if bound is None else f"{bound:g}")
        groups.setdefault(key, []).append(run)
    rows = ["| method | l | accuracy | Se of others |", "|---|---:|---:|---:|"]
    for (label, bound), runs in sorted(groups.items()):
        rows.append(
            f"| {label} | {bound} | {percent([r.metrics[ACCURACY] for r in runs])} "
            f"| {percent([r.metrics['clustered_se_other'] for r in runs])} |"
        )
    return "\n".join(rows)
