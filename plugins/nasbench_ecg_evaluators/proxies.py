"""Zero-cost proxies: what one batch tells of a network that was never trained.

All use the train part alone, so that they may also end a run without opening the test part. Weights
and batch follow the seed of the evaluation. Scores are such that larger should mean a better
network after training; how far that holds on a dataset, ``nasbench-ecg correlate`` measures.

References:
    Abdelfattah, Mehrotra, Dudziak, Lane 2021, "Zero-Cost Proxies for Lightweight NAS", ICLR.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic

import torch
from torch import Tensor, nn

from nasbench_ecg.api import (
    Architecture,
    Builder,
    Evaluation,
    EvaluationContext,
    Task,
    arithmetic,
    to_device,
)
from nasbench_ecg_evaluators.measures import (
    grad_norm,
    jacobian_covariance,
    naswot,
    snip,
    synflow,
)
from nasbench_ecg_evaluators.options import ProxyOptions

Measure = Callable[[nn.Module, Tensor, Tensor], float]
"""From a fresh network, beats [batch, leads, samples] and labels [batch] to its score."""


class Proxy:
    """Scores a network at its initialisation by a measure on one batch of training beats.

    Choose one to rank many candidates in seconds, and check first how it correlates.
    """

    def __init__(self, name: str, measure: Measure, options: ProxyOptions) -> None:
        self.name = name
        self.measure = measure
        self.options = options

    def evaluate(
        self, arch: Architecture, task: Task, builder: Builder, ctx: EvaluationContext
    ) -> Evaluation:
        """Return the measure as score, and as a metric under the proxy's name."""
        started = monotonic()
        generator = torch.Generator().manual_seed(torch.initial_seed() % 2**31)
        size = min(self.options.batch_size, len(task.train))
        drawn = torch.randperm(len(task.train), generator=generator)[:size]
        batch = to_device(task.train.take(drawn.numpy()), ctx.device)
        model = build(arch, task, builder).to(ctx.device).train()
        with arithmetic(ctx.device, "float32"):
            score = self.measure(model, batch.signals, batch.labels)
        return Evaluation(
            architecture=arch,
            score=score,
            metrics={self.name: score},
            seconds=monotonic() - started,
        )


def build(arch: Architecture, task: Task, builder: Builder) -> nn.Module:
    """Return a fresh network for the beats of ``task``."""
    return builder.build(
        arch, n_leads=task.n_leads, n_samples=task.n_samples, n_classes=task.n_classes
    )


Synflow = partial(Proxy, "synflow", synflow)
Naswot = partial(Proxy, "naswot", naswot)
JacobCov = partial(Proxy, "jacob_cov", jacobian_covariance)
GradNorm = partial(Proxy, "grad_norm", grad_norm)
Snip = partial(Proxy, "snip", snip)
