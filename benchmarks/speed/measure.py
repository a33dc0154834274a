"""Two ways to do one thing, timed in turns in one run, and whether they did the same."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import torch

from nasbench_ecg.training.graphs import WARMUP


@dataclass(frozen=True)
class Target:
    """One row of the table.

    Attributes:
        what: What is compared.
        target: What was asked for, in words.
        seconds: Median wall time of each way, the reference first.
        same: Whether both computed the same, and within which tolerance; None: nothing to compare.
        held: Whether the target is met; None where it cannot be told on this machine.
        note: How to read it.
        figures: Other numbers.
    """

    what: str
    target: str
    seconds: Mapping[str, float]
    same: str | None = None
    held: bool | None = None
    note: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Reference over the best of the others; None where only one thing was timed."""
        times = list(self.seconds.values())
        return times[0] / min(times[1:]) if len(times) > 1 else None

    def data(self) -> dict[str, Any]:
        """Return JSON data."""
        return {**asdict(self), "ratio": self.ratio}


def in_turns(
    ways: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 5,
    settling: int = 1,
    device: str = "cpu",
) -> dict[str, float]:
    """Return the median wall time of each way; they take turns, so that noise hits them alike.

    Args:
        ways: What is timed, by name.
        rounds: Turns of each. One more before them does not count: caches fill in it, and graphs
            are captured.
        settling: Calls in each turn before the one that counts. In a training the step before was
            the same and left memory as this one needs it; another way's step did not.
        device: Waited for, where it is a GPU.
    """
    uncounted = WARMUP + 2 if device == "cuda" else 1
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(uncounted + rounds):
        for name, call in ways.items():
            for _ in range(settling):
                call()
            if device == "cuda":
                torch.cuda.synchronize()
            start = time.perf_counter()
            call()
            if device == "cuda":
                torch.cuda.synchronize()
            if turn >= uncounted:
                times[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in times.items()}


def machine(device: str) -> dict[str, Any]:
    """Return what the figures were measured on."""
    from nasbench_ecg.run.environment import cpu_name

    found: dict[str, Any] = {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if device == "cuda":
        found["gpu"] = torch.cuda.get_device_name()
        found["cuda"] = torch.version.cuda
    return found


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the largest difference, relative to the largest value of ``a``."""
    return float((a - b).abs().max() / a.abs().max().clamp_min(1e-30))
