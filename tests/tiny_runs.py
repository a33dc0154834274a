"""Runs that take seconds: toy beats of a third-party package, and small shipped components."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.plugin.component import Component
from nasbench_ecg.plugin.registry import PluginInfo, Registry, load_registry
from nasbench_ecg.plugin.specs import ComponentSpec
from nasbench_ecg.progress import Progress, Silent, Steps
from nasbench_ecg.run.config import RunConfig
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.prepare import PreparedRun, prepare_run
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.request import RunRequest

OUTSIDE = Path(__file__).parent / "third_party" / "nasbench_ecg_thirdparty_example"

SETTINGS: dict[str, dict[str, Any]] = {
    "space": {"nodes": 2, "operations": ["none", "skip", "max-pool-3", "conv-3", "conv-5"]},
    "builder": {"cells": 6, "channels": 2, "stem_filters": 4},
    "evaluator": {"epochs": 2, "batch_size": 64},
    "dataset": {"beats": 50},
}
DARTS: dict[str, Any] = {
    "cells": 3,
    "channels": 2,
    "stem_filters": 4,
    "epochs": 2,
    "batch_size": 16,
    "beats": 64,
    "alpha_lr": 0.05,
}


def install(site: Path) -> list[str]:
    """Install the third-party package into ``site``; return the entries for ``sys.path``."""
    info = site / "nasbench_ecg_thirdparty_example-1.2.3.dist-info"
    info.mkdir()
    name = "nasbench-ecg-thirdparty-example"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2.3\n")
    (info / "entry_points.txt").write_text(
        "[nasbench_ecg.plugins]\nthirdparty-example = nasbench_ecg_thirdparty_example\n"
    )
    return [str(site), str(OUTSIDE)]


def registry_with(*specs: ComponentSpec) -> Registry:
    """Return the installed components and those of ``specs``."""
    registry = load_registry()
    components = tuple(Component(spec, "made-up", "tests", "0") for spec in specs)
    made_up = PluginInfo("made-up", "tests", "0", False, components)
    return replace(registry, plugins=(*registry.plugins, made_up))


def tiny_request(strategy: str = "darts", **changes: Any) -> RunRequest:
    """Return the request for a tiny run; ``set`` changes options by component."""
    overrides = {role: dict(options) for role, options in SETTINGS.items()}
    if strategy == "darts":
        overrides["strategy"] = dict(DARTS)
    if "dataset" in changes:
        del overrides["dataset"]
    if strategy == "scripted":
        del overrides["evaluator"]
    for role, options in changes.pop("set", {}).items():
        overrides.setdefault(role, {}).update(options)
    usual = {"dataset": "toy-2lead", "profile": "paper", "device": "cpu"}
    return RunRequest(strategy=strategy, overrides=overrides, **{**usual, **changes})


def tiny_config(strategy: str = "darts", *specs: ComponentSpec, **changes: Any) -> RunConfig:
    """Return the configuration of a tiny run."""
    return configure(registry_with(*specs), tiny_request(strategy, **changes))


def prepared_run(config: RunConfig, cache: Path, progress: Progress | None = None) -> PreparedRun:
    """Return the run with its beats loaded."""
    return prepare_run(
        config, source=LocalSource(cache=cache), progress=progress or Silent(), suite="runs"
    )


def assignments(overrides: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return options as arguments of the command line."""
    return [
        word
        for role, options in overrides.items()
        for name, value in options.items()
        for word in ("--set", f"{role}.{name}={json.dumps(value)}")
    ]


def result(record: RunRecord) -> dict[str, Any]:
    """Return the part of a record that does not depend on time, speed and machine."""
    whole = record.model_dump(mode="json")
    for name in ("seconds", "provenance", "error"):
        whole.pop(name)
    for name in ("latency_1_ms", "latency_256_ms", "peak_memory_mb"):
        whole["costs"].pop(name, None)
    for point in whole["trajectory"]:
        point.pop("seconds")
    return whole


class Stopped(Silent):
    """Progress that raises KeyboardInterrupt after ``steps`` steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    @contextmanager
    def track(self, label: str, total: int) -> Iterator[Steps]:
        """Open a bar whose steps count."""
        yield self

    def advance(self, n: int = 1, **figures: float | str) -> None:
        """Count a step; the steps that a resumed bar skips at its start do not count."""
        self.left -= n == 1
        if self.left <= 0:
            raise KeyboardInterrupt
