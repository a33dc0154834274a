"""Tables written whole or not at all, as CSV or Parquet."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench_ecg.errors import OptionError, StorageError
from nasbench_ecg.io import replace_atomically

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".csv", ".parquet")


def check_table_path(path: Path) -> None:
    """Say before the work begins what would stop :func:`write_table` after it.

    Raises:
        OptionError: The ending is none of :data:`ENDINGS`, or Parquet lacks its library.
        StorageError: The folder is not there.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise OptionError(
            f"A table cannot be written as {path.suffix or 'a file without ending'!r}.",
            where=str(path),
            fix=f"Name a file that ends in {' or '.join(ENDINGS)}.",
        )
    if ending == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise OptionError(
            "Parquet files need pyarrow, which is not installed.",
            where=str(path),
            fix="Install it with 'pip install nasbench-ecg[parquet]', or name a .csv file.",
        )
    if not path.parent.is_dir():
        raise StorageError(
            "The folder to write to does not exist.", where=str(path.parent), fix="Create it first."
        )


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table; its file is there whole or as it was before. Missing values stay empty.

    Args:
        frame: The table; its index is not written.
        path: Where to; its ending says how.

    Raises:
        OptionError: As :func:`check_table_path`.
        StorageError: The file cannot be written.
    """
    check_table_path(path)
    try:
        with replace_atomically(path) as temporary:
            if path.suffix.lower() == ".csv":
                frame.to_csv(temporary, index=False, float_format="%.6g")
            else:
                frame.to_parquet(temporary, index=False)
    except OSError as error:
        raise StorageError(
            f"The table cannot be written: {error.strerror or error}.",
            where=str(path),
            fix="Name a file in a writable folder with space left.",
        ) from error
