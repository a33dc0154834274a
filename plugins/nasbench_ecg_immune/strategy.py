"""The search strategy ``immune``: immune evolution of architectures.

References:
    Zhu et al. 2013, Algorithm 1, whose engine it shares with ``iemmc``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from time import monotonic

from nasbench_ecg.api import (
    Architecture,
    Builder,
    Evaluation,
    Fidelity,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
)
from nasbench_ecg_immune.antibody import affinity_of
from nasbench_ecg_immune.architectures import Architectures
from nasbench_ecg_immune.evolution import ImmuneEvolution
from nasbench_ecg_immune.options import ImmuneOptions


class Immune:
    """Evolves architectures of any search space as an immune system evolves antibodies.

    Choose it as an evolution that keeps several good architectures apart: nearly equal ones are
    suppressed, good ones are cloned and changed a little, bad ones make room for random ones.
    """

    def __init__(self, options: ImmuneOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the architecture with the best validation score seen within ``ctx.budget``."""
        allowed, seconds = _allowed(self.options, ctx), ctx.budget.seconds
        if not allowed:
            return SearchResult(space.sample(ctx.rng))
        deadline = math.inf if seconds is None else monotonic() + seconds
        options = self.options.model_copy(
            update={"evaluations": None if math.isinf(allowed) else allowed}
        )
        scored: list[Evaluation] = []
        with ctx.progress.track("Evolving", options.evaluations or options.generations) as bar:

            def evaluate(architectures: Sequence[Architecture]) -> list[Evaluation]:
                found = ctx.evaluate_many(architectures, self._fidelity())
                scored.extend(found)
                best = max(evaluation.score for evaluation in scored)
                bar.advance(len(found) if options.evaluations else 0, F1=best)
                return found

            problem = Architectures(space, evaluate, self.options.largest_step)
            evolution = ImmuneEvolution(problem, options, ctx.rng)
            if (saved := ctx.checkpoint.load()) is None:
                evolution.start()
            else:
                evolution.restore(saved["evolution"])

            def after(figures: Mapping[str, float]) -> None:
                ctx.log(figures["memory_best"], **_worth_keeping(figures))
                bar.advance(0 if options.evaluations else 1)
                if ctx.checkpoint.due():
                    ctx.checkpoint.save({"evolution": evolution.state()})

            evolution.run(deadline=deadline, after=after)
        memory = [
            {"architecture": one.genotype.hash, "score": affinity_of(one)}
            for one in evolution.memory
            if math.isfinite(affinity_of(one))
        ]
        return SearchResult(
            evolution.best.genotype, {"generations": evolution.generation, "memory": memory}
        )

    def _fidelity(self) -> Fidelity:
        return Fidelity(epochs=self.options.epochs, beats=self.options.beats)


def _allowed(options: ImmuneOptions, ctx: SearchContext) -> float:
    """Return the most evaluations under the options and the budget; infinite without either."""
    limits = (options.evaluations, ctx.budget.evaluations)
    return min((limit for limit in limits if limit is not None), default=math.inf)


def _worth_keeping(figures: Mapping[str, float]) -> dict[str, float]:
    names = ("generation", "mean", "std", "diversity", "antibodies")
    return {name: figures[name] for name in names}
