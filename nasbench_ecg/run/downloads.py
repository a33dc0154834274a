"""Download the records that runs need and that are not here."""

from __future__ import annotations

from collections.abc import Iterable

from nasbench_ecg.contracts import Dataset, Requirement
from nasbench_ecg.data.declarations import requirements_of
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.physionet.catalog import DATABASES
from nasbench_ecg.progress import Progress
from nasbench_ecg.run.config import RunConfig


def fetch_missing(configs: Iterable[RunConfig], source: LocalSource, progress: Progress) -> None:
    """Download the records that the datasets of some runs need; see :func:`fetch_records`."""
    fetch_records((config.dataset.create() for config in configs), source, progress)


def fetch_records(datasets: Iterable[Dataset], source: LocalSource, progress: Progress) -> None:
    """Download the records that some datasets need and that are not here.

    Nothing is downloaded into a folder that the user named.

    Raises:
        MissingDataError: Records are missing and cannot be downloaded.
    """
    from nasbench_ecg.physionet.catalog import describe_missing
    from nasbench_ecg.physionet.fetch import fetch

    for requirement in _requirements(datasets):
        missing = source.missing(requirement)
        if missing and can_be_downloaded(requirement, source):
            progress.note(f"{describe_missing(requirement, missing)} Downloading them.")
            fetch(
                requirement.database,
                source.download_folder(requirement.database),
                records=requirement.records,
                extensions=requirement.extensions,
                progress=progress,
            )
        source.require(requirement)


def check_obtainable(datasets: Iterable[Dataset], source: LocalSource) -> None:
    """Raise an error if records that some datasets need are missing and cannot be downloaded.

    Raises:
        MissingDataError: They are.
    """
    for requirement in _requirements(datasets):
        if source.missing(requirement) and not can_be_downloaded(requirement, source):
            source.require(requirement)


def _requirements(datasets: Iterable[Dataset]) -> dict[Requirement, None]:
    """Return what some datasets need, each once and in order."""
    return dict.fromkeys(need for dataset in datasets for need in requirements_of(dataset))


def can_be_downloaded(requirement: Requirement, source: LocalSource) -> bool:
    """Return whether a run downloads the missing ones of these records, or stops without them."""
    return (
        source.data is None
        and requirement.database in DATABASES
        and not source.missing_elsewhere(requirement)
    )
