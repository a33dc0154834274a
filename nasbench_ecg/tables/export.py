"""Tables and simulated searches as data frames, and as files for people."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from nasbench_ecg.contracts import Budget
from nasbench_ecg.errors import OptionError
from nasbench_ecg.io import replace_atomically, storage_errors
from nasbench_ecg.metrics import SCORES
from nasbench_ecg.tables.table import PARTS, Table

if TYPE_CHECKING:
    from nasbench_ecg.tables.simulate import Simulation


def to_frame(table: Table) -> pd.DataFrame:
    """Return one row for each training and epoch of a table.

    Columns: ``architecture`` (canonical JSON), ``seed``, ``epoch``, ``seconds``, each score and the
    ``nll`` of validation and test, and the member's costs and proxies.
    """
    rows, seeds, epochs = np.nonzero(
        np.repeat(table.trained[:, :, None], table.card.recipe.epochs, axis=2)
    )
    columns = {
        "architecture": table.arrays["architecture"][rows],
        "seed": seeds,
        "epoch": epochs + 1,
        "seconds": table.arrays["seconds"][rows, seeds, epochs],
    }
    for part in PARTS:
        for metric in (*SCORES, "nll"):
            columns[f"{part}_{metric}"] = table.values(part, metric)[rows, seeds, epochs]
    for name, values in {**table.costs(), **table.proxies()}.items():
        columns[name] = values[rows]
    return pd.DataFrame(columns)


def steps_frame(simulations: Mapping[Budget, Mapping[str, Simulation]]) -> pd.DataFrame:
    """Return the steps of all simulated searches, one row for each evaluation."""
    parts = [
        one.steps.assign(
            search=label,
            budget_evaluations=budget.evaluations or np.nan,
            budget_seconds=budget.seconds or np.nan,
        )
        for budget, found in simulations.items()
        for label, one in found.items()
    ]
    return pd.concat(parts, ignore_index=True)


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write a data frame as ``.csv`` or ``.parquet``.

    Raises:
        OptionError: The suffix is another one, or the package for Parquet is not installed.
        StorageError: The file cannot be written.
    """
    check_suffix(path)
    with storage_errors(path, option="-o", what="The table"), replace_atomically(path) as temporary:
        if path.suffix == ".csv":
            frame.to_csv(temporary, index=False)
        else:
            frame.to_parquet(temporary, index=False)


def check_suffix(path: Path) -> None:
    """Raise OptionError if :func:`write_frame` cannot write such a file."""
    if path.suffix not in (".csv", ".parquet"):
        raise OptionError(
            f"Cannot tell the format of {path.name!r} from its name.",
            fix="Use one of the suffixes .csv, .parquet.",
        )
    if path.suffix == ".parquet":
        check_parquet()


def check_parquet() -> None:
    """Raise OptionError if the package for Parquet is not installed."""
    if importlib.util.find_spec("pyarrow") is None:
        raise OptionError(
            "Parquet files need the package pyarrow, which is not installed.",
            fix="Install the extra 'parquet', or write a .csv file.",
        )
