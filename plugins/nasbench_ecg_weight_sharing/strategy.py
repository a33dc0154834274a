"""Random search with weight sharing.

References:
    Li, Talwalkar 2020, "Random Search and Reproducibility for Neural Architecture Search", UAI,
    section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import torch

from nasbench_ecg.api import (
    Architecture,
    Beats,
    Builder,
    OptionError,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
    distinct_architectures,
)
from nasbench_ecg.metrics import scores
from nasbench_ecg.training import count_parameters, seconds_per_call
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_weight_sharing.options import RandomWsOptions
from nasbench_ecg_weight_sharing.shared_supernet import SharedSupernet

TRAINING_SHARE = 0.8
"""Share of a budget of seconds that the training of the supernet may use."""


@dataclass
class Candidates:
    """Sampled architectures, and the scores of the first ones, in order."""

    architectures: list[Architecture] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def ranked(self) -> list[tuple[Architecture, float]]:
        """Return the scored architectures with their scores, best first; ties keep their order."""
        scored = list(zip(self.architectures, self.scores, strict=False))
        return sorted(scored, key=lambda pair: -pair[1])

    def to_dict(self) -> dict[str, Sequence[Any]]:
        """Return plain data for a checkpoint."""
        return {
            "architectures": [arch.to_dict() for arch in self.architectures],
            "scores": self.scores,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Sequence[Any]]) -> Candidates:
        """Return the candidates that :meth:`to_dict` wrote."""
        architectures = [Architecture.from_dict(one) for one in data["architectures"]]
        return cls(architectures, [float(score) for score in data["scores"]])


class RandomSearchWithSharing:
    """Trains a supernet on random architectures, and ranks random ones with its weights.

    Choose it as the baseline of searches that share weights, as ``random`` is of those that train
    each candidate: a search such as ``darts`` should find better cells than random sampling from
    the same supernet.
    """

    def __init__(self, options: RandomWsOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the finalist with the best validation F1 under the shared weights.

        Raises:
            OptionError: ``space`` is not ``conv-cells``, or the beats are too short.
        """
        options = self.options
        supernet = self._supernet(task, space, ctx)
        candidates = Candidates()
        if (saved := ctx.checkpoint.load()) is not None:
            supernet.restore(saved["supernet"])
            candidates = Candidates.from_dict(saved["candidates"])
        allowed = ctx.budget.seconds
        started = monotonic() - ctx.seconds
        deadline = math.inf if allowed is None else started + allowed

        def save() -> None:
            ctx.checkpoint.save(
                {"supernet": supernet.snapshot(), "candidates": candidates.to_dict()}
            )

        def save_if_due() -> None:
            if ctx.checkpoint.due():
                save()

        if not candidates.architectures:
            supernet.train(
                ctx.progress,
                deadline=math.inf if allowed is None else started + TRAINING_SHARE * allowed,
                after_step=save_if_due,
                after_epoch=lambda figures: ctx.log(math.nan, epoch=supernet.epoch, **figures),
            )
            candidates.architectures = list(
                distinct_architectures(supernet.space, ctx.rng, options.candidates)
            )
            save()
        subset = _subset(task.validation, options.screening_beats, supernet.seed)
        with ctx.progress.track("Screening", len(candidates.architectures)) as bar:
            bar.advance(len(candidates.scores))
            for arch in candidates.architectures[len(candidates.scores) :]:
                if candidates.scores and monotonic() >= deadline:
                    break
                candidates.scores.append(_f1(supernet, arch, subset, task))
                bar.advance(best=max(candidates.scores))
                save_if_due()
        finalists = candidates.ranked()[: options.finalists]
        table: list[dict[str, Any]] = []
        with ctx.progress.track("Comparing finalists", len(finalists)) as bar:
            for arch, screened in finalists:
                if table and monotonic() >= deadline:
                    break
                score = _f1(supernet, arch, task.validation, task)
                ctx.log(score, screened=screened)
                bar.advance(F1=score)
                table.append({"architecture": arch.hash, "score": score, "screened": screened})
        best = max(range(len(table)), key=lambda i: table[i]["score"])
        return SearchResult(
            finalists[best][0],
            {
                "finalists": table,
                "candidates": len(candidates.scores),
                "epochs": supernet.epoch,
                "search_parameters": count_parameters(supernet.net),
            },
        )

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float:
        """Return the seconds that the search will take on this machine, from a few timed steps."""
        options = self.options
        supernet = self._supernet(task, space, ctx)
        training = supernet.estimate_seconds()
        arch = supernet.space.sample(ctx.rng)
        subset = _subset(task.validation, options.screening_beats, supernet.seed)
        screening = seconds_per_call(lambda: supernet.predict(arch, subset), ctx.device, repeats=1)
        final = screening * len(task.validation) / len(subset)
        total = training + options.candidates * screening + options.finalists * final
        return total if ctx.budget.seconds is None else min(total, ctx.budget.seconds)

    def _supernet(self, task: Task, space: SearchSpace, ctx: SearchContext) -> SharedSupernet:
        if not isinstance(space, ConvCells):
            raise OptionError(
                f"random-ws has no supernet of the search space {space.name!r}.",
                fix="It searches conv-cells: leave --space out.",
            )
        return SharedSupernet(self.options, space, task.train, ctx.rng, device=ctx.device)


def _subset(beats: Beats, n: int | None, seed: int) -> Beats:
    """Return ``n`` random beats, the same for all candidates; all of them for None."""
    if n is None or n >= len(beats):
        return beats
    generator = torch.Generator().manual_seed(seed)
    return beats.take(torch.randperm(len(beats), generator=generator)[:n].numpy())


def _f1(supernet: SharedSupernet, arch: Architecture, beats: Beats, task: Task) -> float:
    confusion = supernet.confusion(arch, beats)
    return scores(confusion, task.train.classes, task.macro_classes)["f1_of_macro"]
