"""Compare the time and the results of several implementations of one task."""

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
        what: The task.
        target: The required speed, in words.
        seconds: Median wall time of each implementation, the reference first.
        same: Whether the results are equal, and the tolerance; None if there is only one.
        held: Whether the target is met; None if this machine cannot decide it.
        note: Explanation for the reader.
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
        """Time of the reference divided by the best other time; None if there is only one time."""
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
    """Return the median wall time of each implementation, measured in turns.

    Turns make all implementations equally exposed to noise.

    Args:
        ways: The implementations by name.
        rounds: Turns that are measured. They follow warm-up turns, which fill caches and capture
            graphs.
        settling: Calls in each turn before the measured one. They leave memory as a step of the
            same implementation does, as in a real training.
        device: ``cpu`` or ``cuda``; a GPU is synchronized before and after a measured call.
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
    """Return the hardware and software of this machine, and its load."""
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
    """Return the largest difference divided by the largest value of ``a``."""
    return float((a - b).abs().max() / a.abs().max().clamp_min(1e-30))
