"""Random search.

References:
    Li, Talwalkar 2020, "Random Search and Reproducibility for Neural Architecture Search", UAI.
"""

from __future__ import annotations

from nasbench_ecg.api import (
    Builder,
    Fidelity,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
)
from nasbench_ecg_blackbox.duration import seconds_of_search
from nasbench_ecg_blackbox.limit import SizeLimit
from nasbench_ecg_blackbox.options import RandomSearchOptions
from nasbench_ecg_blackbox.trials import EvaluationHistory, distinct


class RandomSearch:
    """Draws architectures uniformly, without repeats, and returns the best.

    Choose it as the floor of a comparison. With ``samples=1`` it returns the first draw without
    evaluating it: over several seeds that gives the mean of the space.
    """

    def __init__(self, options: RandomSearchOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the architecture with the largest score, the first of equals."""
        options = self.options
        fidelity = Fidelity(epochs=options.epochs, beats=options.beats)
        limit = SizeLimit(options.max_parameters, task, builder)
        candidates = list(distinct(space, ctx.rng, options.samples, limit))
        if len(candidates) == 1:
            return SearchResult(candidates[0])
        with ctx.progress.track("Drawing", len(candidates)) as bar:
            trials = EvaluationHistory(ctx, bar.advance)
            trials.score_all(candidates, fidelity)
        return SearchResult(trials.best or candidates[0], {"evaluations": trials.table()})

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float | None:
        """Return the seconds that the search will take here; None if the evaluator cannot say."""
        options = self.options
        fidelity = Fidelity(epochs=options.epochs, beats=options.beats)
        plan = [(options.samples if options.samples > 1 else 0, fidelity)]
        return seconds_of_search(plan, space, ctx, SizeLimit(options.max_parameters, task, builder))
