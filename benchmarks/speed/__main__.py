"""Measure all speed targets: ``python benchmarks/speed``.

Prints the times of each target, their ratio and whether the results are equal, and writes
``results/speed/<machine>.json`` and ``.md``. Records are found as by the command line
(``NASBENCH_ECG_DATA``, or the cache). Benchmarks named ``smoke`` test the benchmarks themselves;
they run only if ``--only`` names them.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import busy
import candidates
import harness
import iemmc
import networks
import paper
import plain_loops
import proxies
import searches
import torch
from measure import Target, machine
from table import markdown

from nasbench_ecg.io import write_atomically
from nasbench_ecg.training.memory import keep_freed_memory

Benchmark = Callable[[], Target | list[Target] | None]


def benchmarks(plan: paper.Plan, *, bf16: bool) -> dict[str, Benchmark]:
    """Return all benchmarks by name, the most important first."""
    device = plan.device
    return {
        "supernet-quick": lambda: networks.supernet_step("quick", device, bf16=bf16),
        "supernet-paper": lambda: networks.supernet_step("paper", device, bf16=bf16),
        "training-quick": lambda: networks.trainings("quick", device, bf16=bf16),
        "training-paper": lambda: networks.trainings("paper", device, bf16=bf16),
        "whole-run": lambda: paper.whole_run(plan) if _affordable(plan) else None,
        "busy": lambda: busy.busy(plan),
        "any-network": plain_loops.any_network,
        "loading": harness.loading,
        "loading-by-hand": plain_loops.loading_by_hand,
        "command-line": harness.command_line,
        "roofline": lambda: networks.roofline(device),
        "compile": lambda: networks.compiled("quick", device),
        "candidates": lambda: candidates.candidates(device),
        "proxies-quick": lambda: proxies.proxies("quick", device),
        "proxies-paper": lambda: proxies.proxies("paper", device),
        "suite": harness.suite,
        "searches": searches.searches,
        "iemmc-generation": iemmc.generation,
        "iemmc-all-beats": iemmc.all_beats,
        "quick-run": lambda: paper.quick_runs(device, bf16=bf16),
        "supernet-smoke": lambda: networks.supernet_step("smoke", device, bf16=bf16),
        "training-smoke": lambda: networks.training(
            "smoke", device, networks.random_cells(), "random cells", bf16=bf16
        ),
        "candidates-smoke": lambda: candidates.candidates(device, profile="smoke", n=2, beats=300),
        "compile-smoke": lambda: networks.compiled("smoke", device),
        "searches-smoke": lambda: searches.searches(workers=1, share=0.01),
        "suite-smoke": lambda: harness.suite(runs=2, epochs=1),
    }


def _affordable(plan: paper.Plan) -> bool:
    """Return whether the whole run takes hours at most; a published search on a CPU takes days."""
    return plan.device == "cuda" or plan.epochs is not None or plan.profile != "paper"


def main() -> int:
    """Run the selected benchmarks, print and write the results; return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", action="append", help="name of a benchmark to run; repeatable")
    parser.add_argument(
        "--no-bf16", action="store_true", help="skip bfloat16, for processors without it"
    )
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    parser.add_argument("--name", default="", help="name of the machine, for the file name")
    parser.add_argument(
        "--update", action="store_true", help="keep the results of other benchmarks in the file"
    )
    whole = parser.add_argument_group("whole-run and busy")
    whole.add_argument(
        "--epochs", type=int, help="measure this many epochs and extrapolate, with a label"
    )
    whole.add_argument("--dataset", default="mitbih-2lead")
    whole.add_argument("--profile", default="paper")
    whole.add_argument(
        "--precision", choices=["float32", "tf32", "bf16"], help="default: that of the profile"
    )
    args = parser.parse_args()
    if args.epochs is not None and args.epochs < 1:
        parser.error("--epochs must be at least 1")
    keep_freed_memory()
    plan = paper.Plan(args.device, args.epochs, args.dataset, args.profile, args.precision)
    chosen = benchmarks(plan, bf16=not args.no_bf16)
    unknown = set(args.only or ()) - set(chosen)
    if unknown:
        parser.error(
            f"unknown benchmarks: {', '.join(sorted(unknown))}; known: {', '.join(chosen)}"
        )

    about = machine(args.device)
    name = args.name or re.sub(r"\W+", "-", f"{about.get('gpu', about['cpu'])}-{platform.system()}")
    path = args.out / f"{name.strip('-').lower()}.json"
    rows, load = _kept(path, about) if args.update else ({}, 0.0)
    about["load"] = max(about["load"], load)
    failed: list[str] = []
    for name, measure in chosen.items():
        if name not in args.only if args.only else name.endswith("-smoke"):
            continue
        try:
            measured = measure()
        except Exception:  # the results of the others are kept
            failed.append(name)
            print(f"{name}: FAILED\n{traceback.format_exc()}", flush=True)
            continue
        if measured is None:
            print(f"{name}: not measured, {_reason(name, plan)}")
            continue
        targets = measured if isinstance(measured, list) else [measured]
        when = datetime.now(UTC).isoformat(timespec="seconds")
        rows[name] = [{"benchmark": name, "measured": when, **target.data()} for target in targets]
        print(markdown(rows[name], header=False), flush=True)
        _write(path, about, [row for known in chosen for row in rows.get(known, ())], failed)
    _write(path, about, [row for known in chosen for row in rows.get(known, ())], failed)
    print(f"\nwritten: {path} and {path.with_suffix('.md')}")
    return int(bool(failed))


def _write(
    path: Path, about: dict[str, Any], targets: list[dict[str, Any]], failed: list[str]
) -> None:
    """Write all results so far, so that an interruption loses none."""
    report = {"machine": about, "targets": targets, "failed": failed}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    text = f"{_title(about)}\n\n{markdown(targets)}\n"
    write_atomically(path.with_suffix(".md"), text)


def _kept(path: Path, about: dict[str, Any]) -> tuple[dict[str, list[dict[str, Any]]], float]:
    """Return the rows of the report at ``path`` by benchmark, and its load at the start."""
    if not path.exists():
        return {}, 0.0
    report = json.loads(path.read_text(encoding="utf-8"))
    changed = [name for name in about if name != "load" and report["machine"][name] != about[name]]
    if changed:
        raise SystemExit(
            f"{path} was measured with another {', '.join(changed)}: leave out --update"
        )
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in report["targets"]:
        rows.setdefault(row["benchmark"], []).append(row)
    return rows, report["machine"]["load"]


def _reason(name: str, plan: paper.Plan) -> str:
    if name == "busy" and plan.device != "cuda":
        return "it needs a GPU"
    if name == "whole-run" and not _affordable(plan):
        return "without a GPU it needs --epochs"
    return "its records are missing"


def _title(about: dict[str, Any]) -> str:
    where = about.get("gpu", f"{about['cpu']}, {about['cores']} cores")
    load = f"load at most {about['load']:.1f} at the start"
    return f"# Speed on {where}\n\nPyTorch {about['torch']}, {load}."


if __name__ == "__main__":
    sys.exit(main())
