"""``nasbench-ecg table simulate``: repeat searches on a table and compare them."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli.components import complete_strategy
from nasbench_ecg.cli.console import RichProgress
from nasbench_ecg.cli.shared_options import JsonOption
from nasbench_ecg.cli.table_options import (
    DEFAULT,
    Dataset,
    Protocol,
    Space,
    Tables,
    load,
    refuse_parts,
)
from nasbench_ecg.tables.requested_searches import COSTS, EVALUATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nasbench_ecg.contracts import Budget
    from nasbench_ecg.tables.searchers import TableSearches


def simulate(
    dataset: Dataset,
    strategies: Annotated[
        list[str],
        typer.Argument(
            metavar="STRATEGY",
            help="Strategies to compare with random search. NAME:N repeats one N times only, "
            "NAME:N:LARGEST also leaves out budgets above LARGEST evaluations, and "
            "NAME@OPTION=VALUE sets an option of this one.",
            autocompletion=complete_strategy,
        ),
    ],
    evaluations: Annotated[
        str, typer.Option(metavar="N,...", help="Budgets, in evaluations.")
    ] = ",".join(map(str, EVALUATIONS)),
    seconds: Annotated[
        str,
        typer.Option(
            metavar="S,...",
            help="Budgets, in simulated seconds; auto: the mean seconds that random search takes "
            "for each of --evaluations; none: no such budgets.",
        ),
    ] = "auto",
    objectives: Annotated[
        str,
        typer.Option(
            metavar="COST,...",
            help="Costs of the hypervolumes: any of parameters, macs, flash_bytes and ram_bytes, "
            "or none.",
        ),
    ] = ",".join(COSTS),
    repetitions: Annotated[
        int, typer.Option(min=2, metavar="N", help="Repetitions of each search.")
    ] = 500,
    space: Space = "tiny-cells",
    protocol: Protocol = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="strategy.OPTION=VALUE",
            help="Set an option of every strategy that has it. Repeatable.",
        ),
    ] = None,
    scores: Annotated[
        str,
        typer.Option(
            metavar="one-seed|mean",
            help="What a search sees of a member: one of its trainings, as outside a table, or the "
            "mean over its first three seeds.",
        ),
    ] = "one-seed",
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of all repetitions.")] = 0,
    workers: Annotated[int, typer.Option(min=1, metavar="N", help="Processes.")] = 1,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep finished repetitions there, and go on from them: for a command that is "
            "interrupted, or repeated with more.",
        ),
    ] = None,
    outputs: Annotated[
        list[Path] | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Report as .md, .csv, .tex, .html or .json; all steps as .parquet. Repeatable.",
        ),
    ] = None,
    tables: Tables = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Repeat searches on a table, and show which are better than random search.

    Every budget is a search of its own, so that a strategy that plans ahead plans for it. The
    verdicts and regrets are printed; -o writes the whole report.
    """
    from nasbench_ecg.cli.table_report import check_outputs, show, write
    from nasbench_ecg.contracts import Budget
    from nasbench_ecg.options import parse_assignments
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.tables.compare_searches import compare_searches
    from nasbench_ecg.tables.kept_repetitions import KeptRepetitions
    from nasbench_ecg.tables.requested_searches import check_scores, parse_search
    from nasbench_ecg.tables.searchers import TableSearches

    check_outputs(outputs or [])
    one = load(tables, space, dataset, protocol)
    asked = [parse_search(text, repetitions) for text in strategies]
    parsed = parse_assignments(assignments or [])
    refuse_parts(parsed, ("strategy",))
    searches = TableSearches(load_registry(), one, parsed.get("strategy", {}), check_scores(scores))
    budgets = [
        Budget(evaluations=int(n)) for n in _parse_numbers(evaluations, "--evaluations", int)
    ]
    budgets += _in_seconds(seconds, budgets, searches)
    with RichProgress() as progress:
        compared, found = compare_searches(
            searches,
            asked,
            budgets,
            [] if objectives == "none" else [cost.strip() for cost in objectives.split(",")],
            repetitions=repetitions,
            seed=seed,
            workers=workers,
            kept=None if keep is None else KeptRepetitions(keep),
            progress=progress,
        )
    show(one, compared, as_json=as_json)
    for output in outputs or []:
        write(output, one, compared, found)


def _in_seconds(text: str, budgets: Sequence[Budget], searches: TableSearches) -> list[Budget]:
    from nasbench_ecg.contracts import Budget

    if text == "none":
        return []
    if text == "auto":
        return [searches.budget_in_seconds(b.evaluations or 0) for b in budgets]
    return [Budget(seconds=n) for n in _parse_numbers(text, "--seconds", float)]


def _parse_numbers(text: str, option: str, number: Callable[[str], float]) -> list[float]:
    from nasbench_ecg.errors import OptionError

    try:
        found = sorted({number(part) for part in text.split(",")})
    except ValueError:
        found = []
    if found and all(0 < one < inf for one in found):
        return found
    what = "whole numbers from 1" if number is int else "numbers above 0"
    raise OptionError(
        f"{option} {text!r} is no list of {what}.", fix=f"For example {option} 20,50,100."
    )
