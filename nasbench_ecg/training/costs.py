"""What a network costs: parameters, multiply-accumulates, latency, memory."""

from __future__ import annotations

import resource
import sys

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Builder, Task
from nasbench_ecg.training.engine import seconds_per_call
from nasbench_ecg.training.precision import arithmetic
from nasbench_ecg.training.seeding import seeded

LATENCY_BATCH = 256


def latencies(model: nn.Module, n_leads: int, n_samples: int, device: str) -> dict[str, float]:
    """Return the median wall time of one beat and of a batch of 256, in milliseconds.

    Returns:
        ``latency_1_ms`` and ``latency_256_ms``.
    """
    model = model.to(device).eval()
    one = torch.zeros(1, n_leads, n_samples, device=device)
    many = torch.zeros(LATENCY_BATCH, n_leads, n_samples, device=device)
    with torch.inference_mode(), arithmetic(device, "float32"):
        seconds = {
            1: seconds_per_call(lambda: model(one), device, repeats=30),
            LATENCY_BATCH: seconds_per_call(lambda: model(many), device, repeats=5),
        }
    return {f"latency_{beats}_ms": 1e3 * some for beats, some in seconds.items()}


def costs(model: nn.Module, task: Task, device: str) -> dict[str, float]:
    """Return the costs of a network for beats of this task, measured on ``device``.

    Returns:
        ``parameters``; ``macs``, multiply-accumulates of one beat; and :func:`latencies`.
    """
    model = model.to(device).eval()
    one = torch.zeros(1, task.n_leads, task.n_samples, device=device)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(one)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "macs": counter.get_total_flops() // 2,
        **latencies(model, task.n_leads, task.n_samples, device),
    }


def peak_memory_mb(device: str) -> float:
    """Return the largest memory taken so far, in megabytes: the GPU's, or the process's."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def costs_of(arch: Architecture, task: Task, builder: Builder, device: str) -> dict[str, float]:
    """Return :func:`costs` of a fresh network, and the largest memory taken so far."""
    with seeded(0):
        model = builder.build(
            arch, n_leads=task.n_leads, n_samples=task.n_samples, n_classes=task.n_classes
        )
        measured = costs(model, task, device)
    return {**measured, "peak_memory_mb": round(peak_memory_mb(device), 1)}
