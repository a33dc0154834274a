"""What a network costs, as evaluators: parameters, floating-point operations, latency."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nasbench_ecg.api import Architecture, Builder, Evaluation, EvaluationContext, Task
from nasbench_ecg.training import seconds_per_call
from nasbench_ecg_evaluators.options import CountOptions, LatencyOptions
from nasbench_ecg_evaluators.proxies import build


class Count:
    """Scores a network by its size, which no training changes.

    As a proxy of accuracy, larger counts as better, and few proxies do better than that (White et
    al. 2022); as a cost, with ``prefer=fewer``, the score is the negative count.

    References:
        White, Khodak, Tu, Shah, Bubeck, Dey 2022, "A Deeper Look at Zero-Cost Proxies for
        Lightweight NAS", ICLR Blog Track.
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
        """Return the count as a metric under its name, and with the preferred sign as score."""
        started = monotonic()
        count = self.count(build(arch, task, builder), task)
        return Evaluation(
            architecture=arch,
            score=float(count if self.options.prefer == "more" else -count),
            metrics={self.name: float(count)},
            seconds=monotonic() - started,
        )


def count_parameters(model: nn.Module, task: Task) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def count_flops(model: nn.Module, task: Task) -> int:
    """Return the floating-point operations of one beat: two for each multiply-accumulate."""
    beat = torch.zeros(1, task.n_leads, task.n_samples)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.eval()(beat)
    return int(counter.get_total_flops())


Parameters = partial(Count, "parameters", count_parameters)
Flops = partial(Count, "flops", count_flops)


class Latency:
    """Scores a network by the time it takes on the device of the run: minus milliseconds.

    Measured figures differ a little from one time to the next, so among all evaluators this one is
    not repeatable to the last bit.
    """

    def __init__(self, options: LatencyOptions) -> None:
        self.options = options

    def evaluate(
        self, arch: Architecture, task: Task, builder: Builder, ctx: EvaluationContext
    ) -> Evaluation:
        """Return the median wall time of one beat and of a batch, in milliseconds."""
        started = monotonic()
        options = self.options
        model = build(arch, task, builder).to(ctx.device).eval()
        one, batch = (
            self._milliseconds(model, task, ctx.device, beats, repeats)
            for beats, repeats in (
                (1, options.repeats),
                (options.batch_size, options.batch_repeats),
            )
        )
        return Evaluation(
            architecture=arch,
            score=-(one if options.rank_by == "beat" else batch),
            metrics={"latency_1_ms": one, f"latency_{options.batch_size}_ms": batch},
            seconds=monotonic() - started,
        )

    @staticmethod
    def _milliseconds(model: nn.Module, task: Task, device: str, beats: int, repeats: int) -> float:
        x = torch.zeros(beats, task.n_leads, task.n_samples, device=device)
        with torch.inference_mode():
            return 1e3 * seconds_per_call(lambda: model(x), device, repeats=repeats)
