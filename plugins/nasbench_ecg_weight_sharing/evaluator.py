"""The evaluator ``shared-weights``: scores architectures with the weights of one supernet.

References:
    Bender, Kindermans, Zoph, Vasudevan, Le 2018, "Understanding and Simplifying One-Shot
    Architecture Search", ICML.

    Guo et al. 2020, "Single Path One-Shot Neural Architecture Search with Uniform Sampling", ECCV.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

import numpy as np
import torch

from nasbench_ecg.api import (
    Architecture,
    Beats,
    Builder,
    Evaluation,
    EvaluationContext,
    OptionError,
    Task,
)
from nasbench_ecg.metrics import confusion_matrix, scores
from nasbench_ecg_cells.genotype import SPACE, Genotype
from nasbench_ecg_cells.options import ConvCellsOptions
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_weight_sharing.options import SharedWeightsOptions
from nasbench_ecg_weight_sharing.shared_supernet import SharedSupernet


@dataclass(frozen=True)
class _Trained:
    """A trained supernet, and everything but the options that its weights depend on."""

    supernet: SharedSupernet
    beats: Beats
    fingerprint: str
    nodes: int
    seed: int
    device: str


class SharedWeights:
    """Scores architectures of ``conv-cells`` with the weights of one supernet.

    Choose it to score many architectures for the cost of one training, and check first how it
    ranks them: ``nasbench-ecg correlate shared-weights``. The supernet is trained when the first
    architecture is scored, and reused for all that are scored on the same beats with the same seed;
    a cross-validation has one for each fold. Its size is an option; the run's builder and the
    fidelity of candidates are not used.
    """

    def __init__(self, options: SharedWeightsOptions) -> None:
        self.options = options
        self._trained: list[_Trained] = []

    def evaluate(
        self, arch: Architecture, task: Task, builder: Builder, ctx: EvaluationContext
    ) -> Evaluation:
        """Return the scores of an architecture on the part of the data that ``ctx`` gives.

        Raises:
            OptionError: The architecture belongs to another space, or has an operation that the
                supernet lacks.
        """
        started = monotonic()
        space = self._space_of(arch)
        fit_on, score_on = ctx.parts()
        supernet = self._trained_supernet(fit_on, space, ctx)
        predicted = supernet.predict(arch, score_on)
        confusion = confusion_matrix(score_on.labels, predicted, task.n_classes)
        metrics = scores(confusion, task.train.classes, task.macro_classes)
        return Evaluation(
            architecture=arch,
            score=metrics["f1_of_macro"],
            metrics=metrics,
            seconds=monotonic() - started,
            confusion=confusion.tolist(),
            predictions=predicted.tolist(),
        )

    def _space_of(self, arch: Architecture) -> ConvCells:
        if arch.space != SPACE:
            raise OptionError(
                f"shared-weights has no supernet of the search space {arch.space!r}.",
                fix="It scores architectures of conv-cells; choose another evaluator.",
            )
        nodes = len(Genotype.from_architecture(arch).normal)
        space = ConvCells(ConvCellsOptions(nodes=nodes, operations=self.options.operations))
        space.validate(arch)
        return space

    def _trained_supernet(
        self, fit_on: Beats, space: ConvCells, ctx: EvaluationContext
    ) -> SharedSupernet:
        seed = torch.initial_seed() % 2**31
        same = [
            one
            for one in self._trained
            if (one.nodes, one.seed, one.device) == (space.nodes, seed, ctx.device)
        ]
        # each candidate gets new beats of a fold, whose equality takes longer to see
        if (known := next((one for one in same if one.beats is fit_on), None)) is not None:
            return known.supernet
        fingerprint = fit_on.fingerprint()
        if (known := next((o for o in same if o.fingerprint == fingerprint), None)) is not None:
            return known.supernet
        rng = np.random.default_rng(seed)
        supernet = SharedSupernet(self.options, space, fit_on, rng, device=ctx.device)
        if (saved := ctx.checkpoint.load()) is not None:
            supernet.restore(saved)

        def save_if_due() -> None:
            if ctx.checkpoint.due():
                ctx.checkpoint.save(supernet.snapshot())

        supernet.train(ctx.progress, after_step=save_if_due)
        trained = _Trained(supernet, fit_on, fingerprint, space.nodes, seed, ctx.device)
        self._trained.append(trained)
        return supernet
