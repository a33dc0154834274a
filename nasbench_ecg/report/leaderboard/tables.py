"""A leaderboard as tables, with the footnotes that a reader needs."""

from __future__ import annotations

from collections.abc import Collection
from math import sqrt
from statistics import mode

from nasbench_ecg.options import short_names
from nasbench_ecg.report.leaderboard.columns import leaderboard_columns, pareto_meaning
from nasbench_ecg.report.leaderboard.overlap import Overlap, shares_text
from nasbench_ecg.report.leaderboard.published import (
    dataset_remark,
    published_scores,
    strategy_remarks,
)
from nasbench_ecg.report.leaderboard.types import Format, Leaderboard, Row
from nasbench_ecg.report.leaderboard.verdicts import chance_text, difference_text
from nasbench_ecg.report.measures import GROSS_SCORES, OWN_SCORE, RANKED_BY
from nasbench_ecg.report.statistics.datasets import CriticalDifference
from nasbench_ecg.report.statistics.patient_permutation import smallest_person_p_value
from nasbench_ecg.report.statistics.seed_noise import interval_text, noise_text
from nasbench_ecg.report.table import Cell, Column, Kind, Table, TableRow
from nasbench_ecg.run.option_text import value_text
from nasbench_ecg.statistics import (
    MIN_VALUES_FOR_INTERVAL,
    SIGNIFICANCE,
    min_pairs_for_significance,
    smallest_paired_p_value,
)
from nasbench_ecg.text import counted, p_value, seeds_text

_FEW_DATASETS = 10
_EXPLAINED = ("method", "F1", "F1 folds", "score", "over patients", "vs random", "Pareto")
_GROSS = (
    "S/V Se, +P: gross sensitivity and positive predictivity of supraventricular and ventricular "
    "beats (EC57)"
)
_PAIRED = (
    "Difference of the mean score, of F1 in points, over paired seeds; p-value of a permutation "
    "test, and the same corrected for all pairs (Holm)"
)
_PAIRED_PATIENTS = "; p-values of exchanging two methods in each test patient, likewise"
_BOLD = f"Bold: below {SIGNIFICANCE} after the correction."
_OVER_PATIENTS = {
    "patients": "number of persons of the test part",
    "p, patients": "p-value of exchanging the two methods in each test person",
    "p, patients (Holm)": "the same, corrected for all comparisons of the leaderboard",
}


def leaderboard_table(board: Leaderboard, form: Format) -> Table:
    """Return a leaderboard as a table: our rows in order, then the published methods."""
    columns = leaderboard_columns(board, form)

    def kind(row: Row) -> Kind:
        return "unranked" if row.rank is None else "first" if row.rank == 1 else ""

    ours = [TableRow(tuple(c.ours(row) for c in columns), kind(row)) for row in board.rows]
    theirs = [
        TableRow(tuple(c.theirs(figure) for c in columns), "published")
        for figure in board.published
    ]
    return Table(
        title=str(board.track),
        columns=tuple(column.column for column in columns),
        rows=(*ours, *theirs),
        options=tuple(f"{name}={value_text(value)}" for name, value in board.options.items()),
        footnotes=tuple(footnotes(board, {column.column.heading for column in columns})),
    )


def comparison_table(board: Leaderboard) -> Table | None:
    """Return the paired tests of a leaderboard, None if none of them can tell two methods apart."""
    if not _tests_can_conclude(board):
        return None
    over_patients = any(found.n_persons for found in board.comparisons)
    columns = (
        Column("method", numeric=False),
        Column("other", numeric=False),
        Column("pairs", "number of seeds that both have"),
        Column("F1 points", "difference of mean F1, in points")
        if board.ranked_by == RANKED_BY
        else Column("difference", "difference of the mean score"),
        Column("p", "p-value of a paired permutation test"),
        Column("p (Holm)", "p-value corrected for all comparisons of the leaderboard"),
        *(Column(heading, meaning) for heading, meaning in _OVER_PATIENTS.items() if over_patients),
    )
    rows = []
    for found in board.comparisons:
        cells = [
            Cell(board.label(board.rows[found.first])),
            Cell(board.label(board.rows[found.second])),
            Cell(str(found.n)),
            Cell(difference_text(board, found.difference)),
            Cell(p_value(found.p)),
            _adjusted(found.p_adjusted),
        ]
        if over_patients:
            p = "" if found.p_persons is None else p_value(found.p_persons)
            cells += [
                Cell(str(found.n_persons or "")), Cell(p), _adjusted(found.p_persons_adjusted)
            ]  # fmt: skip
        rows.append(TableRow(tuple(cells)))
    notes = (f"{_PAIRED}{_PAIRED_PATIENTS if over_patients else ''}. {_BOLD}",)
    return Table(f"{board.track}: paired permutation tests", columns, tuple(rows), (), notes)


def _adjusted(p: float | None) -> Cell:
    return Cell() if p is None else Cell(p_value(p), strong=p < SIGNIFICANCE)


def rank_table(name: str, found: CriticalDifference) -> Table:
    """Return the average ranks of methods over several datasets."""
    return Table(
        title=name,
        columns=(Column("method", numeric=False), Column("average rank", best="low")),
        rows=tuple(
            TableRow((Cell(method), Cell(f"{rank:.2f}", rank)))
            for method, rank in zip(found.methods, found.ranks, strict=True)
        ),
        footnotes=(across_datasets_text(found),),
    )


# Footnotes


def footnotes(board: Leaderboard, headings: Collection[str]) -> list[str]:
    """Return what a reader must know of a leaderboard with these headings, in sentences."""
    notes = []
    if board.usual:
        usual = [f"{n.partition('.')[2]}={value_text(v)}" for n, v in board.usual.items()]
        notes.append(f"Unless a row names another value: {', '.join(usual)}.")
    if board.seeds:
        spread = ": mean ± standard deviation" if len(board.seeds) > 1 else ""
        if any(row.ranking is not None and row.ranking.interval for row in board.rows):
            spread += " [95% interval of the mean over seeds, by the studentized bootstrap]"
        with_f1 = any(RANKED_BY in row.scores for row in board.rows)
        notes.append(
            f"Percentages over {seeds_text(board.seeds)}{spread}. "
            f"F1 is the harmonic mean of macro Se and macro +P{_over_classes(board)}."
            if with_f1
            else f"Scores over {seeds_text(board.seeds)}{spread}."
        )
        notes += limits_of_few_seeds(board)
    if board.ranked_by == RANKED_BY and (noise := seed_text(board)):
        notes.append(noise)
    for space, measured in board.seed_noise.items():
        if said := noise_text(space, measured):
            notes.append(f"{said} {interval_text(measured)}".rstrip())
    if "over patients" in headings:
        persons = sorted({row.patients.n_persons for row in board.rows if row.patients})
        notes.append(
            "over patients: 95% interval of the mean, from resampling the "
            f"{' or '.join(map(str, persons))} persons of the test part with all their beats."
        )
    notes += _about_majorities(board)
    notes += _about_folds(board)
    if board.ranked_by == OWN_SCORE:
        notes.append(_about_own_score(board))
    if "vs random" in headings:
        notes.append(
            "vs random: relative improvement of mean F1 over random architectures from the same "
            "space with the same training recipe (if there are several such rows, the one that "
            "evaluated the fewest candidates); with Fieller's 95% interval from "
            f"{MIN_VALUES_FOR_INTERVAL} runs of both."
        )
    if columns := _about_columns(board, headings):
        notes.append(columns)
    if "Pareto" in headings:
        notes.append(f"Pareto: {pareto_meaning(board)}.")
    if len(board.processors) > 1:
        listed = ", ".join(f"{name} ({counted(n, 'run')})" for name, n in board.processors.items())
        notes.append(
            f"Latencies and durations do not compare, and have no Pareto front, since they are of "
            f"several processors: {listed}."
        )
    if chance := chance_text([board]):
        notes.append(f"On this leaderboard: {chance[0].lower()}{chance[1:]}")
    if any(row.missing for row in board.rows):
        notes.append("Methods without a result for every seed are not ranked.")
    notes += strategy_remarks(row.strategy for row in board.rows)
    notes += _about_persons(board)
    if board.n_others:
        others = (
            "the other leaderboard"
            if board.n_others == 1
            else f"the {board.n_others} other leaderboards"
        )
        notes.append(
            f"Do not compare with {others} of this track: beats, split or classes differ. Here: "
            f"beats {board.dataset_fingerprint[:8]}, split {board.split_fingerprint[:8]}."
        )
    return notes


def _about_own_score(board: Leaderboard) -> str:
    """Return that the evaluator's own score ranks, and its options that may change what it is."""
    note = "Ranked by the evaluator's own score; larger is better."
    names = {name for row in board.rows for name in row.options if name.startswith("evaluator.")}
    if not names:
        return note
    short = short_names(names)
    return (
        f"{note} Rows that differ in {', '.join(short[n] for n in sorted(names))} may have "
        "scores of different meaning."
    )


def _about_columns(board: Leaderboard, headings: Collection[str]) -> str:
    """Return what the columns hold that no other sentence is about."""
    meanings = {
        column.column.heading: column.column.meaning.removesuffix(", in percent")
        for column in leaderboard_columns(board, "html")
    }
    gross = {measure.heading for measure in GROSS_SCORES.values()}
    said = dict.fromkeys(
        _GROSS if heading in gross else f"{heading}: {meaning}"
        for heading, meaning in meanings.items()
        if heading in headings
        and heading not in _EXPLAINED
        # Of a score of the evaluator's own, no more than its name is known.
        and not meaning.startswith(f"{heading},")
    )
    return f"{'; '.join(said)}." if said else ""


def seed_text(board: Leaderboard) -> str:
    """Return how much of the differences of a leaderboard is the seed; empty if it is not known.

    The standard deviation of a run around the mean of its method is pooled over the methods, and
    that of a difference of two means follows from the number of runs that most methods have.
    """
    found = [row.ranking for row in board.rows if row.ranking is not None]
    several = [summary for summary in found if summary.n > 1 and summary.sd is not None]
    if len(several) < 2 or board.n_searches < len(board.seeds):
        return ""
    freedom = sum(summary.n - 1 for summary in several)
    pooled = sqrt(sum((one.n - 1) * (one.sd or 0.0) ** 2 for one in several) / freedom)
    n = mode(summary.n for summary in several)
    return (
        f"How much is the seed: a run lies {100 * pooled:.2f} points around the mean of its method "
        f"(standard deviation, pooled over {len(several)} methods), which alone gives a difference "
        f"of two means of {n} runs a standard deviation of {100 * pooled * sqrt(2 / n):.2f} points."
    )


def _about_majorities(board: Leaderboard) -> list[str]:
    """Return which classes are mostly beats of one test person, as a sentence."""
    if not board.majorities:
        return []
    listed = ", ".join(f"{m.label} ({m.share:.0%} {m.person})" for m in board.majorities)
    return [
        f"Half of the test beats or more are of one person: {listed}. Scores of such a class "
        "depend on that person at least as much as on all others together."
    ]


def _about_persons(board: Leaderboard) -> list[str]:
    """Return which records are of persons who are elsewhere, too, in sentences."""
    notes = []
    if board.shared_persons:
        n = len(board.shared_persons)
        notes.append(
            f"The records are kept apart, but {counted(n, 'person')} of the test part "
            f"{'has another record' if n == 1 else 'have other records'} in the training or "
            f"validation part: {', '.join(board.shared_persons)}."
        )
    for overlap in board.searched:
        what = f"the persons on whom architectures were searched on {overlap.dataset}"
        if not overlap.shared:
            notes.append(f"No record is of {what} ({overlap.protocol}).")
            continue
        notes.append(
            f"{_records_text(overlap)} of {what} ({overlap.protocol}). Scores on them do not show "
            "that an architecture applies to other persons."
            if overlap.kept
            else f"{_records_text(overlap)} of {what} ({overlap.protocol}), and left out here."
        )
    notes += [
        f"{_records_text(overlap)} of persons who are also in {overlap.dataset} "
        f"({overlap.protocol}): results on both are not independent."
        for overlap in board.also_in
    ]
    if board.published and (remark := dataset_remark(board.track.dataset)):
        notes.append(remark)
    if not board.published and published_scores(board.track.dataset, board.track.protocol):
        notes.append(
            "Published scores are of all records and of the beat alone, so they are not shown."
        )
    return notes


def _records_text(overlap: Overlap) -> str:
    """Return which records are shared, and the share of the beats in them."""
    shown = overlap.kept or overlap.excluded
    shares = shares_text(overlap) if shown == overlap.shared else ""
    beats = f", with these beats: {shares}," if shares else ""
    are = "is" if len(shown) == 1 else "are"
    return f"{len(shown)} of {overlap.n_records} records ({', '.join(shown)}){beats} {are}"


def _about_folds(board: Leaderboard) -> list[str]:
    """Return how the results of several folds are one row, in sentences."""
    found = [row.folds for row in board.rows if row.folds]
    if not found:
        return []
    notes = [
        f"Each result is of {found[0].k} folds, which test every beat once: scores are those of "
        "the summed confusion matrix. The columns of folds have the mean ± standard deviation of "
        "the folds' own scores. Costs, durations and evaluations are means over the folds.",
    ]
    if not all(folds.from_matrix for folds in found):
        notes.append("If an evaluator gives no confusion matrix, scores are means over the folds.")
    if any(folds.missing for folds in found):
        notes.append("Results without all folds are not ranked: run the same command again.")
    return notes


def _over_classes(board: Leaderboard) -> str:
    return f", means over {', '.join(board.macro_classes)}" if board.macro_classes else ""


def limits_of_few_seeds(board: Leaderboard) -> list[str]:
    """Return what cannot be concluded from the seeds of a leaderboard, as sentences."""
    n, tests = board.n_searches, len(board.comparisons)
    notes = []
    if n < len(board.seeds):
        notes.append(
            "Runs with one seed of the search are trainings of one architecture: in intervals and "
            f"tests over seeds they count as one run. So there are {n} of them."
        )
    if n < MIN_VALUES_FOR_INTERVAL:
        notes.append(
            f"Fewer than {MIN_VALUES_FOR_INTERVAL} seeds give no interval: the ranking may be due "
            "to chance."
        )
    if tests and n < min_pairs_for_significance(tests):
        listed = "" if _tests_can_conclude(board) else " The tests of all pairs are not listed."
        smallest = min(1.0, tests * smallest_paired_p_value(n))
        seeds = "One seed" if n == 1 else f"{n} seeds"
        notes.append(
            f"{seeds} cannot distinguish any two of these methods: the smallest p-value after "
            f"correction for {'one comparison' if tests == 1 else f'{tests} comparisons'} is "
            f"{smallest:.2g}.{listed}"
        )
    return notes


def _tests_can_conclude(board: Leaderboard) -> bool:
    """Return whether seeds or test persons are enough for some test to reach the 5% level."""
    tests = board.comparisons
    if not tests:
        return False
    persons = [found.n_persons for found in tests if found.n_persons]
    return tests[0].n >= min_pairs_for_significance(len(tests)) or any(
        len(persons) * smallest_person_p_value(n) <= SIGNIFICANCE for n in persons
    )


def across_datasets_text(found: CriticalDifference) -> str:
    """Return the results of the tests over several datasets, in sentences."""
    groups = [", ".join(found.methods[first : last + 1]) for first, last in found.groups]
    n = len(found.datasets)
    sentences = [
        f"Average ranks over {', '.join(found.datasets)}; 1 is best.",
        friedman_text(found),
        f"Average ranks differ at the 5% level from a difference of {found.difference:.2f} "
        "(Nemenyi's test).",
        f"Not significantly different: {'; '.join(groups)}." if groups else "",
        f"Over only {n} datasets, few differences are significant." if n < _FEW_DATASETS else "",
        left_out_text(found),
    ]
    return " ".join(filter(None, sentences))


def friedman_text(found: CriticalDifference) -> str:
    """Return the result of Friedman's test in a sentence."""
    p = p_value(found.p)
    return f"Friedman's test that all methods are equal: p {p if p[0] == '<' else f'= {p}'}."


def left_out_text(found: CriticalDifference) -> str:
    """Return a sentence on the methods that were left out; empty if there are none."""
    if not found.left_out:
        return ""
    methods = [f"{method} (not on {', '.join(lacking)})" for method, lacking in found.left_out]
    return f"Left out, because not ranked on every dataset: {'; '.join(methods)}."
