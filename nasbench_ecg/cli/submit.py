"""``nasbench-ecg submit``: gather runs into a folder for a pull request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasbench_ecg.cli.console import stderr
from nasbench_ecg.cli.shared_options import LocalDataOption, OutOption
from nasbench_ecg.text import counted


def submit(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN", help="Run keys, or their first characters.")
    ],
    folder: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="Folder to create, such as results/submitted/my-search.",
        ),
    ],
    by: Annotated[
        str, typer.Option(metavar="NAME", help="Person or group, as the leaderboard shows it.")
    ],
    install: Annotated[
        str,
        typer.Option(
            metavar="COMMAND",
            help="Command that installs your plugin. Default: pip install with name and version.",
        ),
    ] = "",
    contact: Annotated[str, typer.Option(metavar="TEXT", help="Address for questions.")] = "",
    weights: Annotated[
        bool, typer.Option("--weights", help="Include the weights of the networks.")
    ] = False,
    data: LocalDataOption = None,
    out: OutOption = Path("results"),
) -> None:
    """Gather runs with their files and a card into a folder for a pull request.

    Each run is verified first. CONTRIBUTING.md says how to propose the folder.

    \b
    Example:
      nasbench-ecg submit 863d4d67 6a01b2c3 --by 'Jane Doe' -o results/submitted/my-search
    """  # noqa: D301
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.models.submit import submit as write
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.run.record_files import record_path
    from nasbench_ecg.studies.stored import check_made_later

    paths = [record_path(out, run) for run in runs]
    card = write(
        paths, folder, submitted_by=by, registry=load_registry(), source=LocalSource(data),
        install=install, contact=contact, weights=weights, more_checks=check_made_later,
    )  # fmt: skip
    stderr().print(
        f"Written: {folder}, {counted(len(card.runs), 'run')}.\nIts card says: {card.install}",
    )
