"""Searches of bit strings in the harness's context, scored by a function and not by training."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
from tiny_beats import tiny_beats
from torch import nn

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Budget, Evaluation
from nasbench_ecg.encoding import Categorical, check_values
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.contexts import RunSearchContext

TASK = SimpleNamespace(
    n_leads=1,
    n_samples=4,
    n_classes=2,
    macro_classes=("N", "S"),
    validation=tiny_beats(4, n_leads=1, n_samples=4, classes=("N", "S")),
    validation_folds=None,
)


class Bits:
    """All strings of ``n`` bits; neighbours differ in one bit."""

    name = "bits"

    def __init__(self, n):
        self.n = n
        self.parents = []
        self.children = []

    @property
    def size(self):
        return 2**self.n

    def sample(self, rng):
        return bits(rng.integers(2, size=self.n).tolist())

    def mutate(self, arch, rng):
        self.parents.append(arch)
        changed = list(arch.genotype)
        changed[rng.integers(self.n)] ^= 1
        self.children.append(bits(changed))
        return self.children[-1]

    def crossover(self, a, b, rng):
        pairs = zip(a.genotype, b.genotype, strict=True)
        return bits([pair[rng.integers(2)] for pair in pairs])

    def neighbours(self, arch):
        for i in range(self.n):
            changed = list(arch.genotype)
            changed[i] ^= 1
            yield bits(changed)

    def parameters(self):
        return [Categorical(f"bit-{i}", (0, 1)) for i in range(self.n)]

    def encode(self, arch):
        return {f"bit-{i}": bit for i, bit in enumerate(arch.genotype)}

    def decode(self, values):
        return bits(check_values(self.parameters(), values).values())

    def validate(self, arch):
        assert arch.space == self.name and len(arch.genotype) == self.n


class Wide:
    """Builds a layer with one parameter for every bit that is set, and two more."""

    def build(self, arch, *, n_leads, n_samples, n_classes):
        return _FirstSamples(1 + sum(arch.genotype), 1)


class _FirstSamples(nn.Linear):
    """A linear layer on as many samples as it has inputs, of the beats repeated as needed."""

    def forward(self, x):
        flat = x.flatten(1)
        return super().forward(
            flat.repeat(1, -(-self.in_features // flat.shape[1]))[:, : self.in_features]
        )


def bits(values):
    return Architecture("bits", list(values))


@dataclass
class Lookup:
    """An evaluator that scores by a function and reports one second per evaluation."""

    score: object = lambda arch, fidelity: sum(arch.genotype)
    calls: list = field(default_factory=list)

    def estimate(self, arch, task, builder, ctx):
        return float(ctx.fidelity.epochs - (ctx.fidelity.continues or 0))

    def evaluate(self, arch, task, builder, ctx):
        self.calls.append((arch, ctx.fidelity))
        score = float(self.score(arch, ctx.fidelity))
        return Evaluation(architecture=arch, score=score, metrics={}, seconds=1.0)

    @property
    def architectures(self):
        return [arch for arch, _ in self.calls]


def context(space, evaluator, *, seed=0, budget=None, rng=None):
    return RunSearchContext(
        task=TASK,
        space=space,
        builder=Wide(),
        evaluator=evaluator,
        rng=rng or np.random.default_rng(seed),
        evaluation_seed=0,
        device="cpu",
        progress=Silent(),
        budget=budget or Budget(),
    )
