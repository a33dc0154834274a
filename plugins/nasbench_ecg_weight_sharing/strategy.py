"""Random search with shared weights.

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
)
from nasbench_ecg.metrics import scores
from nasbench_ecg.training import seconds_per_call
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_weight_sharing.options import RandomWsOptions
from nasbench_ecg_weight_sharing.sharing import Sharing

TRAINING_SHARE = 0.8
"""Share of a budget of seconds that the training of the weights may take."""

_MOST_REPEATS = 1000


@dataclass
class Candidates:
    """Architectures, and the scores of the first ones: what ranking has come to."""

    architectures: list[Architecture] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)


class RandomSearchWithSharing:
    """Trains one supernet with a random architecture a step; ranks random ones with its weights.

    Choose it as the floor of searches that share weights, as ``random`` is of those that train
    every candidate: what ``darts`` finds must be worth more than a lucky draw from its supernet.
    """

    def __init__(self, options: RandomWsOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the finalist with the best validation F1 under the shared weights.

        Raises:
            OptionError: ``space`` is another one than ``conv-cells``.
        """
        options = self.options
        allowed = ctx.budget.seconds
        sharing = self._start(task, space, ctx)
        candidates = Candidates()
        if (saved := ctx.checkpoint.load()) is not None:
            sharing.restore(saved["sharing"])
            candidates = _read(saved["candidates"])
        started = monotonic() - ctx.seconds
        deadline = math.inf if allowed is None else started + allowed

        def keep() -> None:
            state = {"sharing": sharing.snapshot(), "candidates": _plain(candidates)}
            ctx.checkpoint.save(state)

        def keep_if_due() -> None:
            if ctx.checkpoint.due():
                keep()

        if not candidates.architectures:
            share = math.inf if allowed is None else started + TRAINING_SHARE * allowed
            sharing.train(
                ctx.progress,
                deadline=share,
                after_step=keep_if_due,
                after_epoch=lambda figures: ctx.log(math.nan, epoch=sharing.epoch, **figures),
            )
            candidates.architectures = _draw(sharing.space, ctx, options.candidates)
            keep()
        part = _part(task.validation, options.screening_beats, sharing)
        with ctx.progress.track("Screening", len(candidates.architectures)) as bar:
            bar.advance(len(candidates.scores))
            for arch in candidates.architectures[len(candidates.scores) :]:
                if candidates.scores and monotonic() >= deadline:
                    break
                candidates.scores.append(_f1(sharing, arch, part, task))
                bar.advance(best=max(candidates.scores))
                keep_if_due()
        finalists = best_first(candidates)[: options.finalists]
        table: list[dict[str, Any]] = []
        with ctx.progress.track("Comparing finalists", len(finalists)) as bar:
            for arch, screened in finalists:
                if table and monotonic() >= deadline:
                    break
                score = _f1(sharing, arch, task.validation, task)
                ctx.log(score, screened=screened)
                bar.advance(F1=score)
                table.append({"architecture": arch.hash, "score": score, "screened": screened})
        best = max(range(len(table)), key=lambda i: table[i]["score"])
        return SearchResult(
            finalists[best][0],
            {
                "finalists": table,
                "candidates": len(candidates.scores),
                "epochs": sharing.epoch,
                "search_parameters": sum(p.numel() for p in sharing.net.parameters()),
            },
        )

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float:
        """Return the seconds that the search will take here, from a few timed steps."""
        options = self.options
        sharing = self._start(task, space, ctx)
        training = sharing.seconds()
        arch = sharing.space.sample(ctx.rng)
        part = _part(task.validation, options.screening_beats, sharing)
        each = seconds_per_call(lambda: sharing.predict(arch, part), ctx.device, repeats=1)
        whole = each * len(task.validation) / len(part)
        total = training + options.candidates * each + options.finalists * whole
        return total if ctx.budget.seconds is None else min(total, ctx.budget.seconds)

    def _start(self, task: Task, space: SearchSpace, ctx: SearchContext) -> Sharing:
        if not isinstance(space, ConvCells):
            raise OptionError(
                f"random-ws has no supernet of the search space {space.name!r}.",
                fix="It searches conv-cells: leave --space out.",
            )
        return Sharing(self.options, space, task.train, ctx.rng, device=ctx.device)


def best_first(candidates: Candidates) -> list[tuple[Architecture, float]]:
    """Return the architectures that have a score with it, best first, of equals the first drawn."""
    scored = list(zip(candidates.architectures, candidates.scores, strict=False))
    return sorted(scored, key=lambda pair: -pair[1])


def _draw(space: ConvCells, ctx: SearchContext, n: int) -> list[Architecture]:
    """Return ``n`` different random architectures, or as many as many draws give."""
    drawn: dict[str, Architecture] = {}
    repeats = 0
    while len(drawn) < n and repeats < _MOST_REPEATS:
        arch = space.sample(ctx.rng)
        repeats = repeats + 1 if arch.hash in drawn else 0
        drawn.setdefault(arch.hash, arch)
    return list(drawn.values())


def _part(beats: Beats, n: int | None, sharing: Sharing) -> Beats:
    """Return ``n`` of the beats, the same ones for all candidates."""
    if n is None or n >= len(beats):
        return beats
    generator = torch.Generator().manual_seed(sharing.seed)
    return beats.take(torch.randperm(len(beats), generator=generator)[:n].numpy())


def _f1(sharing: Sharing, arch: Architecture, beats: Beats, task: Task) -> float:
    confusion = sharing.confusion(arch, beats)
    return scores(confusion, task.train.classes, task.macro_classes)["f1_of_macro"]


def _plain(candidates: Candidates) -> dict[str, Sequence[Any]]:
    return {
        "architectures": [arch.to_dict() for arch in candidates.architectures],
        "scores": candidates.scores,
    }


def _read(data: dict[str, Sequence[Any]]) -> Candidates:
    architectures = [Architecture.from_dict(one) for one in data["architectures"]]
    return Candidates(architectures, [float(score) for score in data["scores"]])
