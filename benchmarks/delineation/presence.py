"""Fit and test the model of absent P waves: ``python benchmarks/delineation/presence.py``.

Prints the coefficients and the threshold of ``nasbench_ecg/signal/p_waves.py``, then what the
delineation finds and invents. The coefficients are fitted on the lead MLII of MIT-BIH without the
records of persons of QT; the threshold is the largest at which 97% of the marked P waves of one
half of QT's records are found. Records are searched in ``NASBENCH_ECG_DATA`` and in the cache.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import waves
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.physionet.catalog import record_names
from nasbench_ecg.signal import p_waves
from nasbench_ecg.signal.delineation import candidates
from nasbench_ecg.signal.filtering import adaptive_filter
from nasbench_ecg.signal.records import read_record
from nasbench_ecg_physionet.qt import Qt, QtOptions

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_PACED = ("107", "217")
_BEATS = list("NLRAaJSVFejE/fQ")
_SINUS = ("(N", "(SBR")
_FOUND = 0.97
_PER_CLASS = 200  # beats of one class of one record that count as so many


@dataclass(frozen=True, eq=False)
class Labeled:
    """The candidates of a record: measures, whether there is a P wave, and whether one was found.

    ``label`` is 1 with a P wave, 0 without one, -1 if it is not known.
    """

    name: str
    values: Floats
    label: Ints
    place: Floats

    @property
    def known(self) -> NDArray[np.bool_]:
        """The beats with a candidate and a label."""
        return (self.label >= 0) & ~np.isnan(self.place)


def mitdb(folder: Path, name: str) -> Labeled:
    """Return the beats of a record of MIT-BIH: N, L, R in sinus rhythm, in fibrillation, and V."""
    import wfdb

    record = read_record(folder, name)
    marks = wfdb.rdann(str(folder / name), "atr")
    symbols, rhythm, now = np.array(marks.symbol), [], ""
    for symbol, note in zip(marks.symbol, marks.aux_note, strict=True):
        now = "".join(filter(str.isprintable, note)).strip() if symbol == "+" else now
        rhythm.append(now)
    inside = (marks.sample > 0) & (marks.sample < record.signals.shape[1])
    kept = np.isin(symbols, _BEATS) & inside
    beats, symbols, rhythms = marks.sample[kept], symbols[kept], np.array(rhythm)[kept]
    found = candidates(adaptive_filter(record.signals[:1], record.fs)[0], record.fs, beats)
    label = np.full(len(beats), -1)
    supraventricular = np.isin(symbols, list("NLR"))
    label[supraventricular & np.isin(rhythms, _SINUS)] = 1
    label[supraventricular & (rhythms == "(AFIB")] = 0
    label[(symbols == "V") & (rhythms != "(VFL")] = 0
    return Labeled(name, p_waves.measures(found), label, found.p)


def fit(records: Sequence[Labeled]) -> tuple[Floats, float]:
    """Return weights and intercept; both labels, and the records within each, count alike."""
    values, labels, weights = [], [], []
    for record in records:
        for label in (0, 1):
            chosen = record.known & (record.label == label)
            if (n := int(chosen.sum())) >= 20:
                values.append(record.values[chosen])
                labels.append(np.full(n, label))
                weights.append(np.full(n, min(1.0, _PER_CLASS / n)))
    x, y, w = map(np.concatenate, (values, labels, weights))
    for label in (0, 1):
        w[y == label] *= len(y) / 2 / w[y == label].sum()
    mean, scale = x.mean(axis=0), x.std(axis=0)
    model = LogisticRegression(C=0.1, max_iter=3000).fit((x - mean) / scale, y, sample_weight=w)
    coefficients = model.coef_[0] / scale
    return coefficients, float(model.intercept_[0] - mean @ coefficients)


class QtRecords:
    """The marked excerpts of QT, each with the candidates of its first lead."""

    def __init__(self, folder: Path) -> None:
        names = [path.stem for path in sorted(folder.glob("*.q1c"))]
        self.excerpts = {name: waves.excerpt(folder, name) for name in names}
        self.found = {
            name: candidates(one.filtered[0], one.fs, one.beats)
            for name, one in self.excerpts.items()
        }
        self.values = {name: p_waves.measures(found) for name, found in self.found.items()}

    def halves(self) -> tuple[list[str], list[str]]:
        """Return every second record with beats without P wave, and of the others; and the rest.

        Both records of a person are in one half.
        """
        persons = Qt(QtOptions()).persons()
        without = [name for name, one in self.excerpts.items() if waves.unmarked(one).any()]
        others = [name for name in self.excerpts if name not in without]
        first = {*without[::2], *others[::2]}
        first_of: dict[str, str] = {}
        for name in self.excerpts:
            same = first_of.setdefault(persons.get(name, name), name)
            (first.add if same in first else first.discard)(name)
        return [n for n in self.excerpts if n in first], [
            n for n in self.excerpts if n not in first
        ]

    def counts(self, names: Sequence[str], score: Callable[[Floats], Floats], at: float) -> Ints:
        """Return found and marked P waves, and beats without P wave that get one, and all these."""
        total = np.zeros(4, np.int64)
        for name in names:
            one, p = self.excerpts[name], self.found[name].p
            kept = np.where(score(self.values[name]) >= at, p, np.nan)
            errors = waves.peak_errors(one.marks["P"], kept, one.fs)
            total += [int((np.abs(errors) <= waves.TOLERANCE).sum()), len(errors),
                      *waves.additional_p(one, kept)]  # fmt: skip
        return total

    def threshold(self, names: Sequence[str], score: Callable[[Floats], Floats]) -> float:
        """Return the largest threshold at which enough marked P waves are found."""
        low, high = -30.0, 30.0
        for _ in range(40):
            middle = (low + high) / 2
            found, marked, *_ = self.counts(names, score, middle)
            low, high = (middle, high) if found >= _FOUND * marked else (low, middle)
        return low


@dataclass(frozen=True)
class Fitted:
    """The model, and how it does on records that it was not made with.

    Attributes:
        weights: Weight of each measure of :data:`nasbench_ecg.signal.p_waves.COEFFICIENTS`.
        intercept: Its intercept.
        threshold: The threshold chosen on the first half of QT.
        table: Markdown table of the tests.
    """

    weights: Floats
    intercept: float
    threshold: float
    table: str


def fit_and_test(source: LocalSource) -> Fitted:
    """Fit on MIT-BIH, choose a threshold on one half of QT, and test on the other."""
    folder = source.folder("mitdb")
    shared = {person.removeprefix("mitdb/") for person in Qt(QtOptions()).persons().values()}
    names = [name for name in record_names(folder) if name not in _PACED]
    records = [mitdb(folder, name) for name in names]
    held_out = [record for record in records if record.name in shared]
    weights, intercept = fit([record for record in records if record.name not in shared])

    def score(values: Floats) -> Floats:
        return np.asarray(values @ weights + intercept)

    qt = QtRecords(source.folder("qtdb"))
    first, second = qt.halves()
    thresholds = [qt.threshold(half, score) for half in (first, second)]
    rows = ["| tested on | P waves kept | invented, any extremum | invented |", "|---|---|---|---|"]
    for half, at, title in (
        (second, thresholds[0], f"QT, the other {len(second)} records, first lead"),
        (first, thresholds[1], f"QT, threshold chosen on these {len(second)}, the first half"),
    ):
        found, marked, invented, absent = qt.counts(half, score, at)
        before = qt.counts(half, lambda values: np.zeros(len(values)), -1.0)[2]
        shares = _share(found, marked), _share(before, absent), _share(invented, absent)
        rows.append(f"| {title} | {' | '.join(shares)} |")
    kept, sinus = _kept(held_out, 1, score, thresholds[0])
    invented, absent = _kept(held_out, 0, score, thresholds[0])
    before, _ = _kept(held_out, 0, score, -np.inf)
    rows.append(
        f"| MIT-BIH, {len(held_out)} records of persons of QT | {_share(kept, sinus)} "
        f"| {_share(before, absent)} | {_share(invented, absent)} |"
    )
    return Fitted(weights, intercept, thresholds[0], "\n".join(rows))


def _kept(
    records: Sequence[Labeled], label: int, score: Callable[[Floats], Floats], at: float
) -> tuple[int, int]:
    """Return how many beats with a label have a P wave, and the number of these beats."""
    own = [record.label == label for record in records]
    kept = [~np.isnan(r.place) & (score(r.values) >= at) for r in records]
    n_kept = sum(int((mask & keep).sum()) for mask, keep in zip(own, kept, strict=True))
    return n_kept, sum(int(mask.sum()) for mask in own)


def _share(n: int, of: int) -> str:
    return f"{n:,} of {of:,} ({n / of:.1%})"


def main() -> None:
    """Print the constants, and the table of the tests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder that contains mitdb and qtdb")
    found = fit_and_test(LocalSource(parser.parse_args().data))
    for name, weight in zip(p_waves.COEFFICIENTS, found.weights, strict=True):
        print(f'    "{name}": {weight:.4g},')
    print(f"INTERCEPT = {found.intercept:.4g}")
    print(f"THRESHOLD = {found.threshold:.3f}")
    print(found.table)


if __name__ == "__main__":
    main()
