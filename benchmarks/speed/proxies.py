"""Seconds of each zero-cost proxy per candidate, compared with one pass through its network."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
from measure import Target
from torch.nn.functional import cross_entropy

from nasbench_ecg.api import Architecture, Silent
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.run.config import RunConfig
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.prepare import PreparedRun, prepare_run
from nasbench_ecg.run.request import RunRequest
from nasbench_ecg.training import build_network, to_device

PROXIES = ("synflow", "naswot", "jacob-cov", "grad-norm", "snip", "parameters", "flops")

BEATS = 32
"""Default batch size of the proxies."""

MAX_SECONDS = 0.1
"""Target for the slowest proxy."""


def proxies(profile: str, device: str, *, n: int = 9) -> Target:
    """Time each proxy on final networks of a profile, including their construction.

    Args:
        profile: Profile of the networks.
        device: ``cpu`` or ``cuda``.
        n: Number of candidates; the results are medians over them.
    """
    configs = {name: _config(name, profile, device) for name in PROXIES}
    first = prepare_run(configs[PROXIES[0]], source=LocalSource(), progress=Silent(), suite="speed")
    ctx = first.search_context()
    candidates = [first.space.sample(ctx.rng) for _ in range(n)]
    calls: dict[str, Callable[[Architecture], object]] = {
        "built, one pass forward and back": lambda arch: _pass(first, arch, device),
        **{name: _evaluate(first.with_config(config)) for name, config in configs.items()},
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn, arch in enumerate((candidates[0], *candidates)):
        for name, call in calls.items():
            start = time.perf_counter()
            call(arch)
            if turn:  # the first turn warms up
                seconds[name].append(time.perf_counter() - start)
    medians = {name: median(values) for name, values in seconds.items()}
    slowest = max(medians[name] for name in PROXIES)
    return Target(
        what=f"zero-cost proxies, final networks of profile {profile}, {device}",
        target="< 0.1 s a candidate",
        seconds=medians,
        held=slowest < MAX_SECONDS,
        note=f"medians of {n} random candidates, {BEATS} beats",
        figures={"slowest": slowest},
    )


def _config(evaluator: str, profile: str, device: str) -> RunConfig:
    request = RunRequest(
        "random", "synthetic-2lead", profile=profile, device=device, evaluator=evaluator
    )
    return configure(load_registry(), request)


def _evaluate(ready: PreparedRun) -> Callable[[Architecture], object]:
    ctx = ready.search_context()
    return lambda arch: ready.evaluator.evaluate(arch, ready.task, ready.builder, ctx)


def _pass(ready: PreparedRun, arch: Architecture, device: str) -> None:
    task = ready.task
    batch = to_device(task.train.take(range(BEATS)), device)
    model = build_network(arch, task, ready.builder).to(device)
    loss = cross_entropy(model(batch.signals), batch.labels)
    loss.backward()  # type: ignore[no-untyped-call]
    if device == "cuda":
        torch.cuda.synchronize()
