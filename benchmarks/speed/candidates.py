"""Candidates of a search evaluated one at a time and in parallel, by the harness."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from measure import Target

from nasbench_ecg.api import Architecture, Evaluation, Fidelity, Silent
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.prepare import PreparedRun, prepare_run
from nasbench_ecg.run.request import RunRequest
from nasbench_ecg.run.resume import EvaluationLog

PARALLEL = {"cpu": 2, "cuda": 8}
"""Candidates evaluated in parallel, by device."""


def candidates(device: str, *, profile: str = "quick", n: int = 8, beats: int = 3000) -> Target:
    """Time candidates one at a time and in parallel; the start of the processes is not counted.

    Args:
        device: ``cpu`` or ``cuda``.
        profile: Profile of the networks.
        n: Number of candidates.
        beats: Training beats of each candidate, for one epoch.
    """
    parallel = min(n, PARALLEL[device])
    request = RunRequest("random", "synthetic-2lead", profile=profile, device=device)
    config = configure(load_registry(), request)
    ready = prepare_run(
        config, source=LocalSource(), progress=Silent(), suite="speed", parallel=parallel
    )
    rng = np.random.default_rng(0)
    asked = [ready.space.sample(rng) for _ in range(n)]
    fidelity = Fidelity(epochs=1, beats=beats)
    threads = torch.get_num_threads()
    share = max(1, threads // parallel)
    ways = {f"one by one, {threads} threads": threads, f"one by one, {share} threads": share}
    seconds, found = {}, []
    for name, used in ways.items():
        with _threads(used):
            seconds[name], evaluations = _timed(ready, asked, fidelity)
        found.append(evaluations)
    start = time.perf_counter()
    with ready.workers() as workers:
        ctx = ready.search_context()
        ctx.workers = workers
        ctx.evaluate_many([ready.space.sample(rng) for _ in range(parallel)], Fidelity(1, 100))
        started = time.perf_counter() - start
        ctx.evaluation_log = EvaluationLog()
        start = time.perf_counter()
        at_once = ctx.evaluate_many(asked, fidelity)
        seconds[f"{parallel} at a time, {share} threads each"] = time.perf_counter() - start
    exact = [e.curves for e in found[-1]] == [e.curves for e in at_once]
    gap = max(abs(a.score - b.score) for a, b in zip(found[0], at_once, strict=True))
    return Target(
        what=f"{n} candidates of profile {profile}, an epoch of {beats:,} beats each, {device}",
        target="",
        seconds=seconds,
        same=f"equal to one by one on as many threads: {'yes' if exact else 'NO'}; scores on "
        f"{threads} differ by {gap:.1e} at most",
        note=f"{parallel} processes were started in {started:.1f} s",
        figures={"start": started, "largest_gap": gap},
    )


def _timed(
    ready: PreparedRun, asked: Sequence[Architecture], fidelity: Fidelity
) -> tuple[float, list[Evaluation]]:
    ctx = ready.search_context()
    ctx.evaluate_many(asked[:1], Fidelity(1, 100))
    start = time.perf_counter()
    evaluations = ctx.evaluate_many(asked, fidelity)
    return time.perf_counter() - start, evaluations


@contextmanager
def _threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
