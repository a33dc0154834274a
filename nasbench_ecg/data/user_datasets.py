"""Storage of the datasets that the user added with ``nasbench-ecg data add``.

Each dataset is one small JSON file in the user's configuration folder; the records stay where they
are. :mod:`nasbench_ecg.data.wfdb_folder` makes and uses these descriptions. This module imports
nothing heavy, because the registry reads the descriptions on every start.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from nasbench_ecg.errors import OptionError, first_invalid, nearest
from nasbench_ecg.io import storage_errors, to_json, write_atomically

CONFIG_VARIABLE = "NASBENCH_ECG_CONFIG"
"""Environment variable that names the configuration folder, in place of the user's default."""

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""Valid names of datasets."""

OPTIONS_PREFIX, DATASET_PREFIX = "options_of_", "dataset_of_"
_TARGET_MODULE = "nasbench_ecg.data.wfdb_folder"

_FORMAT = 1


@dataclass(frozen=True)
class UserDataset:
    """Description of a dataset that the user added.

    Attributes:
        name: Name of the dataset and of its database.
        summary: One line for ``nasbench-ecg list``.
        folder: Folder of its records, as an absolute path.
        protocols: The protocols that it supports.
        options: Defaults of its options.
    """

    name: str
    summary: str
    folder: str
    protocols: tuple[str, ...]
    options: Mapping[str, Any]


def config_folder() -> Path:
    """Return the folder of the descriptions; it may not exist yet."""
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named).expanduser() / "datasets"
    import platformdirs

    return platformdirs.user_config_path("nasbench-ecg") / "datasets"


def read_user_datasets() -> tuple[list[UserDataset], list[tuple[str, str]]]:
    """Return all valid descriptions, and the (name, problem) of each invalid one."""
    datasets, problems = [], []
    for path in sorted(config_folder().glob("*.json")):
        try:
            datasets.append(_read(path))
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            problems.append((path.stem, f"{path} cannot be read: {reason}"))
    return datasets, problems


def find_user_dataset(name: str) -> UserDataset | None:
    """Return the dataset ``name``; None if it does not exist or cannot be read."""
    if not NAME.fullmatch(name):
        return None
    try:
        return _read(_path(name))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def spec_targets(name: str) -> tuple[str, str]:
    """Return the target and the options target of the dataset ``name``, for its spec."""
    identifier = name.replace("-", "_")
    return (
        f"{_TARGET_MODULE}:{DATASET_PREFIX}{identifier}",
        f"{_TARGET_MODULE}:{OPTIONS_PREFIX}{identifier}",
    )


def store_user_dataset(dataset: UserDataset) -> Path:
    """Write a description atomically, and return the path of its file.

    Raises:
        StorageError: The file cannot be written.
    """
    path = _path(dataset.name)
    with storage_errors(path, option=CONFIG_VARIABLE, what="The description of the dataset"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, to_json({"format": _FORMAT, **asdict(dataset)}))
    return path


def remove_user_dataset(name: str) -> None:
    """Remove the description of a dataset; its records are kept.

    Raises:
        OptionError: The user added no dataset of that name.
    """
    path = _path(name)
    if not NAME.fullmatch(name) or not path.is_file():
        raise OptionError(
            f"There is no added dataset {name!r}.",
            where=str(path.parent),
            fix=nearest(name, [one.stem for one in path.parent.glob("*.json")]),
        )
    path.unlink()


def _path(name: str) -> Path:
    return config_folder() / f"{name}.json"


def _read(path: Path) -> UserDataset:
    data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict) or data.pop("format", None) != _FORMAT:
        raise ValueError(f"the format is not {_FORMAT}")
    if data.get("name") != path.stem or not NAME.fullmatch(path.stem):
        raise ValueError("the name in the file differs from the name of the file")
    try:
        return TypeAdapter(UserDataset).validate_python(vars(UserDataset(**data)))
    except ValidationError as error:
        field, reason = first_invalid(error)
        raise ValueError(f"{field}: {reason}") from None
