"""Gather runs into a folder for a pull request, with a card that says whose they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import OptionError, StorageError
from nasbench_ecg.io import storage_errors, to_json, write_atomically
from nasbench_ecg.models.verify import CARD, SUBMITTED, Check, verify
from nasbench_ecg.plugin.registry import Registry
from nasbench_ecg.plugin.session import SESSION_DISTRIBUTION
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.record_files import DamagedRecord, read_record_file
from nasbench_ecg.run.store import RecordStore, new_folder
from nasbench_ecg.suite.spec import check_name


class SubmissionCard(BaseModel):
    """Who submits which runs, and how their code is installed."""

    model_config = ConfigDict(extra="forbid")

    submitted_by: str
    """Name of a person or group, as the leaderboard shows it."""
    contact: str = ""
    """Address for questions; may be empty."""
    install: str
    """Command that installs the plugin packages in the versions of these runs."""
    packages: dict[str, str]
    """Versions of the distributions whose components the runs use."""
    runs: list[str]
    """Run keys."""


def submit(
    paths: Sequence[Path],
    folder: Path,
    *,
    submitted_by: str,
    registry: Registry,
    source: LocalSource,
    install: str = "",
    contact: str = "",
    weights: bool = False,
    more_checks: Callable[[Path], Sequence[Check]] = lambda path: (),
) -> SubmissionCard:
    """Write runs with their files and a card into ``folder``, and return the card.

    Each run is verified first. The name of the folder becomes the suite of the records. The folder
    is written whole or not at all.

    Args:
        paths: Record files.
        folder: Folder to create, for example ``results/submitted/my-search``.
        submitted_by: Name of a person or group.
        registry: The available components.
        source: Folders of records and of cached beats.
        install: Command that installs the plugin packages; by default made of their names.
        contact: Address for questions.
        weights: Whether the weights are included, and the tests of the network on other beats.
        more_checks: Further checks of a record file, such as of the tests beside it.

    Raises:
        OptionError: A run did not succeed or does not pass its checks, runs are of two versions of
            one package, or the name of the folder cannot name a suite.
        StorageError: The folder exists, or cannot be written.
    """
    if not submitted_by.strip():
        raise OptionError("A submission needs a name.", fix="Name yourself or your group: --by.")
    check_name(folder.name, str(folder))
    if folder.exists():
        raise StorageError("The folder exists.", where=str(folder), fix="Choose another with -o.")
    by_key = {path.stem: path for path in paths}
    records = [
        _verified(path, [*verify(path, registry, source), *more_checks(path)])
        for path in by_key.values()
    ]
    packages = _packages(records)
    card = SubmissionCard(
        submitted_by=submitted_by.strip(),
        contact=contact,
        install=install
        or "pip install " + " ".join(f"'{name}=={packages[name]}'" for name in sorted(packages)),
        packages=packages,
        runs=sorted(record.run_key for record in records),
    )
    marks = {"suite": folder.name, "submitted_by": card.submitted_by}
    with storage_errors(folder, option="-o", what="The submission"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with new_folder(folder) as temporary:
            store = RecordStore(temporary.parent, temporary.name)
            for record in records:
                copy = record.model_copy(update=marks)
                store.copy(copy, by_key[record.run_key].with_suffix(""), weights=weights)
            write_atomically(temporary / CARD, to_json(card.model_dump(mode="json")))
    return card


def _packages(records: Sequence[RunRecord]) -> dict[str, str]:
    """Return the versions of the distributions of runs.

    Raises:
        OptionError: Two runs have different versions of one.
    """
    packages: dict[str, str] = {}
    for record in records:
        for used in record.components.values():
            version = packages.setdefault(used.distribution, used.version)
            if version != used.version:
                raise OptionError(
                    f"These runs have two versions of {used.distribution}: {version} and "
                    f"{used.version}. One card cannot say how to install both.",
                    fix="Submit them in two folders, or make the older ones again.",
                )
    return packages


def _verified(path: Path, checks: Sequence[Check]) -> RunRecord:
    failed = [check for check in checks if check.outcome == "failed"]
    record = read_record_file(path)
    if failed or isinstance(record, DamagedRecord):
        raise OptionError(
            f"This run cannot be submitted: {failed[0].name}: {failed[0].detail}",
            where=str(path),
            fix="'nasbench-ecg verify' shows all checks.",
        )
    if record.status != "ok":
        raise OptionError(
            f"This run cannot be submitted: it ended as {record.status!r}.", where=str(path)
        )
    for used in record.components.values():
        if used.distribution == SESSION_DISTRIBUTION:
            raise OptionError(
                f"This run cannot be submitted: nobody can install {used.name!r}, which was "
                "registered in a Python session.",
                where=str(path),
                fix="Put it into a package, start with 'nasbench-ecg plugin new', and run it.",
            )
    return record


def read_submitted(out: Path) -> tuple[list[RunRecord], list[DamagedRecord]]:
    """Return the submitted runs in a folder of results, and the files that are damaged.

    A record is damaged, too, if the card of its folder does not name it.
    """
    records: list[RunRecord] = []
    damaged: list[DamagedRecord] = []
    for folder in sorted(path for path in (Path(out) / SUBMITTED).glob("*") if path.is_dir()):
        card = _read_card(folder / CARD)
        if isinstance(card, DamagedRecord):
            damaged.append(card)
            continue
        for path in sorted(set(folder.glob("*.json")) - {folder / CARD}):
            found = read_record_file(path)
            if isinstance(found, DamagedRecord):
                damaged.append(found)
            elif found.run_key not in card.runs or found.submitted_by != card.submitted_by:
                damaged.append(DamagedRecord(path, "the card beside it does not name this run"))
            else:
                records.append(found)
    return records, damaged


def _read_card(path: Path) -> SubmissionCard | DamagedRecord:
    try:
        return SubmissionCard.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        return DamagedRecord(path, f"the card cannot be read: {str(error).splitlines()[0]}")
