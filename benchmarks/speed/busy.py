"""Utilization of the GPU in an epoch: the time of its kernels as a share of wall time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import torch
from measure import Target
from paper import Plan, search, train

from nasbench_ecg.api import MissingDataError, Progress, Silent
from nasbench_ecg.progress import Steps

_WINDOW = (10, 30)  # the first steps choose kernels and capture graphs


class EnoughError(Exception):
    """The last step of the window is done."""


class StepWindow(Silent):
    """Profiles the steps of a window, and raises EnoughError after the last one."""

    def __init__(self, device: str, first: int = _WINDOW[0], last: int = _WINDOW[1]) -> None:
        activity = torch.profiler.ProfilerActivity
        self.profiler = torch.profiler.profile(
            activities=[activity.CUDA if device == "cuda" else activity.CPU]
        )
        self.device, self.first, self.last = device, first, last
        self.done, self.seconds, self._started = 0, 0.0, 0.0

    @contextmanager
    def track(self, label: str, total: int) -> Iterator[Steps]:
        """Count the steps of a bar that is not shown."""
        yield self

    def advance(self, n: int = 1, **figures: float | str) -> None:
        """Count steps, and start and stop the profiler."""
        self.done += n
        if not self._started and self.done >= self.first:
            self._synchronise()
            self.profiler.start()
            self._started = time.perf_counter()
        elif self._started and self.done >= self.last:
            self._synchronise()
            self.seconds = time.perf_counter() - self._started
            self.profiler.stop()
            raise EnoughError

    def share(self) -> float:
        """Return the share of the window in which a kernel ran on the GPU."""
        kernels = [
            (event.time_range.start, event.time_range.end)
            for event in self.profiler.events() or ()  # type: ignore[no-untyped-call]
            if event.device_type.name == "CUDA"
        ]
        return 1e-6 * covered(kernels) / self.seconds

    def _synchronise(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def covered(intervals: Sequence[tuple[float, float]]) -> float:
    """Return the length of the union of ``intervals``."""
    total, end = 0.0, float("-inf")
    for start, stop in sorted(intervals):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def busy(plan: Plan) -> list[Target] | None:
    """Measure the utilization in search and training; None without CUDA or without records."""
    if plan.device != "cuda":
        return None
    try:
        ready, _ = plan.prepare()
    except MissingDataError:
        return None
    arch = ready.space.sample(ready.search_context().rng)
    work: dict[str, Callable[[Progress], object]] = {
        "search": lambda progress: search(ready, progress),
        "training": lambda progress: train(ready, arch, progress),
    }
    return [_busy_target(name, StepWindow(plan.device), call) for name, call in work.items()]


def _busy_target(name: str, window: StepWindow, call: Callable[[Progress], object]) -> Target:
    with suppress(EnoughError):
        call(window)
    share = window.share()
    n_steps = window.last - window.first
    return Target(
        what=f"device busy during an epoch of the {name}",
        target="≥ 90%",
        seconds={f"{n_steps} steps": window.seconds},
        held=share >= 0.9,
        note=f"{share:.0%} of their wall time",
        figures={"share": share},
    )
