"""``nasbench-ecg verify``: whether stored runs are what they say."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli.console import RichProgress, print_json, stderr, stdout, styled, table
from nasbench_ecg.cli.shared_options import JsonOption, LocalDataOption, OutOption
from nasbench_ecg.text import counted

if TYPE_CHECKING:
    from nasbench_ecg.models.verify import Check, Outcome

_OUTCOMES: tuple[Outcome, ...] = ("passed", "failed", "skipped")
_STYLES = {"passed": "green", "failed": "bold red", "skipped": "dim"}


def verify(
    target: Annotated[
        str,
        typer.Argument(
            metavar="RUN|FOLDER",
            help="Run key or its first characters, a record file, or a folder of records.",
        ),
    ],
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Make each run again, and compare.")
    ] = False,
    data: LocalDataOption = None,
    out: OutOption = Path("results"),
    as_json: JsonOption = False,
) -> None:
    """Check that stored runs are what they say: key, scores, files, predictions and weights.

    Run key and scores are computed again. Where they are here, predictions are counted, beats and
    split are made again, and the trained network is scored again on the test part. Nothing is
    downloaded. The exit code is 1 if a check failed.

    \b
    Examples:
      nasbench-ecg verify 863d4d67
      nasbench-ecg verify results/submitted
      nasbench-ecg verify 863d4d67 --rerun
    """  # noqa: D301
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.models.verify import files_to_verify
    from nasbench_ecg.models.verify import verify as check
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.run.record_files import record_path
    from nasbench_ecg.studies.stored import check_made_later

    path = Path(target)
    paths = files_to_verify(path if path.exists() else record_path(out, target))
    registry, source = load_registry(), LocalSource(data)
    found: dict[Path, list[Check]] = {}
    with RichProgress() as progress:
        for one in paths:
            checks = check(one, registry, source, rerun=rerun, progress=progress)
            found[one] = [*checks, *check_made_later(one)]
    if as_json:
        print_json(
            [{"path": str(p), "checks": [asdict(c) for c in checks]} for p, checks in found.items()]
        )
    elif len(paths) == 1:
        listed = table("check", "outcome", "found")
        for item in found[paths[0]]:
            listed.add_row(item.name, styled((item.outcome, _STYLES[item.outcome])), item.detail)
        stdout().print(listed)
    else:
        _print_many(found)
    if any(item.outcome == "failed" for checks in found.values() for item in checks):
        raise typer.Exit(1)


def _print_many(found: dict[Path, list[Check]]) -> None:
    """Print the failures, and how often each check had which outcome."""
    outcomes = Counter((item.name, item.outcome) for checks in found.values() for item in checks)
    listed = table("check", "passed", "failed", "skipped")
    for name in dict.fromkeys(name for name, _ in outcomes):
        counts = [str(outcomes[name, outcome]) for outcome in _OUTCOMES]
        listed.add_row(name, *counts)
    stdout().print(listed)
    for path, checks in found.items():
        for item in checks:
            if item.outcome == "failed":
                line = f"{path}: {item.name}: {item.detail}"
                stdout().print(line, style="red")
    stderr().print(f"{counted(len(found), 'record')}.")
