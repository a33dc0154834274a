"""All speed targets in one command: ``python benchmarks/speed``.

Prints each target with both sides, the ratio and whether they computed the same thing, and writes
``results/speed/<machine>.json`` and ``.md``. Records are found as the command line finds them
(``NASBENCH_ECG_DATA``, or the cache). The sizes named ``smoke`` try the benchmarks out; they run
only where ``--only`` names them.
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
import iemmc
import machine_room
import networks
import paper
import proxies
import torch
from measure import Target, machine
from table import markdown

from nasbench_ecg.io import write_atomically
from nasbench_ecg.training.memory import keep_freed_memory

Benchmark = Callable[[], Target | list[Target] | None]


def benchmarks(plan: paper.Plan, *, bf16: bool) -> dict[str, Benchmark]:
    """Return all benchmarks by name, in order of worth."""
    device = plan.device
    return {
        "supernet-quick": lambda: networks.supernet_step("quick", device, bf16=bf16),
        "supernet-paper": lambda: networks.supernet_step("paper", device, bf16=bf16),
        "training-quick": lambda: networks.trainings("quick", device, bf16=bf16),
        "training-paper": lambda: networks.trainings("paper", device, bf16=bf16),
        "whole-run": lambda: paper.whole_run(plan) if _affordable(plan) else None,
        "busy": lambda: busy.busy(plan),
        "loading": machine_room.loading,
        "command-line": machine_room.command_line,
        "roofline": lambda: networks.roofline(device),
        "compile": lambda: networks.compiled("quick", device),
        "candidates": lambda: candidates.candidates(device),
        "proxies-quick": lambda: proxies.proxies("quick", device),
        "proxies-paper": lambda: proxies.proxies("paper", device),
        "suite": machine_room.suite,
        "iemmc-generation": iemmc.generation,
        "iemmc-all-beats": iemmc.all_beats,
        "quick-run": lambda: paper.quick_run(device),
        "supernet-smoke": lambda: networks.supernet_step("smoke", device, bf16=bf16),
        "training-smoke": lambda: networks.training(
            "smoke", device, networks.random_cells(), "random cells", bf16=bf16
        ),
        "candidates-smoke": lambda: candidates.candidates(device, profile="smoke", n=2, beats=300),
        "compile-smoke": lambda: networks.compiled("smoke", device),
        "suite-smoke": lambda: machine_room.suite(runs=2, epochs=1),
    }


def _affordable(plan: paper.Plan) -> bool:
    """Whether it ends today: a whole published search takes days without a GPU."""
    return plan.device == "cuda" or plan.epochs is not None or plan.profile != "paper"


def main() -> int:
    """Run what was asked for, print it and write it; return 1 if a benchmark failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", action="append", help="name of a benchmark; may be repeated")
    parser.add_argument("--no-bf16", action="store_true", help="where bfloat16 is not native")
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    parser.add_argument("--name", default="", help="name of the machine in the file's name")
    parser.add_argument(
        "--update", action="store_true", help="keep what the file has of benchmarks not run now"
    )
    whole = parser.add_argument_group("whole-run and busy")
    whole.add_argument("--epochs", type=int, help="measure so many and extrapolate, labelled so")
    whole.add_argument("--dataset", default="mitbih-2lead")
    whole.add_argument("--profile", default="paper")
    whole.add_argument(
        "--precision", choices=["float32", "tf32", "bf16"], help="default: the profile's"
    )
    args = parser.parse_args()
    if args.epochs is not None and args.epochs < 1:
        parser.error("--epochs must be at least 1")
    keep_freed_memory()
    plan = paper.Plan(args.device, args.epochs, args.dataset, args.profile, args.precision)
    chosen = benchmarks(plan, bf16=not args.no_bf16)
    unknown = set(args.only or ()) - set(chosen)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(chosen)}")

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
        except Exception:  # the others' figures are not lost for it
            failed.append(name)
            print(f"{name}: FAILED\n{traceback.format_exc()}", flush=True)
            continue
        if measured is None:
            print(f"{name}: not measured, {_why_not(name, plan)}")
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
    """Write what was measured so far: a stop loses none of it."""
    report = {"machine": about, "targets": targets, "failed": failed}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    text = f"{_title(about)}\n\n{markdown(targets)}\n"
    write_atomically(path.with_suffix(".md"), text)


def _kept(path: Path, about: dict[str, Any]) -> tuple[dict[str, list[dict[str, Any]]], float]:
    """Return the rows of the report at ``path`` by benchmark, and under what load they began."""
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


def _why_not(name: str, plan: paper.Plan) -> str:
    if name == "busy" and plan.device != "cuda":
        return "it needs a GPU"
    if name == "whole-run" and not _affordable(plan):
        return "without a GPU it needs --epochs"
    return "its records are not here"


def _title(about: dict[str, Any]) -> str:
    where = about.get("gpu", f"{about['cpu']}, {about['cores']} cores")
    load = f"load at most {about['load']:.1f} at the start"
    return f"# Speed on {where}\n\nPyTorch {about['torch']}, {load}."


if __name__ == "__main__":
    sys.exit(main())
