"""Zero-cost proxies: scores of an untrained network, computed on one batch of training beats.

Proxies use only the training part, so a run can end with one without opening the test part. Weights
and batch depend on the evaluation seed. A larger score predicts a better trained network;
``nasbench-ecg correlate`` measures how well it does so on a dataset.

References:
    Abdelfattah, Mehrotra, Dudziak, Lane 2021, "Zero-Cost Proxies for Lightweight NAS", ICLR
    (compares most of these proxies).
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

from nasbench_ecg.api import (
    Architecture,
    Builder,
    Evaluation,
    EvaluationContext,
    OptionError,
    Task,
)
from nasbench_ecg.training import arithmetic, build_network, to_device
from nasbench_ecg_evaluators.options import ProxyOptions

Measure = Callable[[nn.Module, Tensor, Tensor], float]
"""Maps an untrained network, beats [batch, leads, samples] and labels [batch] to a score."""

MIN_EIGENVALUE = 1e-6
"""Lower bound of the eigenvalues of the naswot kernel."""

JACOBIAN_EPSILON = 1e-5
"""The constant k of Mellor et al. 2020."""

_RECTIFIERS = {
    torch.ops.aten.relu.default,
    torch.ops.aten.relu_.default,
    torch.ops.aten.leaky_relu.default,
    torch.ops.aten.leaky_relu_.default,
    torch.ops.aten._prelu_kernel.default,
    torch.ops.aten.rrelu_with_noise.default,
    torch.ops.aten.rrelu_with_noise_.default,
}
_CLIPPED = {torch.ops.aten.hardtanh.default, torch.ops.aten.hardtanh_.default}
"""Rectifiers if they clip at 0, as ReLU6."""


def synflow(model: nn.Module, signals: Tensor, labels: Tensor) -> float:
    """Return the logarithm of the synaptic flow Σ w · ∂R/∂w, where R = Σ f(1; |w|).

    Only the shape of the beats is used. Batch normalization is bypassed, and the sum is computed in
    double precision. The logarithm keeps the ranks and avoids overflow in deep networks; the score
    of a network whose output does not depend on its input is −708.

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
    """Return log det K, where K[i, j] counts the rectifiers with the same state for beats i and j.

    All ReLU, ReLU6, LeakyReLU, PReLU and RReLU operations count, as modules and as functions.
    Eigenvalues are clamped to :data:`MIN_EIGENVALUE`, so the score is finite if two beats have
    equal states.

    Raises:
        OptionError: The network has no rectifier, so that its score would be a constant.

    References:
        Mellor, Turner, Storkey, Crowley 2021, "Neural Architecture Search without Training", ICML.
    """
    kernel = torch.zeros(len(signals), len(signals), dtype=torch.float64, device=signals.device)

    n_rectifiers = 0

    def add_equal_states(x: Tensor) -> None:
        nonlocal n_rectifiers
        n_rectifiers += 1
        on = (x.flatten(1) > 0).float()
        both, each = on @ on.T, on.sum(1)
        kernel.add_(2 * both - each - each[:, None] + on.shape[1])

    with torch.no_grad(), _Rectifiers(add_equal_states):
        model(signals)
    if not n_rectifiers:
        raise OptionError(
            "The proxy 'naswot' compares the states of rectifiers, and this network has none.",
            fix="Choose another evaluator, for example: --evaluator jacob-cov",
        )
    return float(torch.linalg.eigvalsh(kernel).clamp_min(MIN_EIGENVALUE).log().sum())


class _Rectifiers(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Calls a function with the input of every rectifier."""

    def __init__(self, callback: Callable[[Tensor], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.callback = callback

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in _RECTIFIERS or (func in _CLIPPED and args[1:2] == (0,)):
            self.callback(args[0])
        return func(*args, **(kwargs or {}))


def jacobian_covariance(model: nn.Module, signals: Tensor, labels: Tensor) -> float:
    """Return −Σ (log(v + k) + 1/(v + k)) over the eigenvalues v of the correlation of Jacobians.

    The Jacobian of a beat is the gradient of the sum of its logits with respect to its samples. A
    zero Jacobian counts as fully correlated with all others.

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
    """Return the sum over layers of the gradient norm ‖∂L/∂w‖₂, where L is the cross-entropy.

    References:
        Abdelfattah, Mehrotra, Dudziak, Lane 2021, "Zero-Cost Proxies for Lightweight NAS", ICLR.
    """
    _backward(model, signals, labels)
    return sum(float(g.norm()) for _, g in _weights_and_gradients(model))


def snip(model: nn.Module, signals: Tensor, labels: Tensor) -> float:
    """Return the saliency Σ |w · ∂L/∂w| of all weights, where L is the cross-entropy.

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
    """Scores an untrained network by a measure on one batch of training beats.

    Choose a proxy to rank many candidates in seconds; first check its rank correlation with
    trained scores.
    """

    def __init__(self, name: str, measure: Measure, options: ProxyOptions) -> None:
        self.name = name
        self.measure = measure
        self.options = options

    def evaluate(
        self, arch: Architecture, task: Task, builder: Builder, ctx: EvaluationContext
    ) -> Evaluation:
        """Return the measure as the score and as the metric ``name``."""
        started = monotonic()
        generator = torch.Generator().manual_seed(torch.initial_seed() % 2**31)
        size = min(self.options.batch_size, len(task.train))
        drawn = torch.randperm(len(task.train), generator=generator)[:size]
        batch = to_device(task.train.take(drawn.numpy()), ctx.device)
        model = build_network(arch, task, builder).to(ctx.device).train()
        with arithmetic(ctx.device, "float32"):
            score = self.measure(model, batch.signals, batch.labels)
        return Evaluation(
            architecture=arch,
            score=score,
            metrics={self.name: score},
            seconds=monotonic() - started,
        )


Synflow = partial(Proxy, "synflow", synflow)
Naswot = partial(Proxy, "naswot", naswot)
JacobCov = partial(Proxy, "jacob_cov", jacobian_covariance)
GradNorm = partial(Proxy, "grad_norm", grad_norm)
Snip = partial(Proxy, "snip", snip)
