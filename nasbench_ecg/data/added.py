"""Datasets that the user added: one small file each, in the user's own folder of settings.

A description holds what ``nasbench-ecg data add`` made of a TOML file; records stay where they are.
Nothing heavy is imported here, since the registry reads the descriptions every time.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nasbench_ecg.atomic import write_atomically
from nasbench_ecg.errors import OptionError, StorageError, nearest

CONFIG_VARIABLE = "NASBENCH_ECG_CONFIG"
"""Environment variable that names the folder of settings, used instead of the user's."""

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_FORMAT = 1

OPTIONS_OF, DATASET_OF = "options_of_", "dataset_of_"
_MODULE = "nasbench_ecg.data.added_dataset"


@dataclass(frozen=True)
class Added:
    """A dataset that the user added.

    Attributes:
        name: The name users type; also that of its database.
        summary: One line for ``nasbench-ecg list``.
        folder: Folder of its records, as an absolute path.
        protocols: The protocols that it can be split by.
        options: Defaults of its options.
    """

    name: str
    summary: str
    folder: str
    protocols: tuple[str, ...]
    options: Mapping[str, Any]


def added_folder() -> Path:
    """Return the folder of the descriptions; it need not exist yet."""
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named).expanduser() / "datasets"
    import platformdirs

    return platformdirs.user_config_path("nasbench-ecg") / "datasets"


def read_all() -> tuple[list[Added], list[tuple[str, str]]]:
    """Return the sound descriptions by name, and name and fault of each of the others."""
    found, faults = [], []
    for path in sorted(added_folder().glob("*.json")):
        try:
            found.append(_read(path))
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            faults.append((path.stem, f"{path} cannot be read: {reason}"))
    return found, faults


def find(name: str) -> Added | None:
    """Return the dataset called ``name``; None where the user added none, or it cannot be read."""
    if not NAME.fullmatch(name):
        return None
    try:
        return _read(_path(name))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def addresses(name: str) -> tuple[str, str]:
    """Return the target and the options of the dataset ``name``, as a spec states them."""
    word = name.replace("-", "_")
    return f"{_MODULE}:{DATASET_OF}{word}", f"{_MODULE}:{OPTIONS_OF}{word}"


def store(added: Added) -> Path:
    """Write a description, whole or not at all, and return its file.

    Raises:
        StorageError: It cannot be written.
    """
    path = _path(added.name)
    text = json.dumps({"format": _FORMAT, **asdict(added)}, indent=1, sort_keys=True) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    except OSError as error:
        raise StorageError(
            f"The dataset cannot be added: {error.strerror or error}.",
            where=str(path),
            fix=f"Name a writable folder in {CONFIG_VARIABLE}.",
        ) from error
    return path


def remove(name: str) -> None:
    """Forget a dataset; its records stay.

    Raises:
        OptionError: No dataset of that name was added.
    """
    path = _path(name)
    if not NAME.fullmatch(name) or not path.is_file():
        raise OptionError(
            f"No dataset {name!r} was added.",
            where=str(path.parent),
            fix=nearest(name, [one.stem for one in path.parent.glob("*.json")]),
        )
    path.unlink()


def _path(name: str) -> Path:
    return added_folder() / f"{name}.json"


def _read(path: Path) -> Added:
    data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict) or data.pop("format", None) != _FORMAT:
        raise ValueError(f"it has not the format {_FORMAT}")
    if data.get("name") != path.stem or not NAME.fullmatch(path.stem):
        raise ValueError("its name is not that of the file")
    added = Added(**{**data, "protocols": tuple(data["protocols"])})
    if not isinstance(added.options, dict) or not isinstance(added.folder, str):
        raise ValueError("folder or options are missing")
    return added
