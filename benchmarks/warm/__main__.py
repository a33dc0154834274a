"""What warm starts save: Hyperband with and without them on the same beats, side by side.

Usage: ``python benchmarks/warm [--dataset NAME] [--seeds N] [--out FILE]``. Both searches run in
one process, one after the other, and the order changes with the seed. They have the same brackets,
and the same candidates in the first rungs. Scores of the last rung are comparable: a
training to the end of its schedule is the same with and without a stop.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nasbench_ecg.api import Fidelity, Silent
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.prepare import PreparedRun, prepare_run
from nasbench_ecg.run.request import RunRequest
from nasbench_ecg.run.resume import ResumeFolder

MEASURES = ("epochs_trained", "seconds", "processor_seconds")


def main() -> None:
    """Run as the module describes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="mitbih-2lead")
    parser.add_argument("--eta", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=8, help="of the last rung")
    parser.add_argument("--beats", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = [row for seed in range(arguments.seeds) for row in _both(arguments, seed)]
    totals = {name: _sums(rows, name) for name in ("cold", "warm")}
    ratios = {what: totals["warm"][what] / totals["cold"][what] for what in MEASURES}
    report = {"settings": {**vars(arguments), "out": None}, "searches": rows, "warm/cold": ratios}
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print("warm / cold:", ", ".join(f"{what} {ratio:.3f}" for what, ratio in ratios.items()))


def _both(arguments: argparse.Namespace, seed: int) -> list[dict[str, Any]]:
    """Run both searches of one seed, in an order that changes with the seed."""
    prepared: PreparedRun | None = None
    rows = []
    for warm in (True, False) if seed % 2 == 0 else (False, True):
        options = {
            "eta": arguments.eta,
            "max_epochs": arguments.epochs,
            "rounds": 1,
            "beats": arguments.beats,
            "warm": warm,
        }
        request = RunRequest(
            "hyperband",
            arguments.dataset,
            space="tiny-cells",
            builder="tiny-network",
            profile="quick",
            search_seed=seed,
            overrides={"strategy": options},
        )
        config = configure(load_registry(), request)
        if prepared is None:
            prepared = prepare_run(config, source=LocalSource(), progress=Silent(), suite="warm")
            arch = prepared.space.sample(np.random.default_rng(seed))  # torch's first step is slow
            prepared.search_context().evaluate_many([arch], Fidelity(1, 100))
        else:
            prepared = prepared.with_config(config)
        rows.append({"search": "warm" if warm else "cold", "seed": seed, **_timed(prepared)})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def _timed(prepared: PreparedRun) -> dict[str, Any]:
    """Return seconds, epochs and the number of trainings in the last rungs of one search."""
    with tempfile.TemporaryDirectory() as folder:
        ctx = prepared.search_context()
        ctx.candidates = ResumeFolder(Path(folder)).candidates()
        started, used = time.perf_counter(), time.process_time()
        result = prepared.strategy.search(prepared.task, prepared.space, prepared.builder, ctx)
        seconds, used = time.perf_counter() - started, time.process_time() - used
    evaluations = result.details["evaluations"]
    longest = max(row["epochs"] for row in evaluations)
    last = [row["score"] for row in evaluations if row["epochs"] == longest]
    return {
        "seconds": round(seconds, 2),
        "processor_seconds": round(used, 2),
        "epochs_trained": ctx.epochs_trained,
        "epochs_reused": ctx.epochs_reused,
        "evaluations": len(evaluations),
        "epochs_of_last_rung": longest,
        "trained_to_the_last_rung": len(last),
        "best": max(last),
    }


def _sums(rows: list[dict[str, Any]], search: str) -> dict[str, float]:
    return {n: sum(float(row[n]) for row in rows if row["search"] == search) for n in MEASURES}


if __name__ == "__main__":
    main()
