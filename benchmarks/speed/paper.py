"""Times of the whole search and the whole final training of a profile, run by the harness."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from measure import Target

from nasbench_ecg.api import Architecture, MissingDataError, Progress, Silent
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.progress import Steps
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.contexts import FinalTestContext
from nasbench_ecg.run.prepare import PreparedRun, prepare_run
from nasbench_ecg.run.record_files import read_records
from nasbench_ecg.run.request import RunRequest
from nasbench_ecg.training.seeding import seeded

_LIMITS = {"search": (600, "≤ 10 min on a GPU of the H100's class, then ≤ 5"),
           "training": (180, "≤ 3 min on the same GPU")}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What is timed.

    Attributes:
        device: ``cpu`` or ``cuda``.
        epochs: Epochs to measure; None for all.
        dataset: Name of the dataset.
        profile: Profile whose search and training are timed.
        precision: ``float32``, ``tf32`` or ``bf16``; None for that of the profile.
        cache: Cache folder of beats; None for the user's.
    """

    device: str
    epochs: int | None = None
    dataset: str = "mitbih-2lead"
    profile: str = "paper"
    precision: str | None = None
    cache: Path | None = None

    def prepare(self) -> tuple[PreparedRun, dict[str, int]]:
        """Return the prepared run, and the total epochs of search and training."""
        registry = load_registry()
        given: dict[str, Any] = {} if self.precision is None else {"precision": self.precision}
        whole = configure(registry, self._request(given, given))
        epochs = {
            "search": int(whole.strategy.options.model_dump()["epochs"]),
            "training": int(whole.evaluator.options.model_dump()["epochs"]),
        }
        part = {name: min(n, self.epochs or n) for name, n in epochs.items()}
        config = configure(
            registry,
            self._request(
                {**given, "epochs": part["search"]}, {**given, "epochs": part["training"]}
            ),
        )
        source = LocalSource(cache=self.cache)
        return prepare_run(config, source=source, progress=Silent(), suite="speed"), epochs

    def _request(self, strategy: dict[str, Any], evaluator: dict[str, Any]) -> RunRequest:
        return RunRequest(
            strategy="darts",
            dataset=self.dataset,
            profile=self.profile,
            device=self.device,
            overrides={"strategy": strategy, "evaluator": evaluator},
        )


def quick_runs(device: str, *, bf16: bool) -> list[Target] | None:
    """Time ``run darts mitbih-2lead --profile quick`` in each precision; None without records."""
    component = load_registry().get("dataset", "mitbih-2lead")
    try:
        for requirement in component.create(component.options_model()()).requires():
            LocalSource().require(requirement)
    except MissingDataError:
        return None
    return [_quick_run(device, precision) for precision in ("float32", "bf16")[: 1 + bf16]]


def _quick_run(device: str, precision: str) -> Target:
    command = ["run", "darts", "mitbih-2lead", "--profile", "quick", "--device", device]
    for role in ("strategy", "evaluator"):
        command += ["--set", f"{role}.precision={precision}"]
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "nasbench_ecg", *command, "--out", out],
            check=True,
            capture_output=True,
        )
        seconds = time.perf_counter() - start
        ((record,), _) = read_records(Path(out))
    f1 = 100 * record.metrics["f1_of_macro"]
    return Target(
        what=f"quick profile of darts on mitbih-2lead, {device}, {precision}",
        target="≤ 8 min, then ≤ 4 min in total on two cores; F1 ≥ 96",
        seconds={"in total": seconds},
        held=seconds <= 480 and f1 >= 96,
        note=f"F1 {f1:.2f}, seed 0; search {record.seconds['search']:.0f} s, "
        f"training {record.seconds['evaluation']:.0f} s",
        figures={"f1": f1, **{f"{part}_s": value for part, value in record.seconds.items()}},
    )


class EpochClock(Silent):
    """Records when each epoch ends; the device is synchronized then."""

    def __init__(self) -> None:
        self.ends = [time.perf_counter()]

    @contextmanager
    def track(self, label: str, total: int) -> Iterator[Steps]:
        """Start the clock for a bar that is not shown."""
        self.ends = [time.perf_counter()]
        yield self

    def advance(self, n: int = 1, **figures: float | str) -> None:
        """Record the end of an epoch, marked by the figure ``epoch``."""
        if "epoch" in figures:
            self.ends.append(time.perf_counter())

    @property
    def seconds(self) -> list[float]:
        """Wall time of each epoch."""
        return [b - a for a, b in zip(self.ends, self.ends[1:], strict=False)]


def whole_run(plan: Plan) -> list[Target] | None:
    """Time search and training, extrapolated from ``plan.epochs``; None without records.

    Without ``plan.epochs`` both run to their end. The timed search finds the architecture that is
    trained.
    """
    try:
        run, epochs = plan.prepare()
    except MissingDataError:
        return None
    clock = EpochClock()
    architecture = search(run, clock)
    targets = [_target("search", plan, epochs["search"], clock.seconds)]
    clock = EpochClock()
    train(run, architecture, clock)
    return [*targets, _target("training", plan, epochs["training"], clock.seconds)]


def search(run: PreparedRun, progress: Progress) -> Architecture:
    """Search as a run does; return the architecture found."""
    ctx = run.search_context()
    ctx.progress = progress
    with seeded(run.config.search_seed):
        return run.strategy.search(run.task, run.space, run.builder, ctx).architecture


def train(run: PreparedRun, architecture: Architecture, progress: Progress) -> None:
    """Train and score ``architecture`` as a run does."""
    ctx = FinalTestContext(run.task, run.test.load(), run.config.device, progress)
    with seeded(run.config.evaluation_seed):
        run.evaluator.evaluate(architecture, run.task, run.builder, ctx)


def extrapolated(seconds: Sequence[float], epochs: int) -> float:
    """Return the total time of all epochs; each one not measured counts as the median.

    The first epoch is not part of the median where there are others.
    """
    typical = median(seconds[1:] or seconds)
    return sum(seconds) + typical * (epochs - len(seconds))


def _target(part: str, plan: Plan, epochs: int, seconds: list[float]) -> Target:
    limit, target = _LIMITS[part]
    total = extrapolated(seconds, epochs)
    is_whole = len(seconds) == epochs
    label = "complete" if is_whole else f"EXTRAPOLATED from {len(seconds)} of {epochs} epochs"
    is_published = (plan.device, plan.dataset, plan.profile) == ("cuda", "mitbih-2lead", "paper")
    return Target(
        what=f"whole {part}, profile {plan.profile}, {plan.dataset}, "
        f"{plan.precision or 'precision of the profile'}",
        target=target if is_published else "",
        seconds={label: total},
        held=total <= limit if is_published else None,
        note=f"an epoch: {median(seconds[1:] or seconds):.3g} s, the first: {seconds[0]:.3g} s",
        figures={"epochs": epochs, "epochs_measured": len(seconds), "measured": sum(seconds)},
    )
