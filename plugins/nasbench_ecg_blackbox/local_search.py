"""Local search, also called hill climbing, with restarts.

References:
    White, Nolen, Savani 2021, "Exploring the Loss Landscape in Neural Architecture Search", UAI,
    algorithm 1 (here the first better neighbor is taken, as in its variant).

    Den Ottelander, Dushatskiy, Virgolin, Bosman 2021, "Local Search is a Remarkably Strong
    Baseline for Neural Architecture Search", EMO.
"""

from __future__ import annotations

from nasbench_ecg.api import (
    Architecture,
    Builder,
    Fidelity,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
)
from nasbench_ecg_blackbox.history import EvaluationHistory, seconds_of_search
from nasbench_ecg_blackbox.limits import SizeLimit
from nasbench_ecg_blackbox.options import LocalSearchOptions


class LocalSearch:
    """Moves to the first better neighbor until there is none, then restarts at random.

    Choose it as the second baseline next to ``random``: it has almost no settings, and it is strong
    where neighbors have similar scores and the scores have little noise.
    """

    def __init__(self, options: LocalSearchOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the best architecture of the whole history, the first of equals.

        The first climb starts at the best of ``initial`` random architectures, each later one at
        a single one. The details contain the hashes of the local optima.
        """
        options = self.options
        fidelity = Fidelity(epochs=options.epochs, beats=options.beats)
        limit = SizeLimit.of(options, task, builder, ctx.progress)
        optima: list[str] = []
        wanted = options.initial
        with ctx.progress.track("Climbing", options.models) as bar:
            history = EvaluationHistory(ctx, bar.advance)

            def done() -> bool:
                enough = len(history.evaluations) >= options.models
                return enough or history.exhausted or history.budget_spent

            def better_neighbor(
                current: Architecture, score: float
            ) -> tuple[Architecture, float] | None:
                """Return the first better neighbor, in random order, and its score."""
                neighbors = list(space.neighbours(current))
                for i in ctx.rng.permutation(len(neighbors)):
                    if done():
                        return None
                    if not limit.allows(neighbors[i]):
                        history.reject()
                        continue
                    found = history.score(neighbors[i], fidelity)
                    if found is not None and found > score:
                        return neighbors[i], found
                return None

            while not done():
                left = options.models - len(history.evaluations)
                starts = limit.sample_distinct(space, ctx.rng, min(wanted, left))
                scores = history.score_all(starts, fidelity)
                wanted = 1
                if not scores:
                    break
                score = max(scores)
                current = starts[scores.index(score)]
                while (step := better_neighbor(current, score)) is not None:
                    current, score = step
                if not done() and current.hash not in optima:
                    optima.append(current.hash)
        best = history.best or limit.sample(space, ctx.rng)
        return SearchResult(
            best, {"optima": optima, "evaluations": history.to_rows(), **limit.details}
        )

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float | None:
        """Return the estimated seconds of a search; None if the evaluator has no estimate."""
        options = self.options
        plan = [(options.models, Fidelity(epochs=options.epochs, beats=options.beats))]
        limit = SizeLimit.of(options, task, builder)
        return seconds_of_search(plan, space, ctx, limit, batch=1)
