"""Command-line options that several verbs have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

LocalDataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Folder that holds databases, such as DIR/mitdb. Default: NASBENCH_ECG_DATA, or the "
        "cache.",
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Folder that holds databases, such as DIR/mitdb. Default: NASBENCH_ECG_DATA, or the "
        "cache, into which missing records are downloaded.",
    ),
]
OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of results.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DeviceOption = Annotated[
    str,
    typer.Option("--device", metavar="NAME", help="auto (a GPU if there is one), cpu or cuda."),
]
