"""What a zero-cost proxy takes for a candidate, beside one pass through the candidate's network."""

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
from nasbench_ecg.run.config import RunConfig, RunRequest, configure
from nasbench_ecg.run.runner import PreparedRun, prepare_run, under
from nasbench_ecg.training import to_device

PROXIES = ("synflow", "naswot", "jacob-cov", "grad-norm", "snip", "parameters", "flops")

BEATS = 32
"""Beats that a proxy looks at, unless told otherwise."""

MOST = 0.1


def proxies(profile: str, device: str, *, n: int = 9) -> Target:
    """Time each proxy on final networks of a profile, their construction included.

    Args:
        profile: Profile of the networks.
        device: ``cpu`` or ``cuda``.
        n: Candidates; the figures are medians over them.
    """
    configs = {name: _config(name, profile, device) for name in PROXIES}
    first = prepare_run(configs[PROXIES[0]], source=LocalSource(), progress=Silent(), suite="speed")
    ctx = first.search_context()
    candidates = [first.space.sample(ctx.rng) for _ in range(n)]
    ways: dict[str, Callable[[Architecture], object]] = {
        "built, one pass forward and back": lambda arch: _pass(first, arch, device),
        **{name: _scored(under(first, config)) for name, config in configs.items()},
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn, arch in enumerate((candidates[0], *candidates)):
        for name, call in ways.items():
            start = time.perf_counter()
            call(arch)
            if turn:  # the first fills caches
                seconds[name].append(time.perf_counter() - start)
    medians = {name: median(values) for name, values in seconds.items()}
    slowest = max(medians[name] for name in PROXIES)
    return Target(
        what=f"zero-cost proxies, final networks of profile {profile}, {device}",
        target="< 0.1 s a candidate",
        seconds=medians,
        held=slowest < MOST,
        note=f"medians of {n} random candidates, {BEATS} beats",
        figures={"slowest": slowest},
    )


def _config(evaluator: str, profile: str, device: str) -> RunConfig:
    request = RunRequest(
        "random", "synthetic-2lead", profile=profile, device=device, evaluator=evaluator
    )
    return configure(load_registry(), request)


def _scored(ready: PreparedRun) -> Callable[[Architecture], object]:
    ctx = ready.search_context()
    return lambda arch: ready.evaluator.evaluate(arch, ready.task, ready.builder, ctx)


def _pass(ready: PreparedRun, arch: Architecture, device: str) -> None:
    task = ready.task
    batch = to_device(task.train.take(range(BEATS)), device)
    model = ready.builder.build(
        arch, n_leads=task.n_leads, n_samples=task.n_samples, n_classes=task.n_classes
    ).to(device)
    loss = cross_entropy(model(batch.signals), batch.labels)
    loss.backward()  # type: ignore[no-untyped-call]
    if device == "cuda":
        torch.cuda.synchronize()
