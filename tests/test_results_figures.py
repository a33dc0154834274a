"""Figures of results/README.md that were written by hand are those of the run records."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import mean, stdev

from nasbench_ecg.statistics import mean_interval

ROOT = Path(__file__).parents[1]
RESULTS = (ROOT / "results" / "README.md").read_text("utf-8")


def records(suite):
    found = [json.loads(p.read_text("utf-8")) for p in (ROOT / "results" / suite).glob("*.json")]
    return [one for one in found if "run_key" in one]


def spread(values):
    return f"{100 * mean(values):.1f} ± {100 * stdev(values):.1f}"


def cells(runs):
    """Return the cells of a row: runs, parameters, F1 of S and of V, accuracy."""
    parameters = sorted({int(one["costs"]["parameters"]) for one in runs})
    ends = parameters if len(parameters) == 1 else [parameters[0], parameters[-1]]
    return [
        str(len(runs)),
        " to ".join(f"{one:,}" for one in ends),
        *(spread([one["per_class"][name]["f1"] for one in runs]) for name in "SV"),
        spread([one["metrics"]["accuracy"] for one in runs]),
    ]


def test_the_table_of_rhythm_has_the_persons_that_networks_are_trained_on():
    """A final network is trained on the training and the validation part together."""
    rows = {}
    for one in records("rhythm"):
        parts, chosen = one["split"]["records"], one["components"]
        persons = len({*parts["train"], *parts["validation"]})
        name, space = chosen["strategy"]["name"], chosen["space"]["name"]
        text = f"`{name}`"
        if name == "random" and space == "conv-cells":
            text += ", conv-cells"
            text += ", samples=1" if chosen["strategy"]["options"]["samples"] == 1 else ""
        rows.setdefault((f"{persons} persons", text), []).append(one)
    expected = {row: cells(runs) for row, runs in rows.items()}
    table = RESULTS.partition("| trained on | network |")[2].partition("\n\n")[0]
    lines = [line.strip("| ").split(" | ") for line in table.splitlines() if "persons |" in line]
    assert {(line[0], line[1]): line[2:] for line in lines} == expected


def test_the_interval_of_the_smallest_network_is_that_of_its_leaderboard():
    runs = [one for one in records("small-networks") if one["costs"]["parameters"] == 15_821]
    low, high = mean_interval([one["metrics"]["f1_of_macro"] for one in runs]) or (0, 0)
    said = f"The 95% interval of the mean of 96.18 is {100 * low:.2f} to {100 * high:.2f},"
    assert len(runs) == 5 and said in RESULTS
    board = (ROOT / "results" / "small-networks" / "leaderboard.md").read_text("utf-8")
    assert f"96.18 ± 0.24 [{100 * low:.2f}, {100 * high:.2f}]" in board


def test_the_latencies_of_the_idle_machine_are_those_of_the_suites_that_the_results_name():
    measured = set()
    for folder in (ROOT / "results").iterdir():
        runs = [one for one in records(folder.name) if one["device"] == "cpu"]
        runs = [one for one in runs if not one["components"]["dataset"]["options"].get("exclude")]
        if runs and all("latency_measured" in one["provenance"] for one in runs):
            measured.add(folder.name)
    said = RESULTS.partition("Latencies of")[2].partition("were measured in one session")[0]
    assert set(re.findall(r"`([\w-]+)`", said)) == measured
