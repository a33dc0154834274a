"""The strategy ``best-of-n``."""

from nasbench_ecg.api import (
    Builder,
    Fidelity,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
)
from nasbench_ecg_thirdparty_example.options import BestOfNOptions


class BestOfN:
    """Draw N architectures at random, train each briefly, keep the best."""

    def __init__(self, options: BestOfNOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the candidate with the largest validation score."""
        limit = ctx.budget.evaluations
        n = self.options.candidates if limit is None else min(self.options.candidates, limit)
        candidates = [space.sample(ctx.rng) for _ in range(n)]
        evaluations = ctx.evaluate_many(candidates, Fidelity(epochs=self.options.epochs))
        best = max(evaluations, key=lambda evaluation: evaluation.score)
        return SearchResult(best.architecture, {"scores": [e.score for e in evaluations]})
