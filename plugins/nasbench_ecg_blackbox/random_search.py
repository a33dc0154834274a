"""Random search.

References:
    Li, Talwalkar 2020, "Random Search and Reproducibility for Neural Architecture Search", UAI.
"""

from __future__ import annotations

import math
from itertools import chain

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
        candidates = distinct(space, ctx.rng, options.samples)
        best = next(candidates)
        if options.samples == 1:
            return SearchResult(best)
        fidelity = Fidelity(epochs=options.epochs, beats=options.beats)
        best_score = -math.inf
        with ctx.progress.track("Drawing", options.samples) as bar:
            trials = Trials(ctx, bar.advance)
            for arch in chain([best], candidates):
                score = trials.score(arch, fidelity)
                if score is None:
                    break
                if score > best_score:
                    best, best_score = arch, score
        return SearchResult(best, {"evaluations": trials.table()})
