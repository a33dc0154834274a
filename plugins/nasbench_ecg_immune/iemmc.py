"""IEMMC: maximum-margin clustering by immune evolution, as a search strategy.

References:
    Zhu et al. 2013, "A Novel Automatic Detection System for ECG Arrhythmias Using Maximum Margin
    Clustering with Immune Evolutionary Algorithm", section 2.3.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.api import (
    Builder,
    Checkpoint,
    OptionError,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
)
from nasbench_ecg_immune.bisection import Bisection, Index, Split, bisect
from nasbench_ecg_immune.engine import ImmuneEvolution
from nasbench_ecg_immune.features import clustered_beats
from nasbench_ecg_immune.kernels import Kernel, kernel_of, median_width
from nasbench_ecg_immune.moves import descend
from nasbench_ecg_immune.objective import Int8s, Margin, relabel
from nasbench_ecg_immune.options import IemmcOptions, MarginOptions
from nasbench_ecg_immune.problems import KWay, TwoWay
from nasbench_ecg_immune.space import Labelings, check_balance, smallest_cluster, to_architecture

_ROUNDS = 20
"""Most midpoint scans of the polish."""


class Iemmc:
    """Clusters beats by their features alone: labels are not looked at.

    Choose it to group unlabelled beats by the widest margin. The objective has no gradient in the
    labels, so an immune evolution searches them; a midpoint scan betters each antibody.
    """

    def __init__(self, options: IemmcOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the labelling with the least objective found.

        It needs no evaluation of ``ctx``, so of the budget only the seconds bind it. When it is
        stopped it goes on from the last generation that ``ctx.checkpoint`` has kept.

        Raises:
            OptionError: The beats cannot be clustered: too few, no features, no balance.
        """
        found = points("iemmc", task, space, ctx)
        kernel, width = kernel_and_width(found.x, self.options, ctx.rng)
        lam = 1 / (2 * self.options.C)
        # After the kernel, whose draws precede all that is kept.
        journal = Journal(ctx.checkpoint, ctx.rng, found.deadline)
        search = self._direct if self.options.method == "direct" else self._by_bisection
        codes, details = search(found, kernel, lam, ctx, journal)
        return found.result(codes, {"kernel_width": width, **details})

    def _by_bisection(
        self, found: Points, kernel: Kernel, lam: float, ctx: SearchContext, journal: Journal
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        smallest = found.smallest_side(self.options.balance)
        most = 2 * found.clusters - 3

        def split(index: Index, number: int) -> Split:
            if number == len(journal.done):
                journal.begin()
                side = smallest(len(index))
                made = split_cluster(
                    kernel, index, side, lam, self.options, ctx.rng,
                    given=self._given(found.x[index], side, ctx.rng),
                    run=lambda evolution, given: journal.evolve(
                        evolution, given, _logger(ctx, split=number)
                    ),
                )  # fmt: skip
                journal.end(*made)
            done = journal.done[number][0]
            bar.advance(objective=done.objective / len(index))
            return done

        with ctx.progress.track("Splitting clusters", most) as bar:
            result = bisect(len(found.x), found.clusters, smallest, split)
            bar.advance(most - len(journal.done))
        evolutions = [figures for _, figures in journal.done]
        return result.codes, {"splits": told(result), "evolutions": evolutions}

    def _direct(
        self, found: Points, kernel: Kernel, lam: float, ctx: SearchContext, journal: Journal
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        margin = kernel.margin(np.arange(len(found.x)), lam)
        smallest = found.smallest_cluster(self.options.balance)
        problem = KWay(
            margin.astype(self.options.precision), found.clusters, smallest, self.options.newcomers
        )
        evolution = ImmuneEvolution(problem, self.options, ctx.rng)
        journal.begin()
        given = []
        if self.options.start == "k-means":
            given = [problem.repair(_means(found.x, found.clusters, ctx.rng), ctx.rng)]
        log = _logger(ctx, split=0)
        with ctx.progress.track("Evolving labels", self.options.generations) as bar:

            def after(figures: Mapping[str, float]) -> None:
                log(figures)
                bar.advance(objective=1 - figures["memory_best"])

            journal.evolve(evolution, given, after)
            bar.advance(self.options.generations - evolution.generation)
        exact = KWay(margin, found.clusters, smallest)
        codes = evolution.best.genotype[None]
        objective = exact.objective(codes)
        for _ in range(_ROUNDS if self.options.polish else 0):
            before = objective[0]
            codes, objective = exact.improve(codes)
            if not objective[0] < before:
                break
        per_beat = float(objective[0]) / (found.clusters * len(found.x))
        return codes[0], {"objective": per_beat, "evolutions": [figures_of(evolution)]}

    def _given(
        self, x: NDArray[np.float64], smallest: int, rng: np.random.Generator
    ) -> list[Int8s]:
        return [two_means(x, smallest, rng)] if self.options.start == "k-means" else []


def _means(x: NDArray[np.float64], clusters: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    from sklearn.cluster import KMeans

    model = KMeans(clusters, n_init=1, random_state=int(rng.integers(2**31)))
    return np.asarray(model.fit_predict(x), np.uint8)


def _logger(ctx: SearchContext, split: int) -> Any:
    def log(figures: Mapping[str, float]) -> None:
        ctx.log(
            figures["memory_best"],
            split=split,
            generation=figures["generation"],
            objective=1 - figures["memory_best"],
            mean=figures["mean"],
            diversity=figures["diversity"],
            antibodies=figures["evaluations"],
        )

    return log


_CARRY_ROUNDS = 20
"""Most midpoint scans of the polish."""

Run = Callable[[ImmuneEvolution[Any], Sequence[Int8s]], None]


def from_the_start(evolution: ImmuneEvolution[Any], given: Sequence[Int8s]) -> None:
    """Run an evolution from the genotypes ``given`` until its options end it."""
    evolution.start(given)
    evolution.run()


def split_cluster(
    kernel: Kernel, index: Index, smallest: int, lam: float, options: IemmcOptions,
    rng: np.random.Generator, *, given: Sequence[Int8s] = (), run: Run = from_the_start,
) -> tuple[Split, dict[str, float]]:  # fmt: skip
    """Return the best split found of the points at ``index``, and figures of the evolution.

    Of more points than ``options.evolve_beats``, as many are drawn and evolved; the functions
    fitted on them label the others.

    Args:
        kernel: Kernel of all points.
        index: int64 [n], the points of the cluster.
        smallest: Fewest points on either side.
        lam: λ.
        options: Of the evolution, its precision and polish.
        rng: Generator of all that is random.
        given: Labels, int8 [n], to start from, besides random ones.
        run: Runs the evolution from the labels given.
    """
    margin = kernel.margin(index, lam)
    n, most = len(index), max(options.evolve_beats, 2)
    if n <= most:
        memory, figures = evolve(margin, smallest, options, rng, given, run)
    else:
        some = np.sort(rng.choice(n, most, replace=False))
        part = TwoWay(kernel.margin(index[some], lam), max(1, math.ceil(smallest * most / n)))
        starts = [part.repair(y[some], rng) for y in given]
        chosen, figures = evolve(part.margin, part.smallest, options, rng, starts, run)
        whole = TwoWay(margin, smallest)
        otherwise = np.stack([whole.random(rng) for _ in chosen])
        values = kernel.carry_over(index[some], chosen, index, lam)
        memory = relabel(otherwise, values, smallest)
    if options.polish:
        by_single_flips = n <= options.exact_up_to
        memory = polish(margin, memory, smallest, by_single_flips=by_single_flips)
    objective = margin.objective(memory)
    best = int(objective.argmin())
    return Split(memory[best], float(objective[best])), figures


def evolve(
    margin: Margin, smallest: int, options: IemmcOptions, rng: np.random.Generator,
    given: Sequence[Int8s] = (), run: Run = from_the_start,
) -> tuple[Int8s, dict[str, float]]:  # fmt: skip
    """Return the labels in memory after an evolution, int8 [P, n], best first, and its figures."""
    problem = TwoWay(margin.astype(options.precision), smallest, options.flips, options.newcomers)
    evolution = ImmuneEvolution(problem, options, rng)
    run(evolution, given)
    return np.stack([one.genotype for one in evolution.memory]), figures_of(evolution)


def polish(margin: Margin, labels: Int8s, smallest: int, *, by_single_flips: bool) -> Int8s:
    """Return labels, int8 [P, n], after midpoint scans until none helps, then single flips.

    No row gets worse.
    """
    problem = TwoWay(margin, smallest)
    objective = margin.objective(labels)
    for _ in range(_CARRY_ROUNDS):
        before = objective
        labels, objective = problem.improve(labels)
        if not (objective < before).any():
            break
    if not by_single_flips:
        return labels
    return descend(margin, np.unique(labels * labels[:, :1], axis=0), smallest)[0]


def figures_of(evolution: ImmuneEvolution[Any]) -> dict[str, float]:
    """Return how long an evolution was, as JSON data."""
    best = [row["memory_best"] for row in evolution.logbook]
    return {
        "generations": evolution.generation,
        "antibodies": evolution.evaluations,
        "generation_of_best": best.index(best[-1]) + 1,
    }


Figures = dict[str, float]


class Journal:
    """Splits that are done, and the state of the evolution that runs.

    Everything random before an evolution, such as which points it is given, is drawn again from
    the state that the generator had when the split began; the evolution itself is restored.

    Args:
        checkpoint: Where this is kept.
        rng: Generator of all that is random.
        deadline: Reading of the monotonic clock at which the search should end; seconds that were
            spent before a stop count.

    Attributes:
        done: Finished splits in order, each with the figures of its evolution.
        deadline: When the search should end.
    """

    def __init__(self, checkpoint: Checkpoint, rng: np.random.Generator, deadline: float) -> None:
        self.deadline = deadline
        self.done: list[tuple[Split, Figures]] = []
        self._checkpoint, self._rng = checkpoint, rng
        self._begun: Any = None
        self._stopped: Mapping[str, Any] | None = None
        if (saved := checkpoint.load()) is not None:
            self.done = [_read(data) for data in saved["done"]]
            self._begun, self._stopped = saved["begun"], saved["evolution"]
            if saved["seconds_left"] is not None:
                self.deadline = monotonic() + saved["seconds_left"]

    def begin(self) -> None:
        """Begin a split: note the generator's state, or go back to the state noted at the time."""
        if self._stopped is None:
            self._begun = self._rng.bit_generator.state
        else:
            self._rng.bit_generator.state = self._begun

    def evolve(
        self,
        evolution: ImmuneEvolution[Any],
        given: Sequence[Any],
        after: Callable[[Mapping[str, float]], None],
    ) -> None:
        """Run an evolution from the genotypes ``given``, or on from where it was stopped."""
        if self._stopped is None:
            evolution.start(given)
        else:
            evolution.restore(self._stopped)
            self._stopped = None

        def keep(figures: Mapping[str, float]) -> None:
            after(figures)
            if self._checkpoint.due():
                self._checkpoint.save(self._state(evolution))

        evolution.run(deadline=self.deadline, on_generation=keep)

    def end(self, split: Split, figures: Figures) -> None:
        """Note a finished split."""
        self.done.append((split, figures))

    def _state(self, evolution: ImmuneEvolution[Any]) -> dict[str, Any]:
        left = self.deadline - monotonic()
        return {
            "done": [_written(split, figures) for split, figures in self.done],
            "begun": self._begun,
            "evolution": evolution.state(),
            "seconds_left": left if math.isfinite(left) else None,
        }


def _written(split: Split, figures: Figures) -> dict[str, Any]:
    bits = base64.b64encode(np.packbits(split.labels > 0).tobytes()).decode("ascii")
    return {
        "points": len(split.labels),
        "labels": bits,
        "objective": split.objective,
        "figures": figures,
    }


def _read(data: Mapping[str, Any]) -> tuple[Split, Figures]:
    packed = np.frombuffer(base64.b64decode(data["labels"]), np.uint8)
    bits = np.unpackbits(packed, count=data["points"]).astype(np.int8)
    return Split((2 * bits - 1).astype(np.int8), data["objective"]), dict(data["figures"])


Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Points:
    """The beats to cluster.

    Attributes:
        x: float64 [n, d], standardised features: the training part, then the validation part.
        clusters: Clusters wanted.
        space: The space that the labelling is to be of.
        deadline: Reading of the monotonic clock at which the search should end.
    """

    x: Floats
    clusters: int
    space: Labelings
    deadline: float

    def smallest_side(self, balance: float) -> Callable[[int], int]:
        """Return the function that gives the fewest points of a side for the points of a cluster.

        −l·n ≤ 1ᵀy ≤ l·n holds in every split, n the points of the cluster that is split; the
        space's bound, of all points, holds too.

        Raises:
            OptionError: The bounds allow no split of all the points.
        """
        of_space = check_balance(len(self.x), self.clusters, self.space.options.balance)
        check_balance(len(self.x), 2, balance)
        return lambda n: max(1, of_space, smallest_cluster(n, balance))

    def smallest_cluster(self, balance: float) -> int:
        """Return the fewest points of each cluster where all are made at once.

        Every cluster against the rest keeps −l·n ≤ 1ᵀy ≤ l·n, the tighter of this and the space's.

        Raises:
            OptionError: The bound allows no labelling.
        """
        return check_balance(len(self.x), self.clusters, min(balance, self.space.options.balance))

    def result(self, codes: NDArray[Any], details: Mapping[str, Any]) -> SearchResult:
        """Return the labelling as an architecture."""
        sizes = np.sort(np.bincount(codes))[::-1]
        found = {"cluster_sizes": sizes[sizes > 0].tolist(), **details}
        return SearchResult(to_architecture(codes, self.clusters), found)


def points(name: str, task: Task, space: SearchSpace, ctx: SearchContext) -> Points:
    """Return the points of a task.

    Raises:
        OptionError: The space is not ``labelings``, there are fewer beats than clusters or fewer
            clusters than classes, or the features are missing or constant.
    """
    if not isinstance(space, Labelings):
        raise OptionError(
            f"{name} cannot search the space {space.name!r}.",
            fix="It searches labelings: leave --space out.",
        )
    n = len(task.train) + len(task.validation)
    check_balance(n, space.clusters, 1.0)
    if space.clusters < task.n_classes:
        raise OptionError(
            f"{space.clusters} clusters cannot stand for {task.n_classes} classes.",
            fix=f"Set space.clusters={task.n_classes} or more.",
        )
    seconds = ctx.budget.seconds
    deadline = math.inf if seconds is None else monotonic() + seconds
    return Points(clustered_beats(task), space.clusters, space, deadline)


def kernel_and_width(
    x: Floats, options: MarginOptions, rng: np.random.Generator
) -> tuple[Kernel, float]:
    """Return the kernel of points [n, d] and the width it has."""
    width = median_width(x, rng) if options.width is None else options.width
    kernel = kernel_of(x, width=width, exact_up_to=options.exact_up_to, rank=options.rank, rng=rng)
    return kernel, width


def two_means(x: Floats, smallest: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """Return k-means with two clusters as ±1, int8 [n], within the balance bound.

    Where a side is too small, the points of the other that are nearest to its centre join it.
    """
    from sklearn.cluster import KMeans

    model = KMeans(2, n_init=1, random_state=int(rng.integers(2**31))).fit(x)
    distance = model.transform(x)
    positive = int(np.count_nonzero(model.labels_ == 0))
    allowed = min(max(positive, smallest), len(x) - smallest)
    order = np.argsort(distance[:, 0] - distance[:, 1], kind="stable")
    y = np.full(len(x), -1, np.int8)
    y[order[:allowed]] = 1
    return y


def told(bisection: Bisection) -> list[dict[str, float]]:
    """Return the splits made as JSON data: points, those on the smaller side, J by point."""
    return [
        {
            "beats": len(split.labels),
            "smaller_side": int(min((split.labels > 0).sum(), (split.labels < 0).sum())),
            "objective": split.objective / len(split.labels),
        }
        for split in bisection.splits
    ]
