"""Zero-cost proxies: what one batch tells of a network that was never trained.

All use the train part alone, so that they may also end a run without opening the test part. Weights
and batch follow the seed of the evaluation. Scores are such that larger should mean a better
network after training; how far that holds on a dataset, ``nasbench-ecg correlate`` measures.

References:
    Abdelfattah, Mehrotra, Dudziak, Lane 2021, "Zero-Cost Proxies for Lightweight NAS", ICLR.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode

from nasbench_ecg.api import Architecture, Builder, Evaluation, EvaluationContext, Task
from nasbench_ecg.training import arithmetic, to_device
from nasbench_ecg_evaluators.options import ProxyOptions

Measure = Callable[[nn.Module, Tensor, Tensor], float]
"""From a fresh network, beats [batch, leads, samples] and labels [batch] to its score."""


SMALLEST_EIGENVALUE = 1e-6
"""Floor of the eigenvalues of naswot's kernel."""

JACOBIAN_EPSILON = 1e-5
"""The constant k of Mellor et al. 2021, version 1."""

_RECTIFIERS = {
    torch.ops.aten.relu.default,
    torch.ops.aten.relu_.default,
    torch.ops.aten.leaky_relu.default,
    torch.ops.aten.leaky_relu_.default,
}


def synflow(model: nn.Module, signals: Tensor, labels: Tensor) -> float:
    """Return the logarithm of the synaptic flow Σ w · ∂R/∂w, R = Σ f(1; |w|).

    Neither beats nor labels are used, only their shape. Batch normalisation is left out, and the
    sum is taken in double precision. The logarithm, which leaves ranks as they are, keeps deep
    networks within the range of a float; a network whose input does not reach its output has −708.

    References:
        Tanaka, Kunin, Yamins, Ganguli 2020, "Pruning neural networks without any data by
        iteratively conserving synaptic flow", NeurIPS.
    """
    model.double().eval()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.register_forward_hook(lambda _module, inputs, _output: inputs[0])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_()
    model(torch.ones_like(signals[:1], dtype=torch.float64)).sum().backward()
    flow = sum(float((w * g).sum()) for w, g in _weights_and_gradients(model))
    return math.log(max(flow, sys.float_info.min))


def naswot(model: nn.Module, signals: Tensor, labels: Tensor) -> float:
    """Return log det K, with K[i, j] the rectifiers that are alike on or off for beats i and j.

    All ReLUs and LeakyReLUs count, those inside functions too. Eigenvalues below
    :data:`SMALLEST_EIGENVALUE` are set to it, so that a network that cannot tell two beats apart
    has a low score and not minus infinity.

    References:
        Mellor, Turner, Storkey, Crowley 2021, "Neural Architecture Search without Training", ICML.
    """
    kernel = torch.zeros(len(signals), len(signals), dtype=torch.float64, device=signals.device)

    def compare(before: Tensor) -> None:
        on = (before.flatten(1) > 0).float()
        both, each = on @ on.T, on.sum(1)
        kernel.add_(2 * both - each - each[:, None] + on.shape[1])

    with torch.no_grad(), _Rectifiers(compare):
        model(signals)
    return float(torch.linalg.eigvalsh(kernel).clamp_min(SMALLEST_EIGENVALUE).log().sum())


class _Rectifiers(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Hands what enters each rectifier to a function."""

    def __init__(self, see: Callable[[Tensor], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.see = see

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in _RECTIFIERS:
            self.see(args[0])
        return func(*args, **(kwargs or {}))


def jacobian_covariance(model: nn.Module, signals: Tensor, labels: Tensor) -> float:
    """Return −Σ log(v + k) + 1/(v + k) over the eigenvalues v of the Jacobians' correlation.

    A beat's Jacobian is the gradient of the sum of the logits with respect to its samples. Beats
    that it does not respond to count as correlated with all others.

    References:
        Mellor, Turner, Storkey, Crowley 2020, "Neural Architecture Search without Training",
        version 1, arXiv:2006.04647v1.
    """
    model.requires_grad_(False)
    signals = signals.clone().requires_grad_()
    model(signals).sum().backward()
    assert signals.grad is not None
    jacobian = signals.grad.flatten(1).double()
    correlation = torch.corrcoef(jacobian).nan_to_num(1.0)
    v = torch.linalg.eigvalsh(correlation).clamp_min(0) + JACOBIAN_EPSILON
    return -float((v.log() + 1 / v).sum())


def grad_norm(model: nn.Module, signals: Tensor, labels: Tensor) -> float:
    """Return the sum over layers of the gradient's norm ‖∂L/∂w‖₂, L the cross-entropy.

    References:
        Abdelfattah, Mehrotra, Dudziak, Lane 2021, "Zero-Cost Proxies for Lightweight NAS", ICLR.
    """
    _backward(model, signals, labels)
    return sum(float(g.norm()) for _, g in _weights_and_gradients(model))


def snip(model: nn.Module, signals: Tensor, labels: Tensor) -> float:
    """Return the summed saliency Σ |w · ∂L/∂w| of all weights, L the cross-entropy.

    References:
        Lee, Ajanthan, Torr 2019, "SNIP: Single-shot Network Pruning based on Connection
        Sensitivity", ICLR.
    """
    _backward(model, signals, labels)
    return sum(float((w * g).abs().sum()) for w, g in _weights_and_gradients(model))


def _backward(model: nn.Module, signals: Tensor, labels: Tensor) -> None:
    cross_entropy(model(signals), labels).backward()  # type: ignore[no-untyped-call]


def _weights_and_gradients(model: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    for parameter in model.parameters():
        if parameter.dim() > 1 and parameter.grad is not None:
            yield parameter.detach(), parameter.grad


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
