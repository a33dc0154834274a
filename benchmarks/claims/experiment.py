"""The runs of the suite ``iemmc``, by method and regularization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from nasbench_ecg.errors import StorageError
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.record_files import read_records

SUITE = "iemmc"
ACCURACY = "clustered_accuracy"
"""The paper's metric: the accuracy of the clustered beats."""

BALANCE = 0.7
"""The balance bound of the pooled claims, the default of the strategies."""


@dataclass(frozen=True, order=True)
class Method:
    """A strategy with its start.

    Attributes:
        strategy: Name of the strategy.
        start: ``random``, ``k-means``, or empty where a strategy has no such option.
        newcomers: How IEMMC draws random antibodies; empty for other strategies.
    """

    strategy: str
    start: str = ""
    newcomers: str = ""

    @property
    def label(self) -> str:
        """Name in tables and figures."""
        name = _LABELS.get(self.strategy, self.strategy)
        if self.newcomers == "labels":
            return f"{name}, labels one by one"
        return f"{name}, {self.start} start" if self.start else name


_LABELS = {
    "iemmc": "IEMMC",
    "itersvr": "iterSVR",
    "k-means": "k-means",
    "svm-rbf": "SVM (supervised)",
    "random": "best of 100 random labelings",
}

IEMMC = Method("iemmc", "random", "functions")
IEMMC_K_MEANS = Method("iemmc", "k-means", "functions")
IEMMC_LABELS = Method("iemmc", "random", "labels")
ITERSVR = Method("itersvr", "random")
ITERSVR_K_MEANS = Method("itersvr", "k-means")
K_MEANS = Method("k-means")
SVM = Method("svm-rbf")
RANDOM = Method("random")
METHODS = (
    IEMMC,
    IEMMC_K_MEANS,
    IEMMC_LABELS,
    ITERSVR,
    ITERSVR_K_MEANS,
    K_MEANS,
    SVM,
    RANDOM,
)


@dataclass(frozen=True)
class Cell:
    """The repetitions of one method with one C.

    Attributes:
        method: The method.
        C: Regularization; None if the method has none.
        runs: One record for each seed, in the order of the seeds.
    """

    method: Method
    C: float | None
    runs: tuple[RunRecord, ...]

    def values(self, metric: str) -> list[float]:
        """Return the values of a metric, one for each repetition that has it."""
        return [run.metrics[metric] for run in self.runs if metric in run.metrics]

    def mean(self, metric: str) -> float:
        """Return the mean of a metric over the repetitions."""
        return fmean(self.values(metric))

    def percent(self, metric: str) -> str:
        """Return mean ± standard deviation of a metric over the repetitions, in percent."""
        return percent(self.values(metric))

    def objectives(self) -> list[float]:
        """Return J by beat of the first split of each repetition; empty if the method has no J."""
        splits = [run.search_details.get("splits") for run in self.runs]
        return [float(split[0]["objective"]) for split in splits if split]

    def curve(self, run: RunRecord) -> list[tuple[float, float]]:
        """Return (generation, smallest J by beat so far) of the first split of one run."""
        points = [
            (row["generation"], row["objective"]) for row in run.trajectory if row.get("split") == 0
        ]
        best = float("inf")
        return [(generation, best := min(best, value)) for generation, value in points]


@dataclass(frozen=True)
class Experiment:
    """All runs of the suite.

    Attributes:
        cells: The repetitions by method and C.
    """

    cells: Mapping[tuple[Method, float | None], Cell]

    def of(self, method: Method) -> list[Cell]:
        """Return the cells of a method in ascending order of C."""
        return sorted(
            (cell for (own, _), cell in self.cells.items() if own == method),
            key=lambda cell: cell.C or 0.0,
        )

    def best(self, method: Method) -> Cell:
        """Return the cell with the best mean accuracy, which is how the paper chooses C."""
        return max(self.of(method), key=lambda cell: cell.mean(ACCURACY))

    def records(self) -> list[RunRecord]:
        """Return all runs."""
        return [run for cell in self.cells.values() for run in cell.runs]


def read_experiment(out: Path, balance: float = BALANCE) -> Experiment:
    """Return the finished runs of the suite ``iemmc`` below ``out`` with one balance bound.

    Raises:
        StorageError: A method has no run yet.
    """
    return experiment_of(read_suite(out, SUITE, METHODS), balance)


def read_suite(out: Path, suite: str, methods: Sequence[Method]) -> list[RunRecord]:
    """Return the finished runs of a suite below ``out``.

    Raises:
        StorageError: One of ``methods`` has no run yet.
    """
    records = [record for record in read_records(out, suite)[0] if record.status == "ok"]
    found = {method_of(record) for record in records}
    missing = [method.label for method in methods if method not in found]
    if missing:
        raise StorageError(
            f"There are no runs of {', '.join(missing)}.",
            where=str(out / suite),
            fix=f"Run 'nasbench-ecg suite run {suite} --out {out}'.",
        )
    return records


def method_of(record: RunRecord) -> Method:
    """Return the method of a run."""
    options = record.components["strategy"].options
    return Method(record.strategy, options.get("start", ""), options.get("newcomers", ""))


def option_of(record: RunRecord, name: str) -> float | None:
    """Return an option of the strategy of a run; None if it has none of this name."""
    return record.components["strategy"].options.get(name)


def experiment_of(records: Sequence[RunRecord], balance: float) -> Experiment:
    """Return the runs with one balance bound, and those of methods that have none."""
    cells: dict[tuple[Method, float | None], list[RunRecord]] = {}
    for record in records:
        if option_of(record, "balance") in (None, balance):
            cells.setdefault((method_of(record), option_of(record, "C")), []).append(record)
    return Experiment(
        {
            key: Cell(*key, tuple(sorted(runs, key=lambda run: run.search_seed)))
            for key, runs in cells.items()
        }
    )


def percent(values: Sequence[float]) -> str:
    """Return mean ± standard deviation of fractions as percent, or a dash."""
    if not values:
        return "–"
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * fmean(values):.1f}{spread}"
