"""Searches compared on a table, as tables for every format and as JSON data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from nasbench_ecg.contracts import Budget
from nasbench_ecg.errors import OptionError, nearest
from nasbench_ecg.io import to_json
from nasbench_ecg.report.render import FORMATS, render_tables
from nasbench_ecg.report.table import Cell, Table, text_table
from nasbench_ecg.statistics import CONFIDENCE
from nasbench_ecg.tables.comparison import Comparison, Curve, Outcome, SearchComparison, Winner
from nasbench_ecg.tables.table import Table as TrainedTable
from nasbench_ecg.text import amount, difference, duration, p_value, percent

_WORDS = {
    "parameters": "parameters",
    "macs": "MACs",
    "flash_bytes": "flash bytes",
    "ram_bytes": "RAM bytes",
}
"""Costs in words."""


def title(table: TrainedTable) -> str:
    """Return the title of a report: space, track, and how complete the table is."""
    card = table.card
    state = "" if table.complete == 1 else f" (incomplete: {completeness(table)})"
    return f"Searches of {card.space.name} on {card.track}{state}"


def completeness(table: TrainedTable) -> str:
    """Return how many members are trained, in words."""
    n = int(table.available.sum())
    return f"{n:,} of {table.card.members:,} members are trained"


def summary_tables(table: TrainedTable, found: SearchComparison) -> list[Table]:
    """Return all verdicts, and the regret of every search at each budget."""
    shown = [*_verdict_tables(table, found), _regret_table(found)]
    last = replace(shown[-1], footnotes=(*shown[0].footnotes, *shown[-1].footnotes))
    return _titled(table, [*(replace(one, footnotes=()) for one in shown[:-1]), last])


def tables(table: TrainedTable, found: SearchComparison) -> list[Table]:
    """Return all verdicts; scores, hypervolumes and pairs of each budget; curves and winners."""
    shown = _verdict_tables(table, found)
    for outcome in found.outcomes:
        shown.append(_score_table(table, found, outcome))
        if outcome.hypervolumes:
            shown.append(_volume_table(table, found, outcome))
    shown += [_pairs_table(table, outcome) for outcome in found.outcomes]
    for by in ("evaluation", "seconds"):
        curves = [curve for curve in found.curves if curve.by == by]
        if curves:
            shown += _curve_tables(table, curves, found.costs)
    if found.winners:
        shown.append(_winner_table(table, found))
    if found.settings:
        shown.append(_settings_table(table, found))
    return _titled(table, shown)


def render(table: TrainedTable, found: SearchComparison, form: str) -> str:
    """Return the whole report in a format of :mod:`nasbench_ecg.report.render`, or as ``json``.

    Raises:
        OptionError: There is no such format.
    """
    if form == "json":
        return to_json(as_data(table, found))
    if form not in FORMATS:
        raise OptionError(f"There is no format {form!r}.", fix=nearest(form, [*FORMATS, "json"]))
    return render_tables(tables(table, found), title(table), form)


def _titled(table: TrainedTable, shown: list[Table]) -> list[Table]:
    """Return tables whose titles say that members are missing, if they are."""
    if table.complete == 1:
        return shown
    state = f"incomplete table: {completeness(table)}"
    return [replace(one, title=f"{one.title} ({state})") for one in shown]


def as_data(table: TrainedTable, found: SearchComparison) -> dict[str, Any]:
    """Return a comparison as JSON data."""
    card = table.card
    return {
        "space": card.space.name,
        "dataset": card.dataset.name,
        "protocol": card.protocol,
        "members": card.members,
        "trained": int(table.available.sum()),
        "table": card.sha256,
        "seed": found.seed,
        "scores": found.scores,
        "settings": [asdict(one) for one in found.settings],
        "baseline": found.baseline,
        "best": found.best,
        "outcomes": [
            {
                "budget": outcome.budget.limits(),
                "scores": [_row(one) for one in outcome.scores],
                "hypervolumes": {
                    cost: [_row(one) for one in rows] for cost, rows in outcome.hypervolumes.items()
                },
                "superiority": [
                    {"search": a, "than": b, "probability": p}
                    for (a, b), p in outcome.superiority.items()
                ],
            }
            for outcome in found.outcomes
        ],
        "curves": [asdict(curve) for curve in found.curves],
        "winners": [
            {
                "label": one.label,
                "budget": one.budget.limits(),
                "architecture": one.architecture.to_dict(),
                "share": one.share,
                "score": one.score,
                "costs": dict(one.costs),
            }
            for one in found.winners
        ],
    }


def _row(one: Comparison) -> dict[str, Any]:
    return {**asdict(one), "better": one.better, "worse": one.worse}


def budget_text(budget: Budget) -> str:
    """Return a budget in words."""
    if budget.evaluations is not None:
        return f"{budget.evaluations} evaluation{'s' if budget.evaluations != 1 else ''}"
    seconds = budget.seconds or 0.0
    return f"{duration(seconds, exact=seconds < 1)} simulated"


def _state(table: TrainedTable) -> str:
    if table.complete == 1:
        return "Every member of the table is trained."
    return (
        f"The table is incomplete: {completeness(table)}. Searches see only these, so the figures "
        "say little about the whole space."
    )


def _seen(found: SearchComparison) -> list[str]:
    """Return a note if searches see what no search outside a table can."""
    if found.scores == "one-seed":
        return []
    return ["Searches see the mean validation score over the first three seeds of a member."]


def _verdict_tables(table: TrainedTable, found: SearchComparison) -> list[Table]:
    """Return the verdicts of each measure: a row for each search, a column for each budget."""
    measured = {"Verdicts on the found member": [o.scores for o in found.outcomes]}
    for cost in found.costs:
        title = f"Verdicts on the found front of F1 and {_WORDS[cost]}"
        measured[title] = [outcome.hypervolumes[cost] for outcome in found.outcomes]
    headings = ["search", "n", *_budgets(found)]
    note = (
        f"better or worse than {found.baseline}, where the interval of the difference and the "
        "corrected test both say so; −: not shown. Times are simulated. n: repetitions."
    )
    return [
        text_table(
            title,
            headings,
            _verdict_rows(rows, found.baseline),
            [note, *_seen(found), _state(table)],
        )
        for title, rows in measured.items()
    ]


def _verdict_rows(
    by_budget: Sequence[Sequence[Comparison]], baseline: str
) -> list[tuple[Cell | str, ...]]:
    labels = dict.fromkeys(one.label for row in by_budget for one in row if one.label != baseline)
    by_label = [{one.label: one for one in row} for row in by_budget]
    rows: list[tuple[Cell | str, ...]] = []
    for label in labels:
        ran = [found.get(label) for found in by_label]
        n = next(one.repetitions for one in ran if one is not None)
        verdicts = [one.verdict.replace("not shown", "−") if one else "" for one in ran]
        rows.append((label, str(n), *verdicts))
    return rows


def _budgets(found: SearchComparison) -> list[str]:
    return [budget_text(one.budget).removesuffix(" simulated") for one in found.outcomes]


def _regret_table(found: SearchComparison) -> Table:
    """Return the regret of the found member: a row for each search, a column for each budget."""
    labels = dict.fromkeys(one.label for outcome in found.outcomes for one in outcome.scores)
    by_label = [{one.label: one for one in outcome.scores} for outcome in found.outcomes]
    rows = [
        (label, *(_regret(found.best, at[label]) if label in at else "" for at in by_label))
        for label in labels
    ]
    note = (
        "regret: best F1 of the table minus test F1 of the found member, median and quartiles over "
        "repetitions, in points."
    )
    return text_table("Regret of the found member", ["search", *_budgets(found)], rows, [note])


def _regret(best: float, one: Comparison) -> Cell:
    low, middle, high = (best - value for value in reversed(one.quartiles))
    return Cell(percent(middle), middle, interval=(percent(low), percent(high)))


def _score_table(table: TrainedTable, found: SearchComparison, outcome: Outcome) -> Table:
    rows: list[tuple[Cell | str, ...]] = [
        (
            one.label,
            str(one.repetitions),
            percent(one.mean),
            _regret(found.best, one),
            f"{one.rank:.2f}",
            *_against_baseline(one),
        )
        for one in outcome.scores
    ]
    headings = ["search", "n", "F1", "regret", "rank", "difference", "p", "superior", "verdict"]
    notes = [
        "F1: mean test F1 of the found member in percent, over n repetitions; a member's F1 is the "
        "mean over its first three seeds. regret: best F1 of the table minus that of the found "
        "member, median and quartiles, in points. rank: mean over "
        f"{_common(outcome)}, 1 the best.",
        f"difference: from {found.baseline} in the same repetitions, mean, in points; with "
        f"{CONFIDENCE:.0%} confidence all intervals of this measure in the report hold the true "
        "difference. p: Wilcoxon's signed-rank test, corrected by Holm over the "
        f"{found.n_comparisons} comparisons of F1. superior: probability that a repetition is "
        f"better than one of {found.baseline}, ties half. verdict: what interval and p both say.",
        *_seen(found),
        _state(table),
    ]
    return text_table(f"Found member, {budget_text(outcome.budget)}", headings, rows, notes)


def _common(outcome: Outcome) -> str:
    """Return the repetitions that ranks are over."""
    n = {one.repetitions for one in outcome.scores}
    return "repetitions" if len(n) == 1 else f"the first {min(n)} repetitions, which all have"


def _volume_table(table: TrainedTable, found: SearchComparison, outcome: Outcome) -> Table:
    labels = [one.label for one in outcome.scores]
    rows: list[tuple[Cell | str, ...]] = []
    for i, label in enumerate(labels):
        cells: list[Cell | str] = [label]
        for cost in found.costs:
            one = outcome.hypervolumes[cost][i]
            low, middle, high = one.quartiles
            cells.append(Cell(f"{middle:.3f}", middle, interval=(f"{low:.3f}", f"{high:.3f}")))
            cells.append(one.verdict)
        rows.append(tuple(cells))
    headings = ["search"]
    for cost in found.costs:
        headings += [f"F1 and {_WORDS[cost]}", "verdict"]
    notes = [
        "Hypervolume of test F1 and the logarithm of the cost, as a share of that of the table's "
        "own front; median and quartiles over repetitions. verdict: better or worse than "
        f"{found.baseline}, where interval and corrected test both say so.",
        _state(table),
    ]
    return text_table(f"Found front, {budget_text(outcome.budget)}", headings, rows, notes)


def _pairs_table(table: TrainedTable, outcome: Outcome) -> Table:
    labels = [one.label for one in outcome.scores]
    rows = [
        (a, *("" if a == b else f"{outcome.superiority[a, b]:.2f}" for b in labels)) for a in labels
    ]
    notes = [
        "Probability that a repetition of the row's search finds a member with a higher test F1 "
        "than one of the column's search, ties half.",
        _state(table),
    ]
    return text_table(
        f"Row better than column, {budget_text(outcome.budget)}", ["search", *labels], rows, notes
    )


def _curve_tables(
    table: TrainedTable, curves: Sequence[Curve], costs: Sequence[str]
) -> list[Table]:
    first = curves[0]
    by_seconds = first.by == "seconds"
    headings = [duration(p) if by_seconds else amount(p) for p in first.points]
    against = "simulated seconds" if by_seconds else "evaluations"

    def rows(name: str) -> list[tuple[Cell | str, ...]]:
        show = percent if name == "regret" else "{:.3f}".format
        return [
            (
                curve.label,
                *(
                    Cell(show(mid), mid, interval=(show(low), show(high)))
                    for low, mid, high in getattr(curve, name)
                ),
            )
            for curve in curves
        ]

    note = "Median and quartiles over repetitions, of the searches with the largest budget."
    found = [
        text_table(
            f"Regret against {against}, in points of F1",
            ["search", *headings],
            rows("regret"),
            [note, _state(table)],
        )
    ]
    if costs:
        found.append(
            text_table(
                f"Hypervolume of F1 and {_WORDS[costs[0]]} against {against}",
                ["search", *headings],
                rows("hypervolume"),
                [note, _state(table)],
            )
        )
    return found


def _winner_table(table: TrainedTable, found: SearchComparison) -> Table:
    rows: list[tuple[Cell | str, ...]] = [
        (
            one.label,
            str(one.budget.evaluations),
            _genotype(one),
            f"{one.share:.0%}",
            percent(one.score),
            *(amount(one.costs[cost]) for cost in found.costs),
        )
        for one in found.winners
    ]
    costs = [_WORDS[cost] for cost in found.costs]
    headings = ["search", "evaluations", "member", "found by", "F1", *costs]
    notes = [
        "The member that most repetitions of a search find with its largest budget of evaluations. "
        "found by: share of these repetitions. F1: mean test F1 of the member in percent.",
        _state(table),
    ]
    return text_table("Found most often", headings, rows, notes)


def _settings_table(table: TrainedTable, found: SearchComparison) -> Table:
    rows = [
        (
            one.label,
            one.strategy,
            ", ".join(
                f"{name}={json.dumps(value)}"
                for name, value in one.options.items()
                if value is not None
            ),
            one.set_by_budget or "",
        )
        for one in found.settings
    ]
    notes = [
        "options: without those that are null; limits of length are larger than any budget, which "
        "ends the search. budget sets: the option that a budget of evaluations is the value of.",
        f"Scores that searches see: {found.scores}. Seed of all repetitions: {found.seed}. SHA-256 "
        f"of the table: {table.card.sha256}.",
        _state(table),
    ]
    return text_table(
        "Settings of the searches", ["search", "strategy", "options", "budget sets"], rows, notes
    )


def _genotype(one: Winner) -> str:
    return "; ".join(
        f"{name} {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in one.architecture.genotype.items()
    )


def _against_baseline(one: Comparison) -> tuple[Cell | str, ...]:
    if one.difference is None or one.p is None:
        return "", "", "", "baseline"
    mean, low, high = one.difference
    return (
        Cell(difference(mean), mean, interval=(difference(low), difference(high))),
        p_value(one.p),
        f"{one.superiority:.2f}",
        one.verdict,
    )
