"""Commands worth running after a run, made from its record."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasbench_ecg.plugin.specs import ComponentSpec, DatasetSpec, StrategySpec
from nasbench_ecg.run.record import RunRecord

_WIDTH = 74
_USUAL_OUT = Path("results")
_USUAL_PROFILE = "quick"
_USUAL_SUITE = "runs"


def ways_on(
    record: RunRecord, out: Path, specs: Mapping[str, ComponentSpec]
) -> list[tuple[str, list[str]]]:
    """Return up to five commands, each with what it is for, that fit a run that succeeded."""
    dataset = specs.get("dataset")
    protocols = dataset.protocols if isinstance(dataset, DatasetSpec) else ()
    ways = [
        ("this summary", show(record, out)),
        ("beside all other runs", ["nasbench-ecg", "leaderboard", *_out(out)]),
        ("how much is luck", repeat(record, out, specs, seeds="0,1,2")),
    ]
    if record.costs.get("parameters"):  # a clustering has none, and nothing to take away
        ways.insert(2, ("the network as a file", export(record, out)))
    if "inter-patient" in protocols and not record.protocol.startswith("inter-patient"):
        harder = repeat(record, out, specs, protocol="inter-patient")
        return [*ways, ("on patients never seen in training", harder)]
    if record.profile != "paper":
        return [*ways, ("with the published settings", repeat(record, out, specs, profile="paper"))]
    return ways


def show(record: RunRecord, out: Path, *options: str) -> list[str]:
    """Return the command that shows a run, as words."""
    return ["nasbench-ecg", "show", record.run_key[:8], *options, *_out(out)]


def export(record: RunRecord, out: Path) -> list[str]:
    """Return the command that writes the trained network of a run to a file, as words."""
    return ["nasbench-ecg", "export", record.run_key[:8], "-o", "model.pt2", *_out(out)]


def repeat(
    record: RunRecord,
    out: Path,
    specs: Mapping[str, ComponentSpec],
    *,
    seeds: str | None = None,
    protocol: str | None = None,
    profile: str | None = None,
) -> list[str]:
    """Return the command that repeats a run, as words, with some things changed.

    What a specification in ``specs`` makes the default is left out.
    """
    words = ["nasbench-ecg", "run", record.strategy, record.dataset_name]
    strategy, dataset = specs.get("strategy"), specs.get("dataset")
    usual: dict[str, str] = {"profile": _USUAL_PROFILE}
    if isinstance(dataset, DatasetSpec):
        usual["protocol"] = dataset.protocol
    if isinstance(strategy, StrategySpec):
        usual |= {"space": strategy.space, "builder": strategy.builder}
        usual["evaluator"] = strategy.evaluator
    chosen = {
        "protocol": protocol or record.protocol,
        "profile": profile or record.profile,
        **{role: record.components[role].name for role in ("space", "builder", "evaluator")},
    }
    for option, name in chosen.items():
        if usual.get(option) != name:
            words += [f"--{option}", name]
    if seeds:
        words += ["--seeds", seeds]
    elif record.search_seed:
        words += ["--seed", str(record.search_seed)]
    for name, limit in record.budget.items():
        words += [f"--budget-{name}", f"{limit:.12g}"]
    for role, component in record.components.items():
        for name, value in component.changed.items():
            words += ["--set", f"{role}.{name}={_text(value)}"]
    if record.suite != _USUAL_SUITE:
        words += ["--suite", record.suite]
    return [*words, *_out(out)]


def shell_text(words: list[str]) -> str:
    """Return a command for a shell, parted by backslashes where it is long."""
    pieces: list[str] = []
    for word in map(shlex.quote, words):
        if pieces and pieces[-1].startswith("--") and " " not in pieces[-1]:
            pieces[-1] += f" {word}"
        else:
            pieces.append(word)
    lines = [pieces[0]]
    for piece in pieces[1:]:
        if len(lines[-1]) + 1 + len(piece) > _WIDTH:
            lines.append(piece)
        else:
            lines[-1] += f" {piece}"
    return " \\\n  ".join(lines)


def _out(out: Path) -> list[str]:
    return [] if out == _USUAL_OUT else ["--out", str(out)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
