"""Measure the latencies of all recorded networks again: ``python benchmarks/latency``.

A run measures the latency of its network at its end, while other processes may use the machine. The
latencies of runs made in parallel, or at changing clock rates, are therefore not comparable. This
script times all networks in turn for several rounds with the same number of threads. The median
over the rounds replaces the recorded latencies, and the record's provenance says so. Keep the
machine otherwise idle.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch

from nasbench_ecg.architecture import digest
from nasbench_ecg.errors import NasbenchError
from nasbench_ecg.models.load import build_model
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.run.environment import cpu_name
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.record_files import read_records
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.training.costs import latencies
from nasbench_ecg.training.memory import keep_freed_memory


def main() -> int:
    """Measure and update the records; return 2 if a record cannot be measured on this machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results"), help="results folder")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each network")
    parser.add_argument("--threads", type=int, default=1, help="threads of each network")
    args = parser.parse_args()
    keep_freed_memory()
    try:
        records = [record for record in read_records(args.out)[0] if has_latency(record)]
        check_machine(records)
        networks: dict[str, list[RunRecord]] = {}
        for record in records:
            networks.setdefault(network_key(record), []).append(record)
        torch.set_num_threads(args.threads)
        print(f"{len(records)} records of {len(networks)} networks", flush=True)
        measured = measure({key: runs[0] for key, runs in networks.items()}, args.rounds)
        for key, runs in networks.items():
            for record in runs:
                RecordStore(args.out, record.suite).write(
                    with_latencies(record, measured[key], args.threads)
                )
    except NasbenchError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def has_latency(record: RunRecord) -> bool:
    """Return whether the run succeeded with a network; a clustering has none."""
    costs = record.costs
    return record.status == "ok" and "latency_1_ms" in costs and costs.get("parameters", 0) > 0


def check_machine(records: Sequence[RunRecord]) -> None:
    """Raise NasbenchError if a run was made on another processor or on a GPU."""
    for record in records:
        cpu = record.provenance.get("cpu")
        if (record.device, cpu) != ("cpu", cpu_name()):
            raise NasbenchError(
                f"The run {record.run_key} was made on {record.device} ({cpu}), not on this CPU.",
                fix="Measure latencies again on the machine that made the runs.",
            )


def network_key(record: RunRecord) -> str:
    """Return a key that runs share if their networks and input shapes are the same."""
    used, beats = record.components["builder"], record.dataset
    assert beats is not None
    shape = [len(beats.leads), beats.n_samples, len(record.classes)]
    return digest([used.name, used.options, record.architecture, shape])


def measure(networks: Mapping[str, RunRecord], rounds: int) -> dict[str, dict[str, float]]:
    """Return the median latencies of each network; each round times every network once."""
    registry = load_registry()
    times: dict[str, list[dict[str, float]]] = {key: [] for key in networks}
    for number in range(rounds):
        for key, record in networks.items():
            assert record.dataset is not None
            model = build_model(record, registry)
            shape = len(record.dataset.leads), record.dataset.n_samples
            times[key].append(latencies(model, *shape, record.device))
        print(f"round {number + 1} of {rounds}", flush=True)
    return {
        key: {name: median(one[name] for one in measurements) for name in measurements[0]}
        for key, measurements in times.items()
    }


def with_latencies(record: RunRecord, latencies: Mapping[str, float], threads: int) -> RunRecord:
    """Return the record with new latencies, and with their time and threads in its provenance."""
    measurement: dict[str, Any] = {
        "latency_measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "latency_threads": threads,
    }
    return record.model_copy(
        update={
            "costs": {**record.costs, **latencies},
            "provenance": {**record.provenance, **measurement},
        }
    )


if __name__ == "__main__":
    sys.exit(main())
