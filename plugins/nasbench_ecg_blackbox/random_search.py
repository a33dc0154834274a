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
from nasbench_ecg_blackbox.history import EvaluationHistory, seconds_of_search
from nasbench_ecg_blackbox.limits import SizeLimit
from nasbench_ecg_blackbox.options import RandomSearchOptions


class RandomSearch:
    """Samples distinct architectures uniformly and returns the best.

    Choose it as the baseline of a comparison. With ``samples=1`` it returns the first sample
    unevaluated: the mean score over several seeds then estimates the mean of the space.
    """

    def __init__(self, options: RandomSearchOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the architecture with the highest score, the first of equals."""
        options = self.options
        fidelity = Fidelity(epochs=options.epochs, beats=options.beats)
        limit = SizeLimit.of(options, task, builder, ctx.progress)
        candidates = limit.sample_distinct(space, ctx.rng, options.samples)
        if len(candidates) == 1:
            return SearchResult(candidates[0], limit.details)
        with ctx.progress.track("Evaluating", len(candidates)) as bar:
            history = EvaluationHistory(ctx, bar.advance)
            history.score_all(candidates, fidelity)
        return SearchResult(
            history.best or candidates[0], {"evaluations": history.to_rows(), **limit.details}
        )

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float | None:
        """Return the estimated seconds of a search; None if the evaluator has no estimate."""
        options = self.options
        fidelity = Fidelity(epochs=options.epochs, beats=options.beats)
        plan = [(options.samples if options.samples > 1 else 0, fidelity)]
        return seconds_of_search(plan, space, ctx, SizeLimit.of(options, task, builder))
