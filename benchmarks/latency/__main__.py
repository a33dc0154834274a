"""Latencies of all recorded networks again, in one sitting: ``python benchmarks/latency``.

A run measures its network's latency when it ends, beside whatever else the machine does then.
Where runs were made two at a time, or on a processor whose clock moves, such figures rank the
neighbours and not the networks. Here every network is timed in turn, round after round, all with
the same number of threads. The median over the rounds takes the place of the recorded figures, and
the record's provenance says so. Nothing else should run meanwhile.
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
from nasbench_ecg.run.store import RecordStore, read_records
from nasbench_ecg.training.costs import latencies
from nasbench_ecg.training.memory import keep_freed_memory


def main() -> int:
    """Measure and write; return 2 where a record cannot be measured here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder of results")
    parser.add_argument("--rounds", type=int, default=5, help="times that each network is taken")
    parser.add_argument("--threads", type=int, default=1, help="threads that each is given")
    args = parser.parse_args()
    keep_freed_memory()
    try:
        records = [record for record in read_records(args.out)[0] if timed(record)]
        check_machine(records)
        networks: dict[str, list[RunRecord]] = {}
        for record in records:
            networks.setdefault(network(record), []).append(record)
        torch.set_num_threads(args.threads)
        print(f"{len(records)} records of {len(networks)} networks", flush=True)
        measured = measure({name: some[0] for name, some in networks.items()}, args.rounds)
        for name, some in networks.items():
            for record in some:
                RecordStore(args.out, record.suite).write(
                    remeasured(record, measured[name], args.threads)
                )
    except NasbenchError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def timed(record: RunRecord) -> bool:
    """Whether it left a network, whose latency is on record; a clustering is none."""
    costs = record.costs
    return record.status == "ok" and "latency_1_ms" in costs and costs.get("parameters", 0) > 0


def check_machine(records: Sequence[RunRecord]) -> None:
    """Raise NasbenchError if a run was made on another processor, or on a GPU."""
    for record in records:
        where = record.provenance.get("cpu")
        if (record.device, where) != ("cpu", cpu_name()):
            raise NasbenchError(
                f"The run {record.run_key} was made on {record.device} ({where}).",
                fix="Latencies are measured again on the machine that the runs were made on.",
            )


def network(record: RunRecord) -> str:
    """Return what two runs share whose networks take equally long."""
    used, beats = record.components["builder"], record.dataset
    assert beats is not None
    shape = [len(beats.leads), beats.n_samples, len(record.classes)]
    return digest([used.name, used.options, record.architecture, shape])


def measure(networks: Mapping[str, RunRecord], rounds: int) -> dict[str, dict[str, float]]:
    """Return the median latencies of each network, all of them timed once in each round."""
    registry = load_registry()
    times: dict[str, list[dict[str, float]]] = {name: [] for name in networks}
    for number in range(rounds):
        for name, record in networks.items():
            assert record.dataset is not None
            model = build_model(record, registry)
            shape = len(record.dataset.leads), record.dataset.n_samples
            times[name].append(latencies(model, *shape, record.device))
        print(f"round {number + 1} of {rounds}", flush=True)
    return {
        name: {figure: median(one[figure] for one in some) for figure in some[0]}
        for name, some in times.items()
    }


def remeasured(record: RunRecord, found: Mapping[str, float], threads: int) -> RunRecord:
    """Return a record with other latencies, and when and how they were measured."""
    when: dict[str, Any] = {
        "latency_measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "latency_threads": threads,
    }
    return record.model_copy(
        update={
            "costs": {**record.costs, **found},
            "provenance": {**record.provenance, **when},
        }
    )


if __name__ == "__main__":
    sys.exit(main())
