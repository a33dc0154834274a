"""Cost evaluators: trainable parameters, floating-point operations and latency of a network.

References:
    White, Khodak, Tu, Shah, Bubeck, Dey 2022, "A Deeper Look at Zero-Cost Proxies for Lightweight
    NAS", ICLR Blog Track (parameters and FLOPs as proxies).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic

from torch import nn

from nasbench_ecg.api import Architecture, Builder, Evaluation, EvaluationContext, Task
from nasbench_ecg.training import build_network, count_macs, count_parameters, latency
from nasbench_ecg_evaluators.options import CountOptions, LatencyOptions


class Count:
    """Scores an untrained network by a count.

    As a proxy of accuracy (``prefer=more``) the score is the count; few proxies rank networks
    better (White et al. 2022). As a cost (``prefer=fewer``) the score is minus the count.
    """

    def __init__(
        self, name: str, count: Callable[[nn.Module, Task], int], options: CountOptions
    ) -> None:
        self.name = name
        self.count = count
        self.options = options

    def evaluate(
        self, arch: Architecture, task: Task, builder: Builder, ctx: EvaluationContext
    ) -> Evaluation:
        """Return the count as the metric ``name``, and with the preferred sign as the score."""
        started = monotonic()
        count = self.count(build_network(arch, task, builder), task)
        return Evaluation(
            architecture=arch,
            score=float(count if self.options.prefer == "more" else -count),
            metrics={self.name: float(count)},
            seconds=monotonic() - started,
        )


def _parameters(model: nn.Module, task: Task) -> int:
    return count_parameters(model)


def _flops(model: nn.Module, task: Task) -> int:
    """Return the floating-point operations of one beat: two per multiply-accumulate."""
    return 2 * count_macs(model, task.n_leads, task.n_samples)


Parameters = partial(Count, "parameters", _parameters)
Flops = partial(Count, "flops", _flops)


class Latency:
    """Scores an untrained network by minus its latency on the run's device, in milliseconds.

    Latency is measured in float32. Unlike all other evaluators, this one is not exactly repeatable.
    """

    def __init__(self, options: LatencyOptions) -> None:
        self.options = options

    def evaluate(
        self, arch: Architecture, task: Task, builder: Builder, ctx: EvaluationContext
    ) -> Evaluation:
        """Return the median latencies of one beat and of a batch as metrics, in milliseconds."""
        started = monotonic()
        options = self.options
        model = build_network(arch, task, builder)
        beat, batch = (
            latency(model, task.n_leads, task.n_samples, ctx.device, beats=beats, repeats=repeats)
            for beats, repeats in (
                (1, options.repeats),
                (options.batch_size, options.batch_repeats),
            )
        )
        return Evaluation(
            architecture=arch,
            score=-(beat if options.rank_by == "beat" else batch),
            metrics={"latency_1_ms": beat, f"latency_{options.batch_size}_ms": batch},
            seconds=monotonic() - started,
        )
