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
from nasbench_ecg_blackbox.options import RandomSearchOptions
from nasbench_ecg_blackbox.trials import Trials, distinct


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
        candidates = list(distinct(space, ctx.rng, options.samples))
        if len(candidates) == 1:
            return SearchResult(candidates[0])
        with ctx.progress.track("Drawing", len(candidates)) as bar:
            trials = Trials(ctx, bar.advance)
            for arch in candidates:
                if trials.score(arch, fidelity) is None:
                    break
        return SearchResult(trials.best or candidates[0], {"evaluations": trials.table()})
