"""What a candidate's network costs, found without training it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import nn

from nasbench_ecg.api import Architecture, Builder, Task
from nasbench_ecg.training import seconds_per_call
from nasbench_ecg_evaluators.costs import count_flops, count_parameters
from nasbench_ecg_evaluators.proxies import build

CostName = Literal["parameters", "macs", "latency"]

LATENCY_REPEATS = 30
"""Timed passes of one beat, of which the median counts, as in run records."""


def count_macs(model: nn.Module, task: Task, device: str) -> float:
    """Return the multiply-accumulates of one beat."""
    return count_flops(model, task) // 2


def latency(model: nn.Module, task: Task, device: str) -> float:
    """Return the median milliseconds of one beat on ``device``."""
    model.to(device).eval()
    beat = torch.zeros(1, task.n_leads, task.n_samples, device=device)
    with torch.inference_mode():
        return 1e3 * seconds_per_call(lambda: model(beat), device, repeats=LATENCY_REPEATS)


_MEASURES: Mapping[CostName, Callable[[nn.Module, Task, str], float]] = {
    "parameters": lambda model, task, device: count_parameters(model, task),
    "macs": count_macs,
    "latency": latency,
}


def network_costs(
    arch: Architecture, task: Task, builder: Builder, *, device: str, names: Sequence[CostName]
) -> dict[str, float]:
    """Return the costs ``names`` of the network that ``builder`` makes for the beats of ``task``.

    ``parameters`` are those that are trained, ``macs`` the multiply-accumulates of one beat, and
    ``latency`` the milliseconds of one beat on ``device``, which differ a little from one time to
    the next.
    """
    model = build(arch, task, builder)
    return {name: float(_MEASURES[name](model, task, device)) for name in names}
