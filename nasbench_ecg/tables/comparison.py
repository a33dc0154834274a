"""What a comparison of searches holds: scores and tests by budget, and curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Budget
from nasbench_ecg.statistics import SIGNIFICANCE
from nasbench_ecg.tables.outcome import By
from nasbench_ecg.tables.requested_searches import Scores, SearchSettings

if TYPE_CHECKING:
    import pandas as pd

Quartiles = tuple[float, float, float]


@dataclass(frozen=True)
class Comparison:
    """One search with one budget, and its difference from the baseline.

    Attributes:
        label: The search.
        repetitions: How often it was run.
        quartiles: Quartiles (25%, 50%, 75%) of the measure over repetitions.
        mean: Its mean.
        rank: Mean rank among all searches of the budget, 1 the best; ties share their mean.
        difference: Mean difference from the baseline in the same repetitions, and the ends of its
            interval: Student's, at a level that Bonferroni's correction over all comparisons of the
            measure makes simultaneous. None for the baseline itself.
        p: p of Wilcoxon's two-sided signed-rank test against the baseline, corrected by Holm over
            all comparisons of the measure.
        superiority: Probability that a repetition is better than one of the baseline, ties half.
    """

    label: str
    repetitions: int
    quartiles: Quartiles
    mean: float
    rank: float
    difference: tuple[float, float, float] | None = None
    p: float | None = None
    superiority: float | None = None

    @property
    def better(self) -> bool:
        """Whether interval and test both say that it is better than the baseline."""
        return self._told and self.difference is not None and self.difference[1] > 0

    @property
    def worse(self) -> bool:
        """Whether interval and test both say that it is worse than the baseline."""
        return self._told and self.difference is not None and self.difference[2] < 0

    @property
    def verdict(self) -> str:
        """``baseline``, ``better``, ``worse``, or ``not shown``."""
        if self.difference is None:
            return "baseline"
        return "better" if self.better else "worse" if self.worse else "not shown"

    @property
    def _told(self) -> bool:
        return self.p is not None and self.p < SIGNIFICANCE


@dataclass(frozen=True)
class Outcome:
    """All searches with one budget.

    Attributes:
        budget: What each may spend.
        scores: Comparison of the found member's mean test score, by search.
        hypervolumes: The same of the hypervolume, by cost.
        superiority: Probability that a repetition of a search (first) is better than one of another
            (second), ties half.
        values: What each repetition reached, [repetitions], by measure and search; the measures are
            ``f1``, the found member's mean test score, and the hypervolumes by their cost.
    """

    budget: Budget
    scores: tuple[Comparison, ...]
    hypervolumes: Mapping[str, tuple[Comparison, ...]]
    superiority: Mapping[tuple[str, str], float]
    values: Mapping[str, Mapping[str, NDArray[np.float64]]] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Curve:
    """Quartiles over repetitions at some points of a search.

    Attributes:
        label: The search.
        by: ``evaluation`` or ``seconds``.
        points: Numbers of evaluations, or simulated seconds.
        regret: Best mean test score of the table minus that of the incumbent.
        hypervolume: Hypervolume with the first cost.
    """

    label: str
    by: By
    points: tuple[float, ...]
    regret: tuple[Quartiles, ...]
    hypervolume: tuple[Quartiles, ...]


@dataclass(frozen=True)
class Winner:
    """The member that a search finds most often with its largest budget of evaluations.

    Attributes:
        label: The search.
        budget: What it may spend.
        architecture: The member; of equally frequent ones the first in the table.
        share: Share of the repetitions that find it.
        score: Its mean test score.
        costs: Its costs.
    """

    label: str
    budget: Budget
    architecture: Architecture
    share: float
    score: float
    costs: Mapping[str, float]


@dataclass(frozen=True)
class SearchComparison:
    """Searches on one table, compared.

    Attributes:
        baseline: The search that the others are compared with.
        best: Best mean test score of the table.
        costs: Costs of the hypervolumes.
        outcomes: One for each budget.
        curves: One for each search that has the largest budget of evaluations or of seconds.
        regret_curves: The regret of each search with its own largest budget of both kinds, at many
            points, for figures; without hypervolumes.
        winners: One for each search that has a budget of evaluations.
        settings: How each search was run; empty if that is not known.
        seed: Seed of all repetitions, likewise None.
        scores: What a search saw of a member: one of its trainings, or the mean over its seeds.
    """

    baseline: str
    best: float
    costs: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    curves: tuple[Curve, ...]
    regret_curves: tuple[Curve, ...]
    winners: tuple[Winner, ...]
    settings: tuple[SearchSettings, ...] = ()
    seed: int | None = None
    scores: Scores = "one-seed"

    @property
    def n_comparisons(self) -> int:
        """Number of comparisons of a measure, over all budgets, for which p is corrected."""
        return sum(one.p is not None for outcome in self.outcomes for one in outcome.scores)

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row for each budget, measure and search, with scores as fractions.

        Columns: ``evaluations`` and ``seconds``, of which one is the budget and the other NaN;
        ``measure``, ``f1`` or the cost of a hypervolume; ``search``, ``repetitions``, ``mean``,
        ``low_quartile``, ``median``, ``high_quartile``, ``rank``; and against the baseline
        ``difference`` with its interval ``low`` to ``high``, ``p``, ``superiority`` and
        ``verdict``.
        """
        import pandas as pd

        quartiles, interval = (
            ("low_quartile", "median", "high_quartile"),
            ("difference", "low", "high"),
        )
        rows = [
            {
                "evaluations": outcome.budget.evaluations,
                "seconds": outcome.budget.seconds,
                "measure": measure,
                "search": one.label,
                "repetitions": one.repetitions,
                "mean": one.mean,
                **dict(zip(quartiles, one.quartiles, strict=True)),
                "rank": one.rank,
                **dict(zip(interval, one.difference or (None,) * 3, strict=True)),
                "p": one.p,
                "superiority": one.superiority,
                "verdict": one.verdict,
            }
            for outcome in self.outcomes
            for measure, compared in {"f1": outcome.scores, **outcome.hypervolumes}.items()
            for one in compared
        ]
        numbers = ["evaluations", "seconds", "difference", "low", "high", "p", "superiority"]
        return pd.DataFrame(rows).astype(dict.fromkeys(numbers, float))

    def repetitions(self) -> pd.DataFrame:
        """Return one row for each budget, search and repetition, with scores as fractions.

        Columns: ``evaluations`` and ``seconds``, of which one is the budget and the other NaN;
        ``search``; ``repetition``, from 0, whose number stands for the same seeds of the members in
        all searches, so that their rows are pairs; ``f1``, the mean test score of the found member;
        ``regret``, the best of the table minus it; and ``hypervolume_parameters`` and so on, the
        hypervolume of the found front with each cost.
        """
        import pandas as pd

        parts = [
            pd.DataFrame(
                {
                    "evaluations": np.nan
                    if (n := outcome.budget.evaluations) is None
                    else float(n),
                    "seconds": np.nan if (s := outcome.budget.seconds) is None else float(s),
                    "search": label,
                    "repetition": np.arange(len(f1)),
                    "f1": f1,
                    "regret": self.best - f1,
                    **{f"hypervolume_{cost}": outcome.values[cost][label] for cost in self.costs},
                }
            )
            for outcome in self.outcomes
            for label, f1 in outcome.values["f1"].items()
        ]
        budgets = dict.fromkeys(("evaluations", "seconds"), float)
        return pd.concat([part.astype(budgets) for part in parts], ignore_index=True)
